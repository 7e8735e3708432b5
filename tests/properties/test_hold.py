"""What an enforcement point makes of any state: it may close at will, and open hardly ever."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.desired import SHORTEST, STALE_AFTER, DesiredState, OpeningKey
from bascule.domain.held import Held, close_all, forget_ended, hold, rule_set
from tests.strategies import helds, states

moments = st.sampled_from([0.0, 10.0, 1000.0, 5000.0])
delays = st.one_of(st.just(0.0), st.floats(0, 60), st.just(STALE_AFTER), st.floats(30.001, 90))


def opens(held: Held, now: float) -> dict[OpeningKey, timedelta]:
    return {key: each.remaining for key, each in rule_set(held, now).openings.items()}


def spans_of(state: DesiredState) -> dict[str, float]:
    return {lease.grant_id: lease.remaining.total_seconds() for lease in state.leases}


@given(helds, states, moments, delays)
def test_a_lease_is_lengthened_only_by_a_recorded_extension(
    held: Held, state: DesiredState, asked_at: float, delay: float
) -> None:
    """A8, for every lease that was held before and is after."""
    after = hold(held, state, asked_at, asked_at + delay)
    told = {lease.grant_id: lease for lease in state.leases}
    for grant_id in held.leases.keys() & after.leases.keys():
        old, new = held.leases[grant_id], after.leases[grant_id]
        if new.deadline > old.deadline:
            assert told[grant_id].extension > old.extension
            assert delay <= STALE_AFTER
            assert not old.is_local
            assert new.deadline == asked_at + spans_of(state)[grant_id]


@given(helds, states, moments, st.sampled_from([30.001, 31.0, 90.0, 3000.0]))
def test_a_stale_state_opens_nothing(
    held: Held, state: DesiredState, asked_at: float, delay: float
) -> None:
    """Every opening after it was there before, on a port that was shut, and no longer."""
    now = asked_at + delay
    before, after = opens(held, now), hold(held, state, asked_at, now)
    shut = {each.port for each in held.closed}
    for key, remaining in opens(after, now).items():
        if key.port in shut:
            assert remaining <= before[key]
        else:  # a port that this very state closes: everybody could reach it till now
            assert key.port in {each.port for each in state.closed}
    assert after.generation == held.generation
    assert {each.port for each in after.closed} >= shut


@given(helds, states, moments, delays)
def test_an_older_state_changes_nothing(
    held: Held, state: DesiredState, asked_at: float, delay: float
) -> None:
    """Generations only rise, whatever is replayed."""
    after = hold(held, state, asked_at, asked_at + delay)
    if state.generation < held.generation:
        assert after == held
    assert after.generation >= held.generation


@given(helds, states, moments, delays)
def test_a_closed_port_leaves_only_by_release(
    held: Held, state: DesiredState, asked_at: float, delay: float
) -> None:
    """A10: named as released, by a state that is neither old nor slow nor closes it itself, and
    by a generation that was not taken in yet."""
    after = hold(held, state, asked_at, asked_at + delay)
    for port in {each.port for each in held.closed} - {each.port for each in after.closed}:
        assert state.released[port] > held.generation
        assert port not in {each.port for each in state.closed}
        assert delay <= STALE_AFTER
        assert state.generation >= held.generation


@given(helds, states, moments)
def test_holding_twice_is_holding_once(held: Held, state: DesiredState, asked_at: float) -> None:
    """A retried answer adds nothing."""
    once = hold(held, state, asked_at, asked_at)
    assert hold(once, state, asked_at, asked_at) == once


@given(helds, states, states, moments)
def test_two_states_of_one_generation_never_lengthen(
    held: Held, first: DesiredState, second: DesiredState, asked_at: float
) -> None:
    """What is read again later with more time in it opens no longer than the first reading."""
    once = hold(held, first, asked_at, asked_at)
    again = hold(once, second, asked_at, asked_at)
    for grant_id, lease in again.leases.items():
        known = once.leases.get(grant_id) or once.ended.get(grant_id)
        if known is not None and lease.extension <= known.extension:
            assert lease.deadline <= known.deadline
            assert grant_id in once.leases, "what left does not come back"


@given(helds, moments, st.integers(0, 7200))
def test_time_only_closes(held: Held, now: float, passed: int) -> None:
    """With nobody alive to do anything, every opening shrinks by exactly the time that passes."""
    later = opens(held, now + passed)
    for key, remaining in later.items():
        assert abs(opens(held, now)[key] - timedelta(seconds=passed) - remaining) < SHORTEST
    assert opens(forget_ended(held, now), now) == opens(held, now)


@given(helds, moments)
def test_an_opening_lasts_as_long_as_the_longest_lease(held: Held, now: float) -> None:
    """Grants that overlap are counted: one ending never closes another's."""
    shut = {each.port for each in held.closed}
    expected: dict[OpeningKey, timedelta] = {}
    for lease in held.leases.values():
        left = timedelta(seconds=lease.deadline - now)
        for port in shut.intersection(lease.ports):
            for network in (each for prefix in lease.sources for each in prefix.networks):
                key = OpeningKey(network, port)
                if left >= SHORTEST:
                    expected[key] = max(left, expected.get(key, left))
    assert opens(held, now) == expected


@given(helds, moments)
def test_openings_are_of_closed_ports_and_last_a_moment(held: Held, now: float) -> None:
    """No element for a port that nobody closed, none under a millisecond, none without a lease."""
    made = rule_set(held, now)
    shut = {each.port for each in held.closed}
    for key, opening in made.openings.items():
        assert key.port in shut
        assert opening.remaining >= SHORTEST
        assert key.port in held.leases[opening.grant_id].ports
    assert rule_set(close_all(held), now).openings == {}
