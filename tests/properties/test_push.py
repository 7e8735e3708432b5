"""A pushed state: the delayed answer to a standing question, whatever the way does to it (EDGES A8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.desired import LONGEST_CUT, STALE_AFTER, Cut, DesiredState, Lease
from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.held import Held, hold
from bascule.domain.machine import ClosedPort
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.told import counted_from_before
from bascule.protocol.codec import decode, encode
from bascule.protocol.state import State
from tests.strategies import states

SSH = PortKey(TransportProtocol.TCP, 22)
ANY = AddressPrefix.parse("*")
spans = st.floats(0, 40)


def a_state(generation: int, remaining: float) -> DesiredState:
    """As the server makes it: what is over is no lease."""
    lease = Lease("g", (SSH,), (ANY,), timedelta(seconds=remaining))
    leases = (lease,) if remaining >= 0.001 else ()
    return DesiredState("m", generation, frozenset({ClosedPort(SSH)}), {}, leases)


@given(
    st.floats(1, 300),  # when the grant ends, on the one true clock
    st.lists(
        st.tuples(
            spans,  # when the agent sent the nonce
            spans,  # how long that was on its way
            spans,  # how much later the server pushed, in answer to it
            spans,  # how long the push was on its way
            st.floats(0, 100),  # how far the server's wall clock was put forward by then
            st.integers(1, 3),  # generation
        ),
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_no_delay_doubling_reordering_or_clock_put_forward_lengthens_anything(
    end: float, pushes: list[tuple[float, float, float, float, float, int]], order: Random
) -> None:
    arrivals = []
    for sent, there, later, back, forward, generation in (*pushes, *pushes):  # each of them twice
        pushed = sent + there + later
        state = counted_from_before(
            a_state(generation, end - pushed - forward), timedelta(seconds=later)
        )
        arrivals.append((pushed + back, sent, state))
    order.shuffle(arrivals)
    held, now = Held(), 0.0
    for arrived, sent, state in arrivals:
        now = max(now, arrived)
        held = hold(held, state, sent, now)
        for lease in held.leases.values():
            assert lease.deadline <= end + 0.001


@given(spans, spans, spans)
def test_a_push_ends_no_later_and_earlier_by_the_nonces_way_alone(
    there: float, later: float, back: float
) -> None:
    end, sent = 300.0, 0.0
    state = counted_from_before(a_state(1, end - (there + later)), timedelta(seconds=later))
    held = hold(Held(), state, sent, there + later + back)
    if there + later + back > STALE_AFTER:
        assert not held.leases  # a push that was held back opens nothing
    else:
        assert abs(held.leases["g"].deadline - (end - there)) < 0.001


@given(states, st.integers(0, int(STALE_AFTER * 1000)))
def test_what_is_pushed_differs_in_its_times_alone_and_a_point_takes_it(
    state: DesiredState, milliseconds: int
) -> None:
    ago = timedelta(milliseconds=milliseconds)
    given_cuts = tuple(
        Cut(each.grant_id, each.ports, each.sources, each.remaining) for each in state.leases[:1]
    )
    cut = replace(
        state,
        cuts=tuple(
            replace(each, remaining=min(each.remaining, timedelta(minutes=2)))
            for each in given_cuts
        ),
    )
    told = counted_from_before(cut, ago)
    assert replace(told, leases=cut.leases, cuts=cut.cuts) == cut
    for before, after in zip(cut.leases, told.leases, strict=True):
        assert after.remaining == min(before.remaining + ago, MAXIMUM_DURATION)
        assert replace(after, remaining=before.remaining) == before
    for old, new in zip(cut.cuts, told.cuts, strict=True):
        assert new.remaining == old.remaining + ago <= LONGEST_CUT
    assert decode(State, encode(State(told))).desired.generation == state.generation
