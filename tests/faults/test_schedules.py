"""Twenty short schedules of requests, edits and faults; ``make faults N=200`` does more."""

from __future__ import annotations

import pytest

from tests.faults.schedule import make_schedule
from tests.faults.series import run
from tests.faults.world import World


@pytest.mark.parametrize("seed", range(1, 21))
def test_nothing_opens_that_should_not_and_nothing_is_lost(world: World, seed: int) -> None:
    verdict = run(world, make_schedule(seed))
    assert not verdict.findings, str(verdict)
    assert verdict.knocks > 0


def test_a_seed_is_the_same_schedule_for_ever() -> None:
    """A failure that prints its seed can be done again."""
    assert make_schedule(7) == make_schedule(7)
    assert make_schedule(7) != make_schedule(8)
