"""Twenty short schedules of requests, edits and faults; ``make faults N=200`` does more."""

from __future__ import annotations

import pytest

from tests.faults.approvals import drawn
from tests.faults.schedule import (
    BEHIND,
    DATABASE,
    GATEWAYS,
    LINKS,
    REPLICAS,
    SERVER,
    Ask,
    Cut,
    FillDisk,
    Flush,
    FreeDisk,
    GiveConnectionsBack,
    GiveRole,
    Kill,
    Promote,
    Reboot,
    ReplaceAgent,
    Stop,
    TakeRole,
    TurnClock,
    UseUpConnections,
    on_replicas,
)
from tests.faults.series import broken_record, run
from tests.faults.world import World

SEEDS = range(1, 21)
IN_EACH_RUN = 8  # of them; the others are long


@pytest.mark.parametrize(
    "seed",
    [
        *SEEDS[:IN_EACH_RUN],
        *(pytest.param(seed, marks=pytest.mark.long) for seed in SEEDS[IN_EACH_RUN:]),
    ],
)
def test_nothing_opens_that_should_not_and_nothing_is_lost(world: World, seed: int) -> None:
    verdict = run(world, drawn(seed))
    assert not verdict.findings, str(verdict)
    assert verdict.knocks > 0


def test_the_record_is_whole_after_all_of_them(world: World) -> None:
    assert not broken_record(world)


def test_a_seed_is_the_same_schedule_for_ever() -> None:
    """A failure that prints its seed can be done again."""
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_on_replicas_each_of_their_faults_is_done() -> None:
    """To one of three, while the rest of the schedule is as it was."""
    schedules = [on_replicas(drawn(seed)) for seed in range(1, 61)]
    steps = {step.action for schedule in schedules for step in schedule.steps}
    assert {FillDisk(is_log=True), FillDisk(is_log=False), FreeDisk()} <= steps
    assert {Kill(DATABASE), Promote(), UseUpConnections(), GiveConnectionsBack()} <= steps
    assert not steps & {Kill(SERVER), Stop(SERVER), Cut(SERVER)}, "there is a balancer"
    for replica in REPLICAS:
        faults = {Kill(replica), Stop(replica), Cut(replica, DATABASE), Cut(replica, SERVER)}
        assert faults <= steps
        assert any(isinstance(each, TurnClock) and each.unit == replica for each in steps)
    taken = {each.person for each in steps if isinstance(each, TakeRole)}
    assert taken
    assert taken == {each.person for each in steps if isinstance(each, GiveRole)}


def test_the_short_ones_disturb_the_gateways_while_their_machines_are_asked_for() -> None:
    """Each machine behind, and each way in which a gateway is lost."""
    steps = [step.action for seed in SEEDS for step in drawn(seed).steps]
    assert {each.machine for each in steps if isinstance(each, Ask)} >= {*GATEWAYS, *BEHIND}
    for link, gateway in LINKS.items():
        lost = {Kill(gateway), Stop(gateway), Cut(gateway), Cut(link), Flush(gateway)}
        assert {*lost, Reboot(gateway)} <= {*steps}
        assert any(isinstance(each, TurnClock) and each.unit == gateway for each in steps)
    assert any(isinstance(each, ReplaceAgent) for each in steps)
