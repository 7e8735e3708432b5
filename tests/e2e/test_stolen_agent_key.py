"""Whoever holds one agent's key: what they say of its host is not what becomes of it (EDGES E7)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.agent.enrolment import load_identity, trust_of
from bascule.agent.http_link import HttpLink
from bascule.client import policies
from bascule.clocks import SystemClock
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.protocol.report import Report
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule
from tests.netns.conftest import why_not

pytestmark = [pytest.mark.root, pytest.mark.leak]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22, 80, 443)
        yield made


def test_a_thief_closes_no_port_and_ends_little(world: SmallWorld, tmp_path: Path) -> None:
    """The host's own agent lives and has the same key: it was told to close what the thief said."""
    world.start(rule(22))
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    shutil.copy(world.state / "identity.json", stolen)
    identity = load_identity(stolen)
    assert identity is not None
    point = world.machine().point
    assert point is not None
    claims = frozenset(
        ClosedPort(PortKey(TransportProtocol.TCP, number)) for number in (22, 53, 80, 443, 8443)
    )

    def steal() -> None:
        link = HttpLink(identity, trust_of(stolen), SystemClock())
        known = point.generation
        for _ in range(50):
            known = link.send_report(Report(known + 1, frozenset(), closed=claims))
        for _ in range(3):
            link.send_report(Report(known, frozenset(), closed=claims))
        link.close()

    world.network.client.inside(steal)
    assert len(world.events("GenerationOvertaken")) <= 1
    assert len(world.events("AgentDoubted")) == 1
    assert world.network.stranger.lets_in(80), "open as before"
    assert world.network.stranger.lets_in(443)
    assert not world.lets_stranger_in(22)
    assert world.agent_status()["closed"] == ["22/tcp"]
    machine = world.machine()
    assert machine.point is not None
    assert machine.point.doubted_since is not None
    assert {each.number for each in machine.closed_ports} == {22}

    world.token = world.enrol_token(replaces=True)  # the owner's remedy
    assert world.agent is not None
    world.agent.kill()
    (world.state / "identity.json").unlink()
    world.start_agent()
    # The server calls the machine enforced until the new agent enrols: wait for the new one.
    assert until(lambda: world.on_host(*world.status, check=False).returncode == 0, 30)
    assert until(lambda: not world.machine().claimed_ports, 30), world.logs()
    world.wait_enforced(30)
    assert world.agent_status()["closed"] == ["22/tcp"]
    assert world.machine().point is not None
    assert world.ask(lambda c: policies.release_ports(c, world.machine_id, [])) == []
    request = world.request(22, 60)
    assert world.port_of(request).state == "open"
    assert world.lets_in(22)
