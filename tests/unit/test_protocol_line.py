"""Messages of the line: each is read back as it was written, and what is news is news."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import jsonschema_rs
import pytest

from bascule.domain.bounds import Guard, Objection
from bascule.domain.capabilities import HOST
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.features import KNOWN
from bascule.domain.knocks import Knock
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.weaknesses import UNINSTALLED
from bascule.errors import InvalidInput
from bascule.protocol.codec import decode, encode, schema_of
from bascule.protocol.line import (
    FROM_AGENT,
    FROM_SERVER,
    Ask,
    Beat,
    Challenge,
    Echo,
    Expect,
    FromAgent,
    FromServer,
    Head,
    Hint,
    Proof,
    Record,
    Refused,
    Reported,
    Sealed,
    Taken,
    Told,
    Trusting,
    Welcome,
    digest_of,
    from_agent,
    from_server,
    signed_text,
    write,
)
from bascule.protocol.report import MOST_HOPS, LocalOpening, Report
from bascule.protocol.state import State
from bascule.protocol.trust import Trust

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SSH = PortKey(TransportProtocol.TCP, 22)
NONCE = "n" * 32
LEASE = Lease("g1", (SSH,), (AddressPrefix.parse("10.1.0.7"),), timedelta(seconds=5))
STATE = State(
    DesiredState("m1", 7, frozenset({ClosedPort(SSH, OnExpiry.KEEP)}), {}, (LEASE,)), "web-1", NOW
)
REPORT = Report(7, frozenset({"g1"}), sessions={"g1": 1}, clock=NOW)
MESSAGES: list[FromServer | FromAgent] = [
    Challenge("c" * 43),
    Sealed("k" * 43, "s" * 86),
    Welcome("c1", "d" * 64, 60, 3600, NOW),
    Beat(2**52, {"m1": 7}),
    Hint("", 8),
    Hint(report=True),
    Expect(),
    Told("m1", NONCE, STATE),
    Taken("r1", 7),
    Refused("r1", 403, "AgentUnknown", "It is gone."),
    Record(Head(17, "e" * 64)),
    Trust(2, "{}", "s" * 86),
    Trusting(2),
    Proof("s" * 86, "1.0", KNOWN),
    Proof("s" * 86, "1.0", KNOWN, "k" * 43, "p" * 43),
    Echo(3, NONCE, {"m1": 7}, "d" * 64, "d" * 64),
    Ask(NONCE, "", 17, 19, KNOWN),
    Reported("r1", 3, REPORT),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_what_is_written_is_read_back_and_is_as_the_schema_says(
    message: FromServer | FromAgent,
) -> None:
    text = write(message)
    assert text.startswith(b'{"kind":')  # a reader may tell by the first bytes
    told = json.loads(text)
    is_servers = type(message) in FROM_SERVER.values()
    assert (from_server if is_servers else from_agent)(told) == message
    assert jsonschema_rs.validator_for(schema_of(type(message))).is_valid(told)


def test_each_kind_is_of_one_end() -> None:
    assert not FROM_SERVER.keys() & FROM_AGENT.keys()
    assert {type(each) for each in MESSAGES} == {*FROM_SERVER.values(), *FROM_AGENT.values()}


def test_a_kind_of_a_newer_peer_is_passed_over() -> None:
    assert from_server({"kind": "moon"}) is None
    assert from_agent({"kind": "beat", "number": 1, "generations": {}}) is None  # not an agent's


@pytest.mark.parametrize(
    "told",
    [
        [],
        "beat",
        None,
        {},
        {"kind": 1},
        {"kind": "echo"},
        {
            "kind": "echo",
            "number": -1,
            "nonce": NONCE,
            "generations": {},
            "read": "",
            "acknowledged": "",
        },
        {
            "kind": "echo",
            "number": 1,
            "nonce": "short",
            "generations": {},
            "read": "",
            "acknowledged": "",
        },
        {"kind": "ask", "nonce": NONCE, "seen": True},
        {"kind": "proof", "signature": "s" * 4000},
    ],
)
def test_what_cannot_be_is_refused(told: Any) -> None:
    with pytest.raises(InvalidInput):
        from_agent(told)


def test_a_signature_is_for_one_tenant_one_point_and_one_challenge() -> None:
    signed = {
        signed_text(tenant, uid, challenge)
        for tenant in ("t1", "t2")
        for uid in ("u1", "u2")
        for challenge in ("c1", "c2")
    }
    assert len(signed) == 8
    assert signed_text("t", "u", "c") == b"bascule-line 1\nt\nu\nc"


# Whatever the server would do something with, and what moves by itself.
NEWS: dict[str, Any] = {
    "generation": 8,
    "in_force": frozenset(),
    "local_port_range": (1, 2),
    "sessions": {},
    "weaknesses": (UNINSTALLED(),),
    "flushed_by": "ufw.service",
    "agent_version": "2",
    "closed": frozenset({ClosedPort(SSH, OnExpiry.KEEP)}),
    "guard": Guard(),
    "driver": "other",
    "capabilities": replace(HOST, ends_leases=False),
    "knows": frozenset(),
    "refused": {"g1": Objection.PORT},
    "held_locally": (LocalOpening("22/tcp", (), 5, "local-1"),),
    "ends": {"g1": timedelta(seconds=3)},
    "past": {"g1": ("uid-gw-1",)},
    "answered_by": frozenset({ip_address("10.1.0.1")}),
}
NO_NEWS: dict[str, Any] = {
    "blocked_attempts": 5,
    "knocks": (Knock("10.0.0.1", SSH, 1, timedelta(0)),),
    "facts": {"record seen": "17"},
    "drift": ("mended",),
    "local_openings": (LocalOpening("22/tcp", (), 5, "local-1"),),
    "notes": ("said once",),
    "disputes": ("forked",),
    "clock": NOW + timedelta(seconds=7),
    "digest": "d" * 64,
}


def test_each_part_of_a_report_is_either() -> None:
    """A part that nobody classified would be dropped as no news, or reported with each beat."""
    assert {each.name for each in fields(Report)} == {*NEWS, *NO_NEWS}


@pytest.mark.parametrize("part", NEWS)
def test_what_settles_something_is_another_digest(part: str) -> None:
    assert digest_of(replace(REPORT, **{part: NEWS[part]})) != digest_of(REPORT)


@pytest.mark.parametrize("part", NO_NEWS)
def test_what_moves_by_itself_is_the_same_digest(part: str) -> None:
    assert digest_of(replace(REPORT, **{part: NO_NEWS[part]})) == digest_of(REPORT)


def test_times_and_counts_move_by_themselves() -> None:
    one = replace(
        REPORT,
        sessions={"g1": 1},
        ends={"g1": timedelta(seconds=3)},
        held_locally=(LocalOpening("22/tcp", (), 5, "local-1"),),
    )
    other = replace(
        one,
        sessions={"g1": 9, "g2": 0},
        ends={"g1": timedelta(seconds=1)},
        held_locally=(LocalOpening("22/tcp", (), 3, "local-1"),),
    )
    assert digest_of(one) == digest_of(other)
    assert digest_of(replace(one, sessions=None)) != digest_of(replace(one, sessions={}))


def test_a_gateway_with_too_many_addresses_tells_none() -> None:
    """Nor one of which an address cannot be read: with some left out, what comes back by those would be
    said to go elsewhere. The rest of the report counts.
    """
    addresses = [f"10.1.0.{number}" for number in range(1, MOST_HOPS + 2)]
    report = encode(Report(7, frozenset({"g1"})))
    whole = decode(Report, {**report, "answeredBy": addresses[1:]})
    assert len(whole.answered_by) == MOST_HOPS
    for told in (addresses, [*addresses[:2], "10.1.0.1 of a newer kind"]):
        read = decode(Report, {**report, "answeredBy": told})
        assert not read.answered_by
        assert read.in_force == {"g1"}
