"""No machine's state within our limits exceeds 4 MiB, of the 8 that its agent reads (EDGES E4)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.agent.answers import LARGEST_ANSWER, read_object
from bascule.agent.state import read_state
from bascule.api.envelope import CompactJson
from bascule.domain import limits
from bascule.domain.decide import Allowed, Denied, decide
from bascule.domain.desired import DesiredState, desired_state, told_of_ports
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.limits import MAXIMUM_LIVE_PER_MACHINE, MAXIMUM_STATE
from bascule.domain.machine import ClosedPort
from bascule.domain.net import AddressPrefix, PortKey, RuleProtocol, TransportProtocol
from bascule.domain.retention import LONGEST_FLOOR
from bascule.protocol.codec import encode
from bascule.protocol.state import RecordMark, State
from bascule.services.closed_ports import MOST_PORTS
from tests.samples import ANYWHERE, DB, NOW, WEB, codes, grant, ids, machine, policy, request, rule

BOTH = RuleProtocol.ALL
HUGE = 2**53 - 1


def long_prefixes(count: int) -> tuple[AddressPrefix, ...]:
    """Each as long as one can be written."""
    every = "ffff:ffff:ffff:ffff:ffff:ffff"
    return tuple(
        AddressPrefix.parse(f"{every}:{n // 65536 + 0xF000:x}:{n % 65536 // 2 * 2 + 4096:x}/127")
        for n in range(0, 2 * count, 2)
    )


def grants(count: int, sources: int, state: GrantState = GrantState.OPEN) -> list[Grant]:
    made = grant("g", sources=long_prefixes(sources), protocol=BOTH)
    return [replace(made, id=str(uuid.UUID(int=n)), state=state) for n in range(count)]


def ports(count: int) -> list[PortKey]:
    return [PortKey(TransportProtocol.TCP, 65_535 - n) for n in range(count)]


def as_told(state: DesiredState) -> bytes:
    record = RecordMark(HUGE, "f" * 64, HUGE, LONGEST_FLOOR, "f" * 64)
    told = State(state, machine().id.name, NOW, record)
    return bytes(CompactJson(encode(told)).body)


def size(state: DesiredState) -> int:
    return len(as_told(state))


def test_what_is_counted_is_no_less_than_what_is_told() -> None:
    nothing = desired_state("uid-web", HUGE, (), {}, (), NOW)
    assert size(nothing) <= told_of_ports(0)
    shut = desired_state("uid-web", HUGE, [ClosedPort(each) for each in ports(100)], {}, (), NOW)
    assert size(shut) <= told_of_ports(100)
    let_go = desired_state("uid-web", HUGE, (), dict.fromkeys(ports(100), HUGE), (), NOW)
    assert size(let_go) <= told_of_ports(100)
    for sources in (1, 50):
        live = [replace(each, extension=10**9) for each in grants(20, sources)]
        leased = desired_state("uid-web", HUGE, (), {}, live, NOW)
        told = told_of_ports(0) + sum(each.told_size for each in live)
        assert size(leased) <= told < 2 * size(leased)
        over = [replace(each, state=GrantState.CLOSED, cut_at=NOW) for each in live]
        cut = desired_state("uid-web", HUGE, (), {}, (), NOW, over)
        assert len(cut.cuts) == 20
        assert size(cut) <= told_of_ports(0) + sum(each.told_size for each in over)


def test_the_largest_state_is_read_whole() -> None:
    """As many ports and grants as a machine may have."""
    let_go = dict.fromkeys(ports(MOST_PORTS), HUGE)
    left = MAXIMUM_STATE - told_of_ports(MOST_PORTS)
    live = grants(min(left // grants(1, 1)[0].told_size, MAXIMUM_LIVE_PER_MACHINE), 1)
    state = desired_state("uid-web", HUGE, (), let_go, live, NOW)
    content = as_told(state)
    assert len(content) <= MAXIMUM_STATE < LARGEST_ANSWER
    assert read_state(read_object(content)).desired == state


def test_asking_is_refused_before_a_state_becomes_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = policy(rule(sources=ANYWHERE))
    known = {WEB: machine(), DB: machine(DB, "uid-db")}
    live = [*grants(2, 3), grant("elsewhere", uid="uid-db", sources=long_prefixes(500))]
    new = grant().told_size
    told = 1000 + sum(each.told_size for each in live[:2]) + new
    monkeypatch.setattr(limits, "MAXIMUM_STATE", told)
    beside = {"uid-web": 1000, "uid-db": 10**9}
    assert isinstance(decide(rules, request(), known, live, ids(), NOW, beside), Allowed)
    monkeypatch.setattr(limits, "MAXIMUM_STATE", told - 1)
    verdict = decide(rules, request(), known, live, ids(), NOW, beside)
    assert isinstance(verdict, Denied)
    assert codes(verdict.reasons) == ["StateTooLarge"]
    assert f"would be {told} bytes; at most {told - 1}" in verdict.reasons[0].message


def test_what_gives_way_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = policy(rule(sources=ANYWHERE))
    mine = replace(grant(), state=GrantState.OPEN)
    monkeypatch.setattr(limits, "MAXIMUM_STATE", mine.told_size)
    verdict = decide(rules, request(), {WEB: machine()}, [mine], ids(), NOW)
    assert isinstance(verdict, Allowed)


def test_cuts_for_which_there_is_no_room_cut_every_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still granted goes on all the same."""
    over = [
        replace(each, state=GrantState.CLOSED, cut_at=NOW - timedelta(seconds=n))
        for n, each in enumerate(grants(3, 2))
    ]
    told = told_of_ports(0) + sum(each.told_size for each in over)
    monkeypatch.setattr("bascule.domain.desired.MAXIMUM_STATE", told)
    assert len(desired_state("uid-web", 1, (), {}, [], NOW, over).cuts) == 3
    monkeypatch.setattr("bascule.domain.desired.MAXIMUM_STATE", told - 1)
    (cut,) = desired_state("uid-web", 1, (), {}, [], NOW, over).cuts
    assert cut.sources == ANYWHERE
