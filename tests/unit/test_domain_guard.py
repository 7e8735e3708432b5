"""The host's own bounds: a guard takes away and never gives (ARCHITECTURE rule 9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.bindings import Whereabouts
from bascule.domain.bounds import Forwarding, Guard, Objection
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.guard import bound, bound_behind, bound_held, bound_place
from bascule.domain.held import Held, HeldBehind, HeldLease
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, PublicPort
from tests.samples import ALICE_HOST, ANYWHERE, HOUR, SSH, TCP, UDP, prefixes

RDP = PortKey(TCP, 3389)
LEASE = Lease("g", (SSH,), ALICE_HOST, HOUR)
STATE = DesiredState("uid-web", 4, frozenset({ClosedPort(SSH)}), {RDP: 4}, (LEASE,))
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("guard", "remaining"),
    [
        # No bound bounds nothing.
        (Guard(), HOUR),
        # Ports: all of the lease's must be admitted; an empty list admits none.
        (Guard(ports=(SSH, RDP)), HOUR),
        (Guard(ports=(RDP,)), None),
        (Guard(ports=()), None),
        # Sources: by containment; an empty list admits none.
        (Guard(sources=prefixes("192.0.2.0/24")), HOUR),
        (Guard(sources=ANYWHERE), HOUR),
        (Guard(sources=prefixes("198.51.100.0/24")), None),
        (Guard(sources=()), None),
        # Time: what lasts too long is cut, what does not is left.
        (Guard(max_duration=HOUR), HOUR),
        (Guard(max_duration=2 * HOUR), HOUR),
        (Guard(max_duration=MINUTE), MINUTE),
    ],
)
def test_what_a_guard_leaves(guard: Guard, remaining: timedelta | None) -> None:
    """A stolen control plane cannot open what the host's root did not admit."""
    left = bound(STATE, guard)
    leases = left.state.leases
    assert [each.remaining for each in leases] == ([] if remaining is None else [remaining])
    assert len(left.notes) == len(left.refused) == (remaining is None)


def test_a_refusal_names_the_grant_and_the_reason() -> None:
    """The requestor will ask why his request fails on this one host."""
    for guard, objection, word in (
        (Guard(ports=()), Objection.PORT, "port"),
        (Guard(sources=()), Objection.SOURCE, "source"),
        (Guard(ports=(), sources=(), problem="no TOML"), Objection.UNREADABLE, "cannot be used"),
    ):
        left = bound(STATE, guard)
        assert left.refused == {"g": objection}
        assert "grant g" in left.notes[0]
        assert word in left.notes[0]


def test_a_firewall_that_ends_no_lease_is_given_none() -> None:
    """Rule 2: nobody of ours has to be alive for an opening to end. Root's own is no exception."""
    left = bound(STATE, Guard(), ends_leases=False)
    assert left.state.leases == ()
    assert left.refused == {"g": Objection.LEASELESS}
    assert left.state.closed == STATE.closed
    local = HeldLease((SSH,), ALICE_HOST, NOW + 60, is_local=True)
    held, notes = bound_held(Held(leases={"local-1": local}), Guard(), NOW, ends_leases=False)
    assert not held.leases
    assert held.ended == {"local-1": local}
    assert notes[0].startswith("refused grant local-1")


def test_a_lease_whose_clients_get_no_answer_is_left_out_with_the_reason() -> None:
    """What the guard says counts first; of other leases nothing is said."""
    for why, word in ((Objection.PAST, "gateways"), (Objection.NOWHERE, "no route")):
        left = bound(STATE, Guard(), {"g": why})
        assert (left.state.leases, left.refused) == ((), {"g": why})
        assert word in left.notes[0]
        assert not left.notes[0].startswith("guard")
    assert bound(STATE, Guard(ports=()), {"g": Objection.PAST}).refused == {"g": Objection.PORT}
    assert bound(STATE, Guard(), {"another": Objection.PAST}).state.leases == (LEASE,)


def test_a_lease_on_two_ports_needs_both() -> None:
    """What is not admitted is dropped whole: half a lease is not what anybody decided."""
    both = DesiredState("u", 1, STATE.closed, {}, (Lease("g", (SSH, RDP), ALICE_HOST, HOUR),))
    assert bound(both, Guard(ports=(SSH,))).state.leases == ()
    assert bound(both, Guard(ports=(SSH, RDP))).state.leases == both.leases


def test_nothing_else_of_a_state_is_touched() -> None:
    """The guard bounds openings; what is closed and released is the server's to say."""
    left = bound(STATE, Guard(ports=())).state
    assert (left.machine_uid, left.generation) == (STATE.machine_uid, STATE.generation)
    assert (left.closed, left.released, left.cuts) == (STATE.closed, STATE.released, STATE.cuts)


def test_a_release_may_be_kept_to_the_host() -> None:
    """It opens a port to everybody for ever: no bound on leases would be worth anything."""
    kept = bound(STATE, Guard(may_release=False))
    assert kept.state.released == {}
    assert kept.notes == ("guard refused to release 3389/tcp: only this host's root may",)
    assert bound(STATE, Guard()).state.released == STATE.released
    assert bound(replace(STATE, released={}), Guard(may_release=False)).notes == ()


def test_a_release_of_an_address_behind_may_be_kept_to_the_host() -> None:
    """It opens what is closed there to everybody, as a port's does."""
    here, there = ip_address("10.1.0.10"), ip_address("10.1.0.11")
    behind = replace(STATE, released={}, where=Whereabouts((here,), frozenset(), {there: 7}))
    kept = bound(behind, Guard(may_release=False))
    assert kept.state.where == Whereabouts((here,))
    assert kept.notes == ("guard refused to release 10.1.0.11: only this host's root may",)
    assert bound(behind, Guard()).state.where == behind.where
    nothing = bound(replace(behind, where=Whereabouts((here,))), Guard(may_release=False))
    assert nothing.notes == ()


NOW = 5000.0


@pytest.mark.parametrize(
    ("guard", "seconds"),
    [
        (Guard(), 3600),
        (Guard(ports=(SSH,), sources=prefixes("192.0.2.0/24"), max_duration=HOUR), 3600),
        (Guard(max_duration=MINUTE), 60),
        (Guard(ports=(RDP,)), None),
        (Guard(sources=prefixes("198.51.100.0/24")), None),
    ],
)
def test_what_a_guard_leaves_of_what_is_held(guard: Guard, seconds: float | None) -> None:
    """Root may write a guard while a lease runs: it reaches that lease at the next start."""
    lease = HeldLease((SSH,), ALICE_HOST, NOW + 3600)
    root = HeldLease((RDP,), (), NOW + 7200, is_local=True)
    held = Held(4, STATE.closed, {"g": lease, "root": root})
    left, notes = bound_held(held, guard, NOW)
    kept = {} if seconds is None else {"g": replace(lease, deadline=NOW + seconds)}
    assert left.leases == {**kept, "root": root}, "root's own opening is root's"
    assert left.ended == ({"g": lease} if seconds is None else {})
    assert ["grant g" in note for note in notes] == ([True] if seconds is None else [])
    assert (left.generation, left.closed) == (held.generation, held.closed)


def test_a_guard_says_why_it_does_not_admit() -> None:
    guard = Guard(ports=(SSH,), sources=ALICE_HOST)
    assert guard.objection((SSH,), ALICE_HOST) is None
    assert guard.objection((SSH, RDP), ALICE_HOST) is Objection.PORT
    assert guard.objection((SSH,), ANYWHERE) is Objection.SOURCE
    assert Guard(problem="no").objection((SSH,), ALICE_HOST) is Objection.UNREADABLE


# -- behind a gateway (EDGES G1) ---------------------------------------------------------------

APP, APP6, FAR = map(ip_address, ("10.1.0.10", "fd01::10", "10.2.0.10"))
PUBLIC, PUBLIC6 = map(ip_address, ("198.51.100.7", "2001:db8::7"))
FIRST, BELOW, LAST, ABOVE = (PublicPort(PUBLIC, number) for number in (2000, 1999, 2009, 2010))
NETWORKS = prefixes("10.1.0.0/16", "fd01::/16")
BEHIND = Guard(forwarding=Forwarding(NETWORKS, (PUBLIC, PUBLIC6), 2000, 2009))
HERE = Whereabouts((APP, APP6))


def at(*public: PublicPort, port: PortKey = SSH) -> Whereabouts:
    return Whereabouts((APP,), mapped={port: public})


@pytest.mark.parametrize(
    ("guard", "where", "objection"),
    [
        # Networks: every address of the machine must be in them; without a file there are none.
        (BEHIND, HERE, None),
        (BEHIND, Whereabouts((FAR,)), Objection.NETWORK),
        (BEHIND, Whereabouts((APP, ip_address("fd02::10"))), Objection.NETWORK),
        (Guard(), HERE, Objection.NETWORK),
        (Guard(forwarding=Forwarding()), HERE, Objection.NETWORK),
        (
            Guard(forwarding=Forwarding(addresses=(PUBLIC,), first=1, last=9)),
            HERE,
            Objection.NETWORK,
        ),
        # Public ports: of its addresses and within its range, both ends inclusive.
        (BEHIND, at(FIRST, LAST, PublicPort(PUBLIC6, 2005)), None),
        (BEHIND, at(FIRST, ABOVE), Objection.MAPPED),
        (BEHIND, at(BELOW), Objection.MAPPED),
        (BEHIND, at(PublicPort(ip_address("198.51.100.8"), 2000)), Objection.MAPPED),
        (BEHIND, at(ABOVE, port=RDP), None),
        (Guard(forwarding=Forwarding(NETWORKS)), at(FIRST), Objection.MAPPED),
        (
            Guard(forwarding=Forwarding(NETWORKS, (PUBLIC,))),
            at(PublicPort(PUBLIC, 0)),
            Objection.MAPPED,
        ),
        (Guard(forwarding=Forwarding(NETWORKS)), HERE, None),
        # What bounds the host bounds what is behind it.
        (replace(BEHIND, ports=(RDP,)), HERE, Objection.PORT),
        (replace(BEHIND, sources=()), HERE, Objection.SOURCE),
        (replace(BEHIND, problem="no TOML"), HERE, Objection.UNREADABLE),
        # Without an address nothing opens; that is no refusal.
        (BEHIND, Whereabouts(), None),
    ],
)
def test_what_a_guard_leaves_behind_a_gateway(
    guard: Guard, where: Whereabouts, objection: Objection | None
) -> None:
    """What it refuses it leads nowhere either, at once and of what is held."""
    told = bound_behind(replace(STATE, where=where), guard, where, ())
    held = Held(leases={"g": HeldLease((SSH,), ALICE_HOST, 100.0)})
    place, notes = bound_place(HeldBehind(held, where.addresses, mapped=where.mapped), guard, 0.0)
    assert dict(told.refused) == ({} if objection is None else {"g": objection})
    assert bool(told.state.leases) is bool(place.held.leases) is (objection is None)
    assert len(told.notes) == len(notes) == (objection is not None)
    assert told.state.where is not None
    forwarding = guard.forwarding or Forwarding()
    for mapped in (told.state.where.mapped, place.mapped):
        assert {each for through in mapped.values() for each in through} == {
            each for through in where.mapped.values() for each in through if forwarding.gives(each)
        }


def test_root_opens_nothing_behind_a_gateway_beyond_its_networks() -> None:
    """Root wrote the networks: what is left of an older file ends; ports and sources do not bind root."""
    bounds = replace(BEHIND, ports=(), sources=())
    for guard, at, is_left in (
        (bounds, (APP,), True),
        (bounds, (FAR,), False),
        (bounds, (APP, FAR), False),
        (Guard(), (APP,), False),
    ):
        lease = HeldLease((SSH,), ALICE_HOST, 100.0, is_local=True, at=at)
        place, notes = bound_place(HeldBehind(Held(leases={"local-1": lease}), (APP,)), guard, 0.0)
        assert bool(place.held.leases) is is_left
        assert bool(notes) is not is_left


def test_a_state_that_does_not_say_where_a_machine_is_is_judged_by_where_it_was() -> None:
    for where, is_left in ((HERE, True), (Whereabouts((FAR,)), False), (at(ABOVE), False)):
        told = bound_behind(STATE, BEHIND, where, ())
        assert bool(told.state.leases) is is_left
        assert told.state.where is None


def test_a_public_port_that_is_taken_leads_nobody() -> None:
    """EDGES G6: its grants are refused, and those of other ports are not."""
    where = Whereabouts((APP,), mapped={SSH: (FIRST, LAST), RDP: (PublicPort(PUBLIC, 2005),)})
    other = Lease("h", (RDP,), ALICE_HOST, HOUR)
    state = replace(STATE, leases=(LEASE, other), where=where)
    told = bound_behind(state, BEHIND, where, {SSH.mapped(LAST)})
    assert told.refused == {"g": Objection.TAKEN}
    assert told.state.leases == (other,)
    assert told.state.where is not None
    assert told.state.where.mapped == {SSH: (FIRST,), RDP: (PublicPort(PUBLIC, 2005),)}
    assert "refused grant g: something else" in told.notes[0]
    other_protocol = bound_behind(state, BEHIND, where, {PortKey(UDP, 22).mapped(LAST)})
    assert other_protocol.refused == {}


def test_a_firewall_that_ends_no_lease_is_given_none_behind_it() -> None:
    told = bound_behind(replace(STATE, where=HERE), BEHIND, HERE, (), ends_leases=False)
    assert told.refused == {"g": Objection.LEASELESS}
    held = Held(leases={"g": HeldLease((SSH,), ALICE_HOST, 100.0)})
    place, _ = bound_place(HeldBehind(held, (APP,)), BEHIND, 0.0, ends_leases=False)
    assert place.held.leases == {}


def test_what_is_behind_one_gateway_is_not_behind_two() -> None:
    assert BEHIND.within(BEHIND).forwarding is None


def test_a_former_address_is_let_go_by_the_gateways_root_alone() -> None:
    where = Whereabouts((APP,), released={FAR: 4})
    for may_release in (True, False):
        guard = replace(BEHIND, may_release=may_release)
        told = bound_behind(replace(STATE, where=where), guard, where, ())
        assert told.state.where is not None
        assert bool(told.state.where.released) is may_release
