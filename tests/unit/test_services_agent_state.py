"""What an agent is told is counted, and bounded before it is promised (EDGES E4)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bascule.domain.decide import Denied
from bascule.domain.desired import CUT_FOR, told_of_ports
from bascule.domain.net import PortKey, TransportProtocol
from bascule.errors import Conflict
from bascule.services import live_requests, requests, unnamed_ports
from bascule.services.agent_state import told_beside
from tests.unit.services_world import ANNA, World, rules


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def beside(world: World) -> int:
    asked = world.see(lambda tx: tx.asked([world.web.id], world.clock.wall - CUT_FOR))
    return told_beside(asked.machines[world.web.id])


def test_what_an_agent_is_told_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """EDGES E4: ports that are shut or were let go count, and what is to be cut."""
    world.put(rules(world.web, 22, 80))
    grant = world.granted(world.web)
    told = beside(world)
    assert told == told_of_ports(2)
    world.put(rules(world.web, 22))
    world.do(lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, None))
    assert beside(world) == told
    most = told + 2 * grant.told_size
    monkeypatch.setattr("bascule.domain.limits.MAXIMUM_STATE", most)
    second = world.granted(world.web, source="192.0.2.2")
    refused = world.ask(world.web, source="192.0.2.3")
    assert isinstance(refused, Denied)
    assert [each.code for each in refused.reasons] == ["StateTooLarge"]
    world.report(world.web, grant.id, second.id)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, second.request_id, None, kills_sessions=True, subject=ANNA
        )
    )
    world.report(world.web, grant.id)
    refused = world.ask(world.web, source="192.0.2.3")
    assert isinstance(refused, Denied), "the agent is told of the cut for two minutes"
    world.clock.pass_time(121)
    assert isinstance(world.ask(world.web, source="192.0.2.3"), requests.Initiated)


def test_ports_that_are_shut_or_were_let_go_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.services.closed_ports.MOST_PORTS", 3)
    world.put(rules(world.web, 1, 2, 3))
    with pytest.raises(Conflict, match="at most 3"):
        world.put(rules(world.web, 1, 2, 3, 4))
    world.put(rules(world.web, 1, 2))
    world.do(lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, None))
    with pytest.raises(Conflict, match="at most 3"):
        world.put(rules(world.web, 1, 2, 4))
    another = {PortKey(TransportProtocol.TCP, 4)}
    with pytest.raises(Conflict, match="at most 3"):
        world.do(lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, another))
    world.put(rules(world.web, 1, 2, 3))
