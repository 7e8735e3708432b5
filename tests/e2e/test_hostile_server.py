"""A real agent under a server that it trusts and that means ill (EDGES E4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.hostile_server import peak_megabytes
from tests.e2e.hostile_server import HostileServer, line_attacks, says, told
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
    hostile.evils["line"] = lambda handler: hostile.announce(handler, 0.02)
    hostile.told_state = lambda nonce: told(nonce, {"error": "no"})
    hostile.told_report = lambda key: told(key, ["no"])
    began = time.monotonic()
    world.start_agent()
    assert until(lambda: hostile.asked["ask"] >= 3, 60)
    status = world.agent_status()
    took = time.monotonic() - began
    assert status["enforcing"], "the firewall was looked at by a pass"
    assert status["closed"] == ["22/tcp"]
    assert not status["connected"]
    assert hostile.asked["ask"] <= 10 * (took + 1) + 1
    said = world.on_host(
        "agent", "status", "--state", str(world.state), "--control", str(world.control)
    )
    assert "not connected: The server " in said.stdout


def test_it_polls_a_server_that_gives_it_no_line(world: SmallWorld, hostile: HostileServer) -> None:
    """As through a proxy that passes no WebSocket; and answers of another form end nothing."""
    hostile.evils["line"] = says({"error": "no"}, 400)
    hostile.evils["state"] = says({"error": "no"}, 500)
    hostile.evils["report"] = says({"error": ["no"]}, 500)
    world.start_agent()
    time.sleep(20)
    assert hostile.asked["state"] == 0, "a line may come yet"
    assert until(lambda: hostile.asked["state"] >= 3, 60)
    status = world.agent_status()
    assert status["enforcing"]
    assert not status["connected"]
    said = world.on_host(
        "agent", "status", "--state", str(world.state), "--control", str(world.control)
    )
    assert "not connected: GET /bascule/points" in said.stdout
    del hostile.evils["state"], hostile.evils["report"]
    assert until(lambda: world.agent_status()["connected"], 40)


@pytest.mark.parametrize("name", ["a large answer", "an answer of empty objects"])
def test_a_large_state_takes_little_of_the_host(
    world: SmallWorld, hostile: HostileServer, name: str
) -> None:
    """It took 1.5 GB."""
    hostile.evils["line"] = line_attacks()[name]
    agent = world.start_agent()
    assert until(lambda: hostile.asked["line"] >= 4, 60)
    assert peak_megabytes(agent.innermost()) < 160
    assert world.agent_status()["enforcing"]
