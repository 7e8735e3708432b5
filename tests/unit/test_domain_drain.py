"""EDGES J14: whose connections may stay beyond their grant, and that nobody new comes in by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.behind import behind, part_at, united
from bascule.domain.bounds import Guard
from bascule.domain.decide import Allowed, Denied, decide
from bascule.domain.desired import (
    STALE_AFTER,
    DesiredState,
    Drain,
    Lease,
    OpeningKey,
    RuleSet,
    desired_state,
)
from bascule.domain.features import KNOWN, Feature
from bascule.domain.grant import Grant
from bascule.domain.guard import bound, bound_held
from bascule.domain.held import (
    Held,
    HeldBehind,
    HeldLease,
    begin_anew,
    close_all,
    forget_ended,
    hold,
    rule_set,
)
from bascule.domain.holding import ends, ends_earlier, keep_named, none_let_go_yet, only_closed
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, RuleProtocol
from bascule.domain.plan import (
    DropDrain,
    Observed,
    PutDrain,
    Rebuild,
    closing_halves,
    plan,
)
from bascule.domain.policy import PortRule
from bascule.domain.told import counted_from_before, known_part
from tests.samples import (
    ALICE_HOST,
    BOB_HOST,
    HOUR,
    NOW,
    SSH,
    UDP,
    WEB,
    codes,
    grant,
    machine,
    policy,
    request,
    rule,
)

T = 100.0
KILL = frozenset({ClosedPort(SSH, OnExpiry.KILL)})
MINUTE = timedelta(minutes=1)
ALICE = OpeningKey(ALICE_HOST[0].networks[0], SSH)
DNS = PortKey(UDP, 53)


def lease(seconds: float, extension: int = 0, ports: tuple[PortKey, ...] = (SSH,)) -> Lease:
    return Lease("g", ports, ALICE_HOST, timedelta(seconds=seconds), extension)


def drain(seconds: float, extension: int = 0, ports: tuple[PortKey, ...] = (SSH,)) -> Drain:
    return Drain("g", ports, ALICE_HOST, timedelta(seconds=seconds), extension)


def told(
    *given: Lease | Drain, generation: int = 1, closed: frozenset[ClosedPort] = KILL
) -> DesiredState:
    leases = tuple(each for each in given if isinstance(each, Lease))
    drains = tuple(each for each in given if isinstance(each, Drain))
    return DesiredState("uid-web", generation, closed, {}, leases, drains=drains)


def held(*given: Lease | Drain, closed: frozenset[ClosedPort] = KILL) -> Held:
    return hold(Held(), told(*given, closed=closed), T, T)


def left(found: Held, now: float) -> Mapping[OpeningKey, timedelta]:
    return rule_set(found, now).drains


HOLDING = held(lease(60), drain(90))


# -- what the point makes of it ----------------------------------------------------------------


def test_it_lasts_beyond_its_lease_and_no_longer() -> None:
    assert left(HOLDING, T) == {ALICE: timedelta(seconds=90)}
    over = forget_ended(HOLDING, T + 61)
    assert not rule_set(over, T + 61).openings, "nobody new is let in"
    assert left(over, T + 61) == {ALICE: timedelta(seconds=29)}
    assert left(over, T + 90) == {}
    assert forget_ended(over, T + 90).drains == {}


def test_a_lease_without_one_has_none() -> None:
    assert left(held(lease(60)), T) == {}


def test_only_connections_that_would_be_killed_need_one() -> None:
    """On a keep port they stay anyway; of UDP there are none."""
    assert left(held(lease(60), drain(90), closed=frozenset({ClosedPort(SSH)})), T) == {}
    both = (SSH, DNS)
    closed = frozenset(ClosedPort(port, OnExpiry.KILL) for port in both)
    found = left(held(lease(60, ports=both), drain(90, ports=both), closed=closed), T)
    assert found == {ALICE: timedelta(seconds=90)}
    assert left(held(lease(60), drain(90), closed=frozenset()), T) == {}, "no closed port"


def test_it_begins_with_its_lease_alone() -> None:
    """A server that is restored, or lies, has nobody stay whose lease is over or unknown."""
    assert held(drain(90)).drains == {}
    over = forget_ended(held(lease(60)), T + 61)
    assert hold(over, told(drain(29), generation=2), T + 61, T + 61).drains == {}
    by_root = Held(closed=KILL, leases={"g": HeldLease((SSH,), ALICE_HOST, T + 60, is_local=True)})
    assert hold(by_root, told(drain(90)), T, T).drains == {}


def test_it_goes_on_when_its_lease_is_over() -> None:
    over = hold(HOLDING, told(drain(29), generation=2), T + 61, T + 61)
    assert not over.leases
    assert left(over, T + 61) == {ALICE: timedelta(seconds=29)}


def test_one_that_is_named_no_more_ends_at_once() -> None:
    """What a revocation does: with the lease, and while it drains."""
    assert left(hold(HOLDING, told(generation=2), T + 1, T + 1), T + 1) == {}
    assert left(hold(HOLDING, told(lease(59), generation=2), T + 1, T + 1), T + 1) == {}
    over = forget_ended(HOLDING, T + 61)
    revoked = hold(over, told(generation=2), T + 61, T + 61)
    assert revoked.drains == {}
    again = hold(revoked, told(lease(60), drain(90), generation=3), T + 62, T + 62)
    assert again.drains == {}, "nor does an older backup bring it back"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        # Of two ends the earlier counts.
        ((lease(60), drain(300)), 90),
        ((lease(60), drain(70)), 70),
        # A recorded extension moves both.
        ((lease(200, 1), drain(300, 1)), 300),
    ],
)
def test_its_time_grows_by_an_extension_alone(
    given: tuple[Lease | Drain, ...], seconds: float
) -> None:
    again = hold(HOLDING, told(*given, generation=2), T, T)
    assert left(again, T) == {ALICE: timedelta(seconds=seconds)}


def test_a_slow_state_begins_none_and_shortens_some() -> None:
    late = T + STALE_AFTER + 1
    assert hold(Held(), told(lease(60), drain(90)), T, late).drains == {}
    longer = hold(HOLDING, told(lease(60), drain(300, 1), generation=2), T, late)
    assert longer.drains["g"].deadline == T + 90
    shorter = hold(HOLDING, told(lease(60), drain(61), generation=2), T, late)
    assert shorter.drains["g"].deadline == T + 61


def test_who_is_refused_or_anew_has_none() -> None:
    assert close_all(HOLDING).drains == {}
    assert begin_anew(HOLDING).drains == {}
    assert only_closed(HOLDING).drains == {}


def test_of_two_with_one_source_the_longer_counts() -> None:
    other = replace(HOLDING.drains["g"], deadline=T + 200)
    for drains in ({"a": other, **HOLDING.drains}, {**HOLDING.drains, "a": other}):
        assert left(replace(HOLDING, drains=drains), T) == {ALICE: timedelta(seconds=200)}


# -- behind a gateway --------------------------------------------------------------------------

APP, OLD, APP6 = map(ip_address, ("10.1.0.10", "10.1.0.11", "fd01::10"))


def test_behind_a_gateway_it_is_at_the_machines_address_alone() -> None:
    rules = behind(rule_set(HOLDING, T), (APP, APP6), (OLD,))
    assert rules.drains == {OpeningKey(ALICE.source, SSH.behind(APP)): timedelta(seconds=90)}, (
        "not where it was before, nor at the other IP version"
    )
    assert part_at(rules, APP).drains == rule_set(HOLDING, T).drains
    assert part_at(rules, None).drains == {}


def test_of_several_machines_the_longer_counts() -> None:
    one, other = RuleSet(drains={ALICE: MINUTE}), RuleSet(drains={ALICE: 2 * MINUTE})
    assert united([one, other]).drains == united([other, one]).drains == {ALICE: 2 * MINUTE}


def test_a_machine_that_is_named_no_more_has_none() -> None:
    gateway = Held(behind={"uid-app": HeldBehind(HOLDING, (APP,))})
    assert keep_named(gateway, []).behind["uid-app"].held.drains == {}
    gone = none_let_go_yet(Held(), gateway)
    assert gone.behind["uid-app"].held.drains == {}


# -- what is saved -----------------------------------------------------------------------------


def test_an_end_that_came_earlier_is_saved_first() -> None:
    """Else a death of the agent would give the time back."""
    earlier = replace(HOLDING, drains={"g": replace(HOLDING.drains["g"], deadline=T + 80)})
    assert ends_earlier(earlier, HOLDING, T)
    assert ends_earlier(replace(HOLDING, drains={}), HOLDING, T)
    assert ends_earlier(replace(HOLDING, leases={}), HOLDING, T)
    assert ends_earlier(Held(), Held(behind={"uid-app": HeldBehind(HOLDING)}), T)
    assert not ends_earlier(HOLDING, earlier, T)
    assert not ends_earlier(HOLDING, HOLDING, T)
    assert not ends_earlier(Held(), HOLDING, T + 91), "both are over"


def test_the_next_end_is_a_lease_s_or_a_drain_s() -> None:
    assert sorted(ends(HOLDING)) == [T + 60, T + 90]
    assert list(ends(Held(behind={"uid-app": HeldBehind(HOLDING)}))) == [T + 60, T + 90]


# -- the guard ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "given", "remaining"),
    [
        # No bound bounds nothing.
        (Guard(), (lease(60), drain(90)), [90]),
        (Guard(max_drain=MINUTE), (lease(60), drain(90)), [90]),
        # From the lease's end on.
        (Guard(max_drain=timedelta(seconds=10)), (lease(60), drain(90)), [70]),
        (Guard(max_drain=timedelta(0)), (lease(60), drain(90)), [60]),
        # A lease that is shortened takes its drain along.
        (Guard(max_duration=timedelta(seconds=20)), (lease(60), drain(90)), [50]),
        # Of one whose lease is over, from now on.
        (Guard(max_drain=timedelta(seconds=10)), (drain(29),), [10]),
        (Guard(max_drain=timedelta(seconds=10)), (drain(9),), [9]),
        # What is not let in does not stay.
        (Guard(ports=()), (lease(60), drain(90)), []),
        (Guard(sources=()), (drain(29),), []),
        # Nor of a lease that is refused for another port of it.
        (Guard(ports=(SSH,)), (lease(60, ports=(SSH, DNS)), drain(90)), []),
    ],
)
def test_what_a_guard_leaves_of_it(
    guard: Guard, given: tuple[Lease | Drain, ...], remaining: list[float]
) -> None:
    found = bound(told(*given), guard).state.drains
    assert [each.remaining.total_seconds() for each in found] == remaining


@pytest.mark.parametrize(
    ("guard", "at", "end"),
    [
        (Guard(), T, T + 90),
        (Guard(max_drain=timedelta(seconds=10)), T, T + 70),
        (Guard(max_duration=timedelta(seconds=20)), T, T + 50),
        (Guard(max_drain=timedelta(seconds=10)), T + 61, T + 71),
        (Guard(sources=()), T, None),
    ],
)
def test_an_agent_that_starts_with_another_guard(
    guard: Guard, at: float, end: float | None
) -> None:
    begun, _ = bound_held(forget_ended(HOLDING, at), guard, at)
    assert [each.deadline for each in begun.drains.values()] == ([] if end is None else [end])


def test_a_lease_that_a_new_guard_refuses_takes_its_drain_along() -> None:
    """Else its connections would stay from now on, by the port of it that is admitted."""
    both = held(lease(60, ports=(SSH, DNS)), drain(90))
    assert left(both, T)
    for guard in (Guard(ports=(SSH,)), Guard(ports=(DNS,))):
        begun, notes = bound_held(both, guard, T)
        assert not begun.leases
        assert not begun.drains
        assert notes


def test_what_two_guards_admit() -> None:
    assert Guard(max_drain=MINUTE).within(Guard()).max_drain == MINUTE
    assert Guard(max_drain=MINUTE).within(Guard(max_drain=2 * MINUTE)).max_drain == MINUTE


# -- what an agent is told ---------------------------------------------------------------------


def test_an_agent_that_does_not_know_it_opens_nothing_of_that_grant() -> None:
    """EDGES F4: its connections would end with the lease, which nobody agreed to."""
    plain = replace(lease(60), grant_id="other")
    state = told(lease(60), drain(90), plain)
    assert known_part(state, KNOWN) is state
    found = known_part(state, KNOWN - {Feature.DRAIN})
    assert found.leases == (plain,)
    assert found.drains == ()
    assert found.closed == KILL
    no_kill = known_part(state, KNOWN - {Feature.KILL})
    assert not no_kill.leases
    assert not no_kill.drains


def test_it_counts_from_when_the_agent_asked() -> None:
    found = counted_from_before(told(lease(60), drain(90)), timedelta(seconds=5))
    assert found.drains == (drain(95),)


# -- the plan ----------------------------------------------------------------------------------

RULES = RuleSet(KILL, drains={ALICE: MINUTE})
BOB = OpeningKey(BOB_HOST[0].networks[0], SSH)


@pytest.mark.parametrize(
    ("desired", "observed", "operations"),
    [
        ({ALICE: MINUTE}, {}, (PutDrain(ALICE, MINUTE),)),
        ({}, {ALICE: MINUTE}, (DropDrain(ALICE),)),
        ({ALICE: MINUTE}, {ALICE: MINUTE}, ()),
        ({ALICE: MINUTE}, {ALICE: MINUTE + timedelta(milliseconds=50)}, ()),
        ({ALICE: MINUTE}, {ALICE: 2 * MINUTE}, (PutDrain(ALICE, MINUTE),)),
        ({ALICE: 2 * MINUTE}, {ALICE: MINUTE}, (PutDrain(ALICE, 2 * MINUTE),)),
        ({BOB: MINUTE}, {ALICE: MINUTE}, (DropDrain(ALICE), PutDrain(BOB, MINUTE))),
    ],
)
def test_the_difference(
    desired: dict[OpeningKey, timedelta],
    observed: dict[OpeningKey, timedelta],
    operations: tuple[object, ...],
) -> None:
    seen = Observed(RuleSet(KILL, drains=observed), is_intact=True)
    assert plan(RuleSet(KILL, drains=desired), seen) == operations


def test_a_refused_plan_lets_nobody_stay_for_longer() -> None:
    begun = closing_halves([PutDrain(ALICE, MINUTE)], RuleSet(KILL), ())
    assert list(begun) == [(), (), ()]
    for half in closing_halves(
        [PutDrain(ALICE, MINUTE)], RuleSet(KILL, drains={ALICE: 2 * MINUTE}), ()
    ):
        assert half == (DropDrain(ALICE),)
    for half in closing_halves([DropDrain(ALICE)], RULES, ()):
        assert half == (DropDrain(ALICE),)
    for half in closing_halves([Rebuild(RULES)], RULES, ()):
        assert half == (Rebuild(RuleSet(KILL)),)


# -- the server's half -------------------------------------------------------------------------

DRAINS = frozenset({ClosedPort(SSH, OnExpiry.DRAIN)})
GRANT = replace(
    grant(),
    on_expiry=OnExpiry.DRAIN,
    drain_for=MINUTE,
    state=GrantState.OPEN,
    protocol=RuleProtocol.TCP,
)
OVER = replace(GRANT, state=GrantState.CLOSED, reason=StatusReason.EXPIRED)


def drains_at(
    given: Grant,
    now: datetime,
    closed: frozenset[ClosedPort] = DRAINS,
    uid: str = GRANT.machine_uid,
) -> list[timedelta]:
    live, drained = ([given], ()) if given.is_live else ([], [given])
    state = desired_state(uid, 1, closed, {}, live, now, drained=drained)
    assert all(each.on_expiry is not OnExpiry.DRAIN for each in state.closed)
    return [each.remaining for each in state.drains]


@pytest.mark.parametrize(
    ("given", "after", "stay"),
    [
        # From its lease's end on, for the time of the policy.
        (GRANT, timedelta(0), HOUR + MINUTE),
        (GRANT, HOUR - MINUTE, 2 * MINUTE),
        # The sweep may come later than the end.
        (GRANT, HOUR, MINUTE),
        (OVER, HOUR + MINUTE / 2, MINUTE / 2),
        (replace(OVER, state=GrantState.CLOSING), HOUR, MINUTE),
        (OVER, HOUR + MINUTE, None),
        # A clock that went back gives nobody more.
        (OVER, timedelta(0), MINUTE),
        # Time alone lets anybody stay.
        (replace(OVER, reason=StatusReason.USER_REQUESTED), HOUR, None),
        (replace(OVER, reason=StatusReason.NEWER_REQUEST_INITIATED), HOUR, None),
        (replace(OVER, state=GrantState.FAILED), HOUR, None),
        (replace(OVER, cut_at=NOW), HOUR, None),
        (replace(GRANT, cut_at=NOW), timedelta(0), None),
        (replace(GRANT, on_expiry=OnExpiry.KILL), timedelta(0), None),
        (replace(GRANT, drain_for=None), timedelta(0), None),
        # What did not open in time has none; what may still open has.
        (replace(GRANT, state=GrantState.OPENING), timedelta(0), HOUR + MINUTE),
        (replace(GRANT, state=GrantState.OPENING), timedelta(minutes=2), None),
    ],
)
def test_whose_connections_may_stay(given: Grant, after: timedelta, stay: timedelta | None) -> None:
    assert drains_at(given, NOW + after) == ([] if stay is None else [stay])


def test_udp_has_none() -> None:
    both, udp = (replace(GRANT, protocol=each) for each in (RuleProtocol.ALL, RuleProtocol.UDP))
    assert both.drained_at == GRANT.drained_at == GRANT.ends_at + MINUTE
    assert udp.drained_at is None
    assert replace(udp, state=GrantState.CLOSED, reason=StatusReason.EXPIRED).drained_at is None


@pytest.mark.parametrize(
    ("other", "is_so"),
    [
        (GRANT, True),
        (replace(GRANT, id="other", protocol=RuleProtocol.UDP, ends_at=NOW), True),
        (replace(GRANT, sources=(AddressPrefix(None),)), True),
        (replace(GRANT, sources=(*BOB_HOST, *ALICE_HOST)), True),
        (replace(GRANT, sources=(AddressPrefix.parse("192.0.2.0/24"),)), True),
        (replace(GRANT, sources=BOB_HOST), False),
        (replace(GRANT, sources=(AddressPrefix.parse("::/0"),)), False),
        (replace(GRANT, requestor_id="somebody else"), False),
        (replace(GRANT, machine_uid="another"), False),
        (replace(GRANT, number=23), False),
    ],
)
def test_who_shares_a_source(other: Grant, is_so: bool) -> None:
    assert GRANT.shares_source(other) is is_so
    assert other.shares_source(GRANT) is is_so


def test_it_is_of_ports_that_drain_now_and_of_this_machine() -> None:
    assert drains_at(GRANT, NOW, KILL) == []
    assert drains_at(GRANT, NOW, frozenset({ClosedPort(SSH)})) == []
    assert drains_at(GRANT, NOW, frozenset()) == []
    assert drains_at(GRANT, NOW, uid="another") == []
    both = replace(GRANT, protocol=RuleProtocol.ALL)
    state = desired_state(GRANT.machine_uid, 1, DRAINS, {}, [both], NOW)
    assert [each.ports for each in state.drains] == [(SSH,)]


def test_it_counts_for_the_size_of_a_state() -> None:
    assert GRANT.told_size == 2 * replace(GRANT, drain_for=None).told_size


def test_those_that_last_longest_are_told_if_not_all_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the others connections end with their lease: nobody stays for longer than agreed."""
    grants = [replace(OVER, id=str(n), ends_at=OVER.ends_at + n * MINUTE / 10) for n in range(4)]
    now = NOW + HOUR + MINUTE / 3

    def names() -> list[str]:
        state = desired_state(GRANT.machine_uid, 1, DRAINS, {}, [], now, drained=grants)
        return [each.grant_id for each in state.drains]

    assert names() == ["3", "2", "1", "0"]
    monkeypatch.setattr("bascule.domain.desired.MAXIMUM_OPENINGS_PER_MACHINE", 2)
    assert names() == ["3", "2"]
    monkeypatch.setattr("bascule.domain.desired.MAXIMUM_STATE", 1100)
    assert names() == []


# -- the decision ------------------------------------------------------------------------------

STAYS = replace(rule(), on_expiry=OnExpiry.DRAIN, drain_for=10 * MINUTE)


@pytest.mark.parametrize(
    ("ruled", "guard", "cannot", "found"),
    [
        (STAYS, Guard(), (), []),
        (STAYS, Guard(max_drain=10 * MINUTE), (), []),
        (STAYS, Guard(max_drain=9 * MINUTE), (), ["DrainTooLong"]),
        (STAYS, Guard(max_drain=timedelta(0)), (), ["DrainTooLong"]),
        (STAYS, Guard(), ("uid-web",), ["CannotDrain"]),
        (STAYS, Guard(), ("uid-db",), []),
        # Of other settings neither matters.
        (rule(), Guard(max_drain=timedelta(0)), ("uid-web",), []),
    ],
)
def test_who_is_promised_a_time(
    ruled: PortRule, guard: Guard, cannot: tuple[str, ...], found: list[str]
) -> None:
    decision = decide(
        policy(ruled),
        request(),
        {WEB: machine()},
        [],
        lambda: "g",
        NOW,
        guards={"uid-web": guard},
        cannot_drain=cannot,
    )
    if found:
        assert isinstance(decision, Denied)
        assert codes(decision.reasons) == found
    else:
        assert isinstance(decision, Allowed)
        assert decision.grants[0].drain_for == ruled.drain_for
