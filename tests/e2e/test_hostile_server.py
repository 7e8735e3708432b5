"""A real agent under a server that it trusts and that means ill (EDGES E4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.hostile_server import peak_megabytes
from tests.e2e.hostile_server import HostileServer, attacks, says
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld
from tests.netns.conftest import why_not

pytestmark = pytest.mark.root


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        yield made


@pytest.fixture
def hostile(world: SmallWorld, tmp_path: Path) -> Iterator[HostileServer]:
    with HostileServer(world.network.inner, tmp_path / "hostile") as made:
        made.enrol(world.state)
        yield made


def test_it_enforces_although_each_answer_is_of_another_form(
    world: SmallWorld, hostile: HostileServer
) -> None:
    """A generation every 20 ms and an error of an unexpected form: no pass came to enforce."""
    hostile.evils["stream"] = lambda handler: hostile.announce(handler, 0.02)
    hostile.evils["state"] = says({"error": "no"}, 500)
    hostile.evils["report"] = says({"error": ["no"]}, 500)
    began = time.monotonic()
    world.start_agent()
    assert until(lambda: hostile.asked["state"] >= 3, 60)
    status = world.agent_status()
    took = time.monotonic() - began
    assert status["enforcing"], "the firewall was looked at by a pass"
    assert status["closed"] == ["22/tcp"]
    assert not status["connected"]
    assert hostile.asked["state"] <= 10 * (took + 1) + 1
    said = world.on_host(
        "agent", "status", "--state", str(world.state), "--control", str(world.control)
    )
    assert "not connected: GET /bascule/agents" in said.stdout


def test_a_large_state_takes_little_of_the_host(world: SmallWorld, hostile: HostileServer) -> None:
    """It took 1.5 GB."""
    hostile.evils["state"] = attacks()["a large state"][1]
    agent = world.start_agent()
    assert until(lambda: hostile.asked["state"] >= 4, 60)
    assert peak_megabytes(agent.innermost()) < 160
    assert world.agent_status()["enforcing"]
