"""Twenty short schedules of requests, edits and faults; ``make faults N=200`` does more."""

from __future__ import annotations

import pytest

from tests.faults.schedule import (
    BEHIND,
    GATEWAY,
    LINK,
    Ask,
    Cut,
    Flush,
    Kill,
    Reboot,
    ReplaceAgent,
    Stop,
    TurnClock,
    make_schedule,
)
from tests.faults.series import run
from tests.faults.world import World

SEEDS = range(1, 21)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_opens_that_should_not_and_nothing_is_lost(world: World, seed: int) -> None:
    verdict = run(world, make_schedule(seed))
    assert not verdict.findings, str(verdict)
    assert verdict.knocks > 0


def test_a_seed_is_the_same_schedule_for_ever() -> None:
    """A failure that prints its seed can be done again."""
    assert make_schedule(7) == make_schedule(7)
    assert make_schedule(7) != make_schedule(8)


def test_the_short_ones_disturb_the_gateway_while_its_machines_are_asked_for() -> None:
    """Each machine behind, and each way in which a gateway is lost."""
    steps = [step.action for seed in SEEDS for step in make_schedule(seed).steps]
    assert {each.machine for each in steps if isinstance(each, Ask)} >= {GATEWAY, *BEHIND}
    lost = {Kill(GATEWAY), Stop(GATEWAY), Cut(GATEWAY), Cut(LINK), Flush(GATEWAY), Reboot(GATEWAY)}
    assert {*lost, ReplaceAgent(GATEWAY)} <= {*steps}
    assert any(isinstance(each, TurnClock) for each in steps)
