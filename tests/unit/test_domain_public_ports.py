"""Which public port stands for a machine's port: kept, never two at once, and held back (EDGES G2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.bounds import Forwarding
from bascule.domain.net import AddressPrefix, PortKey, PublicPort
from bascule.domain.public_ports import HELD_BACK, Claim, Refused, choose, named_at
from tests.samples import SSH, TCP, UDP

NOW = datetime(2030, 1, 1, tzinfo=UTC)
APP, APP6 = map(ip_address, ("10.1.0.10", "fd01::10"))
ONE, TWO, SIX = map(ip_address, ("198.51.100.7", "198.51.100.8", "2001:db8::7"))
RDP = PortKey(TCP, 3389)
SSH_UDP = PortKey(UDP, 22)
GIVEN = Forwarding((AddressPrefix.parse("10.1.0.0/16"),), (ONE, TWO, SIX), 2000, 2001)
FIRST, SECOND, THIRD, FOURTH = (
    PublicPort(address, number) for address in (ONE, TWO) for number in (2000, 2001)
)


def chosen(
    *claims: Claim,
    machine: str = "app",
    port: PortKey = SSH,
    at: str = str(APP),
    forwarding: Forwarding | None = GIVEN,
    now: datetime = NOW,
    named: PublicPort | None = None,
) -> PublicPort | str:
    """The public port, or the code of the refusal."""
    found = choose(machine, port, ip_address(at), forwarding, claims, now, named)
    return found.code if isinstance(found, Refused) else found


def test_the_lowest_free_one_of_the_first_address_is_taken() -> None:
    others = [Claim("gw", each, "sql", SSH) for each in (FIRST, SECOND, THIRD, FOURTH)]
    assert chosen() == FIRST
    assert chosen(*others[:1]) == SECOND
    assert chosen(*others[:2]) == THIRD
    assert chosen(*others) == "NoPublicPortFree"
    assert chosen(*others, port=SSH_UDP) == FIRST, "over another protocol it is another port"
    assert chosen(*others, at=str(APP6)) == PublicPort(SIX, 2000)


@pytest.mark.parametrize(
    "forwarding",
    [
        None,
        Forwarding(),
        Forwarding(GIVEN.networks, GIVEN.addresses),
        Forwarding(GIVEN.networks, (SIX,), 1, 9),
    ],
)
def test_a_guard_that_gives_none_has_none_taken(forwarding: Forwarding | None) -> None:
    assert chosen(forwarding=forwarding) == "NoPublicPortFree"
    assert chosen(forwarding=forwarding, named=FIRST) == "PublicPortNotGiven"


def test_a_machines_port_keeps_its_public_port_while_the_guard_gives_it() -> None:
    kept = Claim("gw", THIRD, "app", SSH)
    assert chosen(kept) == THIRD
    assert chosen(kept, port=RDP) == FIRST
    assert chosen(kept, machine="sql") == FIRST
    narrower = Forwarding(GIVEN.networks, (ONE,), 2000, 2000)
    assert chosen(kept, forwarding=narrower) == FIRST
    let_go = Claim("gw", FOURTH, "app", SSH, NOW - timedelta(days=9))
    assert chosen(let_go) == FOURTH, "it gets back what it had"
    assert chosen(let_go, kept) == THIRD, "rather what it has"


def test_a_claim_that_is_let_go_is_the_same_one_from_then_on() -> None:
    standing = Claim("gw", FIRST, "app", SSH)
    let_go = standing.released(NOW)
    assert let_go == Claim("gw", FIRST, "app", SSH, NOW)
    assert not let_go.is_kept_from("app", SSH, NOW)
    assert let_go.is_kept_from("sql", SSH, NOW + HELD_BACK - timedelta(microseconds=1))
    assert not let_go.is_kept_from("sql", SSH, NOW + HELD_BACK)


def test_what_a_policy_names_is_taken_or_refused() -> None:
    assert chosen(Claim("gw", FIRST, "app", SSH), named=FOURTH) == FOURTH
    assert chosen(named=PublicPort(ONE, 2002)) == "PublicPortNotGiven"
    assert chosen(named=PublicPort(ONE, 1999)) == "PublicPortNotGiven"
    assert chosen(named=PublicPort(ip_address("198.51.100.9"), 2000)) == "PublicPortNotGiven"
    assert chosen(named=PublicPort(SIX, 2000)) == "PublicPortNotGiven", "of another IP version"
    assert chosen(Claim("gw", FIRST, "sql", SSH), named=FIRST) == "PublicPortTaken"
    assert chosen(Claim("gw", FIRST, "app", RDP), named=FIRST) == "PublicPortTaken"
    found = choose("app", SSH, APP, GIVEN, [Claim("gw", FIRST, "sql", SSH, NOW)], NOW, FIRST)
    assert isinstance(found, Refused)
    assert found.code == "PublicPortHeldBack"
    assert "198.51.100.7:2000" in str(found.message)
    assert "2030-01-02" in str(found.message)
    assert "[2001:db8::7]:2000" in str(PublicPort(SIX, 2000))


@pytest.mark.parametrize("named", [None, FIRST])
def test_a_public_port_is_given_to_no_other_machine_for_a_day(named: PublicPort | None) -> None:
    left = Claim("gw", FIRST, "sql", SSH, NOW)
    only = Forwarding(GIVEN.networks, (ONE,), 2000, 2000)
    day = timedelta(hours=24)
    assert day == HELD_BACK
    for passed, is_free in (
        (timedelta(0), False),
        (day - timedelta(microseconds=1), False),
        (day, True),
    ):
        found = chosen(left, forwarding=only, now=NOW + passed, named=named)
        assert (found == FIRST) is is_free
    assert chosen(left, machine="sql", port=RDP, forwarding=only, named=named) == FIRST


def test_where_a_policy_names_one() -> None:
    every = (*GIVEN.addresses, ip_address("203.0.113.1"))
    for number, address, version, found in (
        (None, None, 4, None),
        (2000, None, 4, FIRST),
        (2000, None, 6, PublicPort(SIX, 2000)),
        (2000, TWO, 4, THIRD),
        (2000, TWO, 6, None),  # of the other version one is chosen
        (2000, every[-1], 4, None),  # at another of its gateways
        (9, ip_address("203.0.113.2"), 4, PublicPort(ip_address("203.0.113.2"), 9)),  # at none
    ):
        assert named_at(number, address, version, GIVEN, every) == found


def test_one_that_was_found_taken_is_chosen_for_nobody_and_may_be_named() -> None:
    """Whether it is still taken, the gateway's agent finds."""
    taken = Claim("gw", FIRST, "app", SSH).found_taken(NOW)
    assert chosen(taken) == SECOND
    assert chosen(taken, machine="sql") == SECOND
    assert chosen(taken, now=NOW + HELD_BACK) == FIRST
    assert chosen(taken, named=FIRST) == FIRST


claims = st.builds(
    Claim,
    st.just("gw"),
    st.sampled_from([FIRST, SECOND, THIRD, FOURTH]),
    st.sampled_from(["app", "sql", "web"]),
    st.sampled_from([SSH, RDP, SSH_UDP]),
    st.sampled_from([None, NOW, NOW - HELD_BACK]),
)


@given(
    st.lists(claims, max_size=8, unique_by=lambda each: each.mapped),
    st.sampled_from([None, FIRST, FOURTH, PublicPort(ONE, 2002)]),
)
def test_what_is_chosen_is_given_and_nobody_elses(
    found: list[Claim], named: PublicPort | None
) -> None:
    public = chosen(*found, named=named)
    if isinstance(public, PublicPort):
        assert GIVEN.gives(public)
        assert named in (None, public)
        for each in found:
            if each.mapped == SSH.mapped(public):
                is_own = (each.machine_uid, each.port) == ("app", SSH)
                is_free = each.released_at is not None
                is_over = is_free and each.released_at + HELD_BACK <= NOW  # type: ignore[operator]  # reason: not None
                assert is_own or (is_free and each.machine_uid == "app") or is_over
