"""What is told to an enforcement point, what it makes of it, and that nothing opens by omission.

The clock of the point is plain seconds here: it asked at 100 and heard at 100 unless said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from bascule.domain.desired import (
    CUT_FOR,
    SHORTEST,
    STALE_AFTER,
    Cut,
    DesiredState,
    Lease,
    Opening,
    OpeningKey,
    RuleSet,
    desired_state,
)
from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.grant import Grant
from bascule.domain.held import (
    REMEMBER_ENDED,
    Held,
    HeldLease,
    begin_anew,
    close_all,
    forget_ended,
    hold,
    not_let_go_yet,
    rule_set,
)
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import EVERY_IPV4, EVERY_IPV6, AddressPrefix, PortKey
from bascule.domain.points import LONGEST_PATIENCE
from bascule.domain.told import counted_from_before
from tests.samples import (
    ALICE_HOST,
    ANYWHERE,
    BOB_HOST,
    HOUR,
    NOW,
    SSH,
    TCP,
    UDP,
    grant,
    prefixes,
)

RDP = PortKey(TCP, 3389)
SHUT = frozenset({ClosedPort(SSH)})
T = 100.0
ALICE = OpeningKey(ALICE_HOST[0].networks[0], SSH)
BOB = OpeningKey(BOB_HOST[0].networks[0], SSH)


def started(ago: timedelta) -> Grant:
    """For an hour, and not open yet."""
    return replace(grant(span=HOUR - ago), started_at=NOW - ago)


def lease(
    seconds: float,
    identity: str = "g",
    extension: int = 0,
    sources: tuple[AddressPrefix, ...] = ALICE_HOST,
) -> Lease:
    return Lease(identity, (SSH,), sources, timedelta(seconds=seconds), extension)


def state(
    *leases: Lease,
    generation: int = 1,
    closed: frozenset[ClosedPort] = SHUT,
    released: Mapping[PortKey, int] = MappingProxyType({}),
    cuts: tuple[Cut, ...] = (),
) -> DesiredState:
    return DesiredState("uid-web", generation, closed, released, leases, cuts)


def fresh(held: Held, told: DesiredState, at: float = T) -> Held:
    return hold(held, told, at, at)


def stale(held: Held, told: DesiredState, at: float = T) -> Held:
    return hold(held, told, at, at + STALE_AFTER + 0.001)


# -- the server's half -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        # A live grant with time left is leased, as the time that is left.
        (grant(), [HOUR]),
        (replace(grant(), state=GrantState.OPEN), [HOUR]),
        (grant(span=SHORTEST), [SHORTEST]),
        # One that is over, or as good as over, is not; nor is another machine's.
        (grant(span=timedelta(microseconds=999)), []),
        (grant(span=timedelta(0)), []),
        (grant(span=-HOUR), []),
        (replace(grant(), state=GrantState.CLOSING), []),
        (replace(grant(), state=GrantState.FAILED), []),
        (replace(grant(), state=GrantState.CLOSED), []),
        (grant(uid="uid-db"), []),
        # Nor is what did not open within a minute, though nobody could write that down yet.
        (started(LONGEST_PATIENCE - SHORTEST), [HOUR - LONGEST_PATIENCE + SHORTEST]),
        (started(LONGEST_PATIENCE), []),
        (replace(started(LONGEST_PATIENCE), state=GrantState.OPEN), [HOUR - LONGEST_PATIENCE]),
        # A clock that went back gives it no more time, and what is open no more than was granted.
        (started(-LONGEST_PATIENCE), [HOUR]),
        (started(-LONGEST_PATIENCE - SHORTEST), []),
        (replace(started(-HOUR), state=GrantState.OPEN), [HOUR]),
    ],
)
def test_which_grants_are_leased(given: Grant, told: list[timedelta]) -> None:
    """Remaining time, never an instant: no two clocks have to agree (EDGES A8)."""
    made = desired_state("uid-web", 7, SHUT, {}, [given], NOW)
    assert [each.remaining for each in made.leases] == told
    assert (made.machine_uid, made.generation, made.closed) == ("uid-web", 7, SHUT)


def test_a_lease_carries_its_extension() -> None:
    """It is what lets a point lengthen it, and nothing else does."""
    (told,) = desired_state("uid-web", 1, SHUT, {}, [replace(grant(), extension=3)], NOW).leases
    assert told == Lease("grant-0", (SSH,), ALICE_HOST, HOUR, 3)


@pytest.mark.parametrize(
    ("cut_ago", "told"),
    [
        (timedelta(0), [CUT_FOR]),
        (CUT_FOR - SHORTEST, [SHORTEST]),
        (CUT_FOR, []),
        (HOUR, []),
        (None, []),
    ],
)
def test_how_long_a_killed_grant_is_named(cut_ago: timedelta | None, told: list[timedelta]) -> None:
    """Two minutes from the cut, whenever the grant ended: a handshake begun inside a lease may
    end a minute after it (EDGES A24)."""
    cut_at = None if cut_ago is None else NOW - cut_ago
    ended_at = NOW - 2 * HOUR
    killed = replace(grant(), state=GrantState.CLOSED, ended_at=ended_at, cut_at=cut_at)
    made = desired_state("uid-web", 1, SHUT, {}, [], NOW, [killed])
    assert [each.remaining for each in made.cuts] == told


@pytest.mark.parametrize(
    ("heard", "told"),
    [(6, [CUT_FOR]), (7, [CUT_FOR / 2]), (8, [CUT_FOR / 2])],
)
def test_a_cut_is_named_whole_until_its_point_has_heard_of_it(
    heard: int, told: list[timedelta]
) -> None:
    """An agent that was away must not miss it (EDGES A24)."""
    killed = replace(grant(), state=GrantState.CLOSED, generation=7)
    lately, long_ago = (replace(killed, cut_at=NOW - ago) for ago in (CUT_FOR / 2, HOUR))
    made = desired_state("uid-web", 9, SHUT, {}, [], NOW, [lately], heard)
    assert [each.remaining for each in made.cuts] == told
    made = desired_state("uid-web", 9, SHUT, {}, [], NOW, [long_ago], heard)
    assert [each.remaining for each in made.cuts] == ([CUT_FOR] if heard < 7 else [])


def test_a_clock_set_back_names_nothing_that_a_point_would_refuse() -> None:
    """A day of a lease that was extended over days, two minutes of a cut: no more is told."""
    extended = replace(
        grant(span=72 * HOUR),
        state=GrantState.OPEN,
        max_duration=48 * HOUR,
        started_at=NOW - 24 * HOUR,
        extension=3,
    )
    killed = replace(grant("k"), state=GrantState.CLOSED, cut_at=NOW + 48 * HOUR)
    made = desired_state("uid-web", 1, SHUT, {}, [extended], NOW, [killed])
    assert [each.remaining for each in made.leases] == [MAXIMUM_DURATION]
    assert [each.remaining for each in made.cuts] == [CUT_FOR]


def test_a_clock_set_back_lengthens_no_extension() -> None:
    """Extended by three hours at most, two hours ago by a clock that now says an hour ago: a
    point that had not heard of it is told three, not four."""
    extended = replace(grant(span=4 * HOUR), state=GrantState.OPEN, started_at=NOW - HOUR)
    (told,) = desired_state("uid-web", 1, SHUT, {}, [replace(extended, extension=1)], NOW).leases
    assert told.remaining == 3 * HOUR


def test_a_server_that_ended_too_much_cuts_every_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a firewall holds is never told to one; what is still granted goes on all the same."""
    killed = [
        replace(grant(who, number=number), state=GrantState.CLOSED, cut_at=NOW - before)
        for who, number, before in (
            ("a", 22, HOUR / 60),
            ("b", 22, HOUR / 120),
            ("c", 80, HOUR / 60),
        )
    ]
    monkeypatch.setattr("bascule.domain.desired.MOST_CUTS", 3)
    assert len(desired_state("uid-web", 1, SHUT, {}, [], NOW, killed).cuts) == 3
    monkeypatch.setattr("bascule.domain.desired.MOST_CUTS", 2)
    (cut,) = desired_state("uid-web", 1, SHUT, {}, [], NOW, killed).cuts
    assert cut == Cut("b", (SSH, PortKey(TCP, 80)), ANYWHERE, CUT_FOR - HOUR / 120)


def test_a_port_that_is_shut_again_is_not_released() -> None:
    """Released last week, closed today: closed holds."""
    made = desired_state("uid-web", 3, SHUT, {SSH: 1, RDP: 2}, [], NOW)
    assert made.released == {RDP: 2}


# -- the point's half: closing ----------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        state(closed=frozenset(), generation=2),  # the server forgot
        state(closed=frozenset({ClosedPort(RDP)}), generation=2),  # or names another
        state(closed=frozenset(), released={RDP: 2}, generation=2),  # or lets another go
        state(closed=frozenset(), released={SSH: 0}, generation=0),  # or is old
        state(closed=frozenset(), released={SSH: 1}, generation=1),  # or from an older backup:
        state(closed=frozenset(), released={SSH: 1}, generation=9),  # it was closed after that
    ],
)
def test_a_closed_port_stays_closed(told: DesiredState) -> None:
    """Omission opens nothing: only a release by name does (EDGES A10)."""
    held = fresh(Held(), state())
    assert ClosedPort(SSH) in fresh(held, told).closed


def test_a_released_port_is_let_go() -> None:
    """The neighbour: explicit, of this generation or a later one, and fresh."""
    held = fresh(Held(), state())
    told = state(closed=frozenset(), released={SSH: 2}, generation=2)
    assert fresh(held, told).closed == frozenset()


def test_a_slow_release_waits_for_the_next_answer() -> None:
    """An answer that took longer than 30 s releases nothing; it still closes."""
    held = fresh(Held(), state())
    told = state(closed=frozenset({ClosedPort(RDP)}), released={SSH: 2}, generation=2)
    after = stale(held, told)
    assert after.closed == {ClosedPort(SSH), ClosedPort(RDP)}
    assert after.generation == 1


def test_a_release_is_remembered_when_the_firewall_has_followed() -> None:
    """Until then a death leaves the port shut and its generation to be taken in anew."""
    saved = fresh(Held(), state())
    told = state(closed=frozenset({ClosedPort(RDP)}), released={SSH: 2}, generation=2)
    held = fresh(saved, told)
    kept = not_let_go_yet(held, saved)
    assert kept.closed == {ClosedPort(SSH), ClosedPort(RDP)}
    assert kept.generation == saved.generation
    assert fresh(kept, told).closed == held.closed, "and is let go again"
    assert not_let_go_yet(held, held) is held


def test_what_happens_at_expiry_follows_the_server() -> None:
    """A port named again with another on_expiry is one port, not two."""
    strict = frozenset({ClosedPort(SSH, OnExpiry.KILL)})
    held = fresh(fresh(Held(), state()), state(closed=strict, generation=2))
    assert held.closed == strict


# -- the point's half: opening ---------------------------------------------------------------


def test_a_state_may_count_from_before() -> None:
    """Each end stays where it was, or comes earlier where a point would refuse so much time."""
    lease = Lease("g", (SSH,), (AddressPrefix.parse("*"),), timedelta(seconds=60))
    longest = replace(lease, remaining=MAXIMUM_DURATION)
    cut = Cut("c", (SSH,), (AddressPrefix.parse("*"),), CUT_FOR)
    state = DesiredState("m", 1, frozenset(), {}, (lease, longest), (cut,))
    told = counted_from_before(state, timedelta(seconds=9))
    assert [each.remaining for each in told.leases] == [timedelta(seconds=69), MAXIMUM_DURATION]
    assert [each.remaining for each in told.cuts] == [CUT_FOR + timedelta(seconds=9)]
    assert counted_from_before(state, timedelta(0)) == state


def test_a_lease_is_counted_from_the_asking() -> None:
    """A slow answer costs the requestor time, never gives him some."""
    held = hold(Held(), state(lease(60)), asked_at=T, now=T + 20)
    assert held.leases["g"].deadline == T + 60


@pytest.mark.parametrize(
    ("delay", "opens"),
    [(0.0, True), (STALE_AFTER, True), (STALE_AFTER + 0.001, False), (3600.0, False)],
)
def test_a_stale_answer_opens_nothing(delay: float, opens: bool) -> None:
    """Thirty seconds, inclusive (EDGES A8): a delaying proxy cannot open late."""
    held = hold(Held(), state(lease(7200)), T, T + delay)
    assert bool(held.leases) is opens
    assert held.generation == (1 if opens else 0)
    assert held.closed == SHUT


@pytest.mark.parametrize(
    ("told", "deadline"),
    [
        (lease(30), T + 30),  # shortened
        (lease(60), T + 60),  # as it was
        (lease(90), T + 60),  # longer without a record: a clock that went back
        (lease(90, extension=1), T + 90),  # longer on purpose
        (lease(30, extension=1), T + 30),  # and then cut
    ],
)
def test_only_a_recorded_extension_lengthens(told: Lease, deadline: float) -> None:
    """Of two ends the earlier, unless an extension is recorded."""
    held = fresh(Held(), state(lease(60)))
    assert fresh(held, state(told, generation=2)).leases["g"].deadline == deadline


def test_an_extension_counts_once() -> None:
    """The same extension told again with more time is a wrong clock, not a second one."""
    held = fresh(Held(), state(lease(60, extension=1)))
    again = fresh(held, state(lease(90, extension=1), generation=2))
    assert again.leases["g"].deadline == T + 60
    older = fresh(held, state(lease(90, extension=0), generation=2))
    assert (older.leases["g"].deadline, older.leases["g"].extension) == (T + 60, 1)


@pytest.mark.parametrize(("seconds", "deadline"), [(30, T + 30), (90, T + 60)])
def test_a_stale_answer_shortens_only(seconds: float, deadline: float) -> None:
    """Even a recorded extension waits for a fresh answer; an earlier end does not."""
    held = fresh(Held(), state(lease(60)))
    after = stale(held, state(lease(seconds, extension=1), generation=2))
    assert (after.leases["g"].deadline, after.leases["g"].extension) == (deadline, 0)


@pytest.mark.parametrize("take", [fresh, stale])
def test_a_lease_that_is_not_named_ends(take: Callable[[Held, DesiredState], Held]) -> None:
    """Revocation needs no message of its own; a slow answer revokes too."""
    held = fresh(Held(), state(lease(60), lease(60, "h")))
    assert set(take(held, state(lease(60, "h"), generation=2)).leases) == {"h"}


def test_an_older_generation_changes_nothing() -> None:
    """A replayed or restored server must not bring back what was revoked."""
    held = fresh(Held(), state(generation=5))
    assert fresh(held, state(lease(60), generation=4)) is held
    assert set(fresh(held, state(lease(60), generation=5)).leases) == {"g"}


# -- a server whose clock went back -----------------------------------------------------------


def test_a_lease_that_ended_is_not_leased_anew() -> None:
    """The server's clock one hour back: to it the grant still lives, for its point it is over."""
    held = forget_ended(fresh(Held(), state(lease(60))), T + 61)
    assert held.leases == {}
    again = fresh(held, state(lease(3600)), at=T + 70)
    assert rule_set(again, T + 70).openings == {}
    extended = fresh(held, state(lease(3600, extension=1)), at=T + 70)
    assert ALICE in rule_set(extended, T + 70).openings


def test_a_lease_that_was_left_out_comes_back_by_an_extension_alone() -> None:
    """Revoked, and named again by a server from an older backup: that it counted on meanwhile, and
    may be above the point's number by now, makes the grant no younger (EDGES A8)."""
    held = fresh(fresh(Held(), state(lease(60), generation=5)), state(generation=6))
    assert held.leases == {}
    for told in (lease(60), lease(30), lease(3600)):
        assert fresh(held, state(told, generation=7)).leases == {}
        assert stale(held, state(told, generation=7)).leases == {}
    extended = state(lease(3600, extension=1), generation=7)
    assert fresh(held, extended).leases["g"].deadline == T + 3600
    assert stale(held, extended).leases == {}
    assert "g" not in fresh(held, extended).ended


def test_a_refused_key_ends_everything_once() -> None:
    """What root opens afterwards is root's, until a server that knew the key again refuses it."""
    roots = HeldLease((SSH,), ALICE_HOST, T + 60, is_local=True)
    refused = close_all(fresh(Held(), state(lease(60))))
    assert (refused.leases, refused.closed, refused.is_refused) == ({}, SHUT, True)
    opened = replace(refused, leases={"local-1": roots})
    assert close_all(opened) == opened
    assert fresh(opened, state(generation=0)).is_refused, "a state that is not taken in"
    known = fresh(opened, state(generation=2))
    assert not known.is_refused
    assert close_all(known).leases == {}
    assert not begin_anew(refused).is_refused


@pytest.mark.parametrize("drop", [close_all, begin_anew])
def test_what_ended_with_the_key_may_be_told_again(drop: Callable[[Held], Held]) -> None:
    """A server that did not know its own agent for a minute locks nobody out for the day."""
    held = fresh(Held(), state(lease(60)))
    assert fresh(drop(held), state(lease(60))).leases == held.leases


def test_what_ended_is_not_remembered_for_ever() -> None:
    """An hour after the end, unless the server goes on naming it."""
    held = forget_ended(fresh(Held(), state(lease(60))), T + 61)
    late = T + 60 + REMEMBER_ENDED
    assert set(fresh(held, state(), at=late - 1).ended) == {"g"}
    assert fresh(held, state(), at=late).ended == {}
    named = forget_ended(fresh(held, state(lease(9999)), at=late), late)
    assert (named.leases, set(named.ended)) == ({}, {"g"})
    too_old = stale(held, state(lease(9999)), at=late)
    assert set(too_old.ended) == {"g"}, "an answer that took too long names it too"
    again = fresh(too_old, state(lease(9999)), at=late + 61)
    assert rule_set(again, late + 61).openings == {}


# -- root's own openings -----------------------------------------------------------------------

LOCAL = HeldLease((SSH,), ALICE_HOST, T + 900, is_local=True)


def test_no_server_takes_or_lengthens_a_local_opening() -> None:
    """``agent open`` is the way in when the server is wrong (EDGES A25)."""
    held = Held(closed=SHUT, leases={"local": LOCAL})
    assert fresh(held, state()).leases == {"local": LOCAL}
    grasped = state(lease(7200, "local", extension=9, sources=ANYWHERE))
    assert fresh(held, grasped).leases == {"local": LOCAL}


def test_a_local_opening_ends_by_itself() -> None:
    """Time-boxed like every lease, and forgotten then."""
    held = Held(closed=SHUT, leases={"local": LOCAL})
    assert forget_ended(held, T + 899).leases == {"local": LOCAL}
    assert forget_ended(held, T + 900) == Held(closed=SHUT)


def test_closing_all_takes_local_openings_too() -> None:
    """An agent whose key is refused closes every opening and keeps the ports shut (EDGES A12)."""
    held = fresh(Held(closed=SHUT, leases={"local": LOCAL}), state(lease(60)))
    assert close_all(held).leases == {}
    assert close_all(held).closed == SHUT
    assert rule_set(close_all(held), T).openings == {}


def test_a_new_identity_inherits_what_is_shut_and_root_s_openings() -> None:
    """Its server counts from the start, and may be another than the one that granted (EDGES A12)."""
    held = fresh(Held(closed=SHUT, leases={"local": LOCAL}), state(lease(60)))
    assert held.generation
    assert begin_anew(held) == Held(closed=SHUT, leases={"local": LOCAL})


# -- cuts --------------------------------------------------------------------------------------


def test_cuts_are_kept_until_their_end() -> None:
    """A later state that does not name a cut does not stop it."""
    cut = Cut("g", (SSH,), ALICE_HOST, CUT_FOR)
    held = fresh(fresh(Held(), state(cuts=(cut,))), state(generation=2))
    assert set(held.cuts) == {"g"}
    assert rule_set(held, T).cuts == {ALICE: CUT_FOR}
    assert forget_ended(held, T + CUT_FOR.total_seconds()).cuts == {}
    assert rule_set(held, T + CUT_FOR.total_seconds()).cuts == {}


@pytest.mark.parametrize(("remaining", "ends"), [(60, 120), (119, 129), (120, 130)])
def test_of_two_ends_of_one_cut_the_later_holds(remaining: float, ends: float) -> None:
    """Heard late, it lasts as long as if it had been heard at once: what the server then has
    left of it does not shorten it."""
    first = fresh(Held(), state(cuts=(Cut("g", (SSH,), ALICE_HOST, CUT_FOR),)))
    again = Cut("g", (SSH,), ALICE_HOST, timedelta(seconds=remaining))
    held = hold(first, state(generation=2, cuts=(again,)), T + 10, T + 10)
    assert held.cuts["g"].deadline == T + ends


def test_more_cuts_than_a_firewall_holds_cut_every_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server sends in two minutes; what an opening admits passes all the same."""
    cuts = (
        Cut("g", (SSH,), ALICE_HOST, CUT_FOR),
        Cut("h", (SSH,), BOB_HOST, CUT_FOR / 2),
    )
    held = fresh(Held(), state(cuts=cuts))
    monkeypatch.setattr("bascule.domain.held.MOST_CUTS", 2)
    assert set(rule_set(held, T).cuts) == {ALICE, BOB}
    monkeypatch.setattr("bascule.domain.held.MOST_CUTS", 1)
    every = {OpeningKey(EVERY_IPV4, SSH): CUT_FOR, OpeningKey(EVERY_IPV6, SSH): CUT_FOR}
    assert rule_set(held, T).cuts == every


@pytest.mark.parametrize("order", [(30, 90), (90, 30)])
def test_the_longer_cut_of_one_source_holds(order: tuple[int, int]) -> None:
    """Two grants of one source cut one after the other."""
    cuts = tuple(Cut(f"g{n}", (SSH,), ALICE_HOST, timedelta(seconds=n)) for n in order)
    assert rule_set(fresh(Held(), state(cuts=cuts)), T).cuts == {ALICE: timedelta(seconds=90)}


# -- the rule set ------------------------------------------------------------------------------


def test_overlapping_leases_are_counted() -> None:
    """The opening lasts as long as the longest, and one ending never closes another's."""
    held = fresh(Held(), state(lease(60, "a"), lease(90, "b"), lease(30, "c")))
    assert rule_set(held, T).openings == {ALICE: Opening(ALICE, timedelta(seconds=90), "b")}
    assert rule_set(held, T + 70).openings == {ALICE: Opening(ALICE, timedelta(seconds=20), "b")}
    without = fresh(held, state(lease(60, "a"), generation=2))
    assert rule_set(without, T).openings[ALICE].remaining == timedelta(seconds=60)


def test_every_source_and_port_of_a_lease_is_opened() -> None:
    """``*`` is both families, a grant on two transports is two openings a source."""
    keys = (PortKey(TCP, 53), PortKey(UDP, 53))
    both = Lease("g", keys, prefixes("*", "192.0.2.10"), HOUR)
    shut = frozenset(map(ClosedPort, keys))
    assert set(rule_set(fresh(Held(), state(both, closed=shut)), T).openings) == {
        OpeningKey(network, key)
        for network in (EVERY_IPV4, EVERY_IPV6, *ALICE_HOST[0].networks)
        for key in keys
    }


def test_only_a_closed_port_is_opened() -> None:
    """An opening of a port that nobody closed would begin to count on the day it is closed."""
    half = Lease("g", (SSH, RDP), ALICE_HOST, HOUR)
    cut = Cut("h", (SSH, RDP), BOB_HOST, CUT_FOR)
    made = rule_set(fresh(Held(), state(half, cuts=(cut,))), T)
    assert set(made.openings) == {ALICE}
    assert set(made.cuts) == {BOB}


@pytest.mark.parametrize(
    ("before_end", "opens"),
    [(1.0, True), (0.002, True), (0.0005, False), (0.0, False), (-1, False)],
)
def test_nothing_is_written_for_less_than_a_millisecond(before_end: float, opens: bool) -> None:
    """An element with timeout 0 would live for ever (EDGES A7)."""
    held = fresh(Held(), state(lease(60)))
    assert bool(rule_set(held, T + 60 - before_end).openings) is opens


def test_nothing_held_is_nothing_open() -> None:
    """The first start: no port closed, none opened."""
    assert rule_set(Held(), T) == RuleSet()


# -- a server that means ill ------------------------------------------------------------------


def test_leases_that_left_are_known_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that names others in each state must not fill the host's memory (EDGES E4)."""
    monkeypatch.setattr("bascule.domain.held.MOST_ENDED", 5)
    held = Held()
    for n in range(20):
        lease = Lease(f"g{n}", (SSH,), ALICE_HOST, timedelta(seconds=100 + n))
        held = hold(held, state(lease), T, T)
    assert set(held.ended) == {f"g{n}" for n in range(14, 19)}, "those that would end last"
    assert set(held.leases) == {"g19"}
    again = hold(held, state(Lease("g18", (SSH,), ALICE_HOST, CUT_FOR)), T, T)
    assert not again.leases, "and what is known does not come back"


def test_cuts_are_held_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it every source of those ports is cut, for as long as the latest of them."""
    monkeypatch.setattr("bascule.domain.held.MOST_CUTS", 5)
    held = Held(closed=SHUT)
    for n in range(5):
        cut = Cut(f"g{n}", (SSH,), ALICE_HOST, timedelta(seconds=100 - n))
        held = hold(held, state(cuts=(cut,)), T, T)
    assert len(held.cuts) == 5
    held = hold(held, state(cuts=(Cut("h", (SSH,), BOB_HOST, timedelta(seconds=9)),)), T, T)
    (every,) = held.cuts.values()
    assert (every.sources, every.deadline) == (ANYWHERE, T + 100)
    later = hold(held, state(), T + 101, T + 101)
    assert later.cuts == {}, "what is over takes no room"


def _told(number: int, generation: int = 1, *leased: Lease) -> DesiredState:
    return DesiredState("uid", generation, SHUT, {RDP: 1}, leased, installation=number)


LEASE = Lease("g", (SSH,), ANYWHERE, HOUR)


def test_a_server_whose_record_was_moved_opens_releases_and_ends_nothing() -> None:
    """It came back: from a backup, or because somebody started it again (EDGES H7)."""
    held = hold(Held(closed=frozenset({ClosedPort(RDP)}), generation=1), _told(2, 1), T, T)
    assert held.installation == 2
    held = hold(held, _told(2, 2, LEASE), T, T)
    for number in (0, 1):
        assert hold(held, _told(number, 9, replace(LEASE, grant_id="other")), T, T) == held
        assert hold(held, _told(number, 9), T, T) == held, "leases last to their ends"
    assert hold(held, _told(2, 3), T, T).leases == {}
    assert hold(held, _told(3, 3), T, T).installation == 3


def test_the_number_counts_before_the_generation_does() -> None:
    """The record that the installation went back to has lower generations for a moment."""
    held = hold(Held(), _told(2, 7, LEASE), T, T)
    known = hold(held, _told(3, 4), T, T)
    assert known == replace(held, installation=3)
    assert hold(known, _told(2, 9), T, T) == known


def test_another_installation_counts_anew() -> None:
    assert begin_anew(hold(Held(), _told(5), T, T)).installation == 0
