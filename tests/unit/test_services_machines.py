"""A machine that goes takes everything with it, in the transaction that deletes it (EDGES A12)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bascule.domain.lifecycle import StatusReason
from bascule.errors import AuthenticationFailed
from bascule.services import fleet, machines
from tests.unit.services_world import World, rules


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_deleting_a_machine_ends_its_grants(world: World) -> None:
    """Revoked, not forgotten: the record says what was open and what ended it."""
    world.put(rules(world.web, 22), rules(world.db, 22))
    here, there = world.granted(world.web), world.granted(world.db)
    world.report(world.web, here.id)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    ended = world.grant(here)
    assert not ended.is_live
    assert ended.reason is StatusReason.USER_REQUESTED
    assert "GrantEnded" in world.kinds()
    assert world.grant(there).is_live, "another machine's grant is its own"


def test_a_machine_without_a_point_is_told_nothing(world: World) -> None:
    """Its agent's key was taken away, or there never was one: no state, so it shuts all."""
    machine = world.add_machine("bare-1", "10.0.0.7")
    world.put(rules(machine, 22))
    world.granted(machine)
    with pytest.raises(AuthenticationFailed) as refused:
        world.see(lambda tx: fleet.state_for(tx, machine.uid, world.clock.wall))
    assert refused.value.specific_code == "AgentUnknown"
