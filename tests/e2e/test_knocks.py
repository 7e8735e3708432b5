"""Who knocks at a closed port is told by source, port and hour, each attempt once (EDGES C2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.client.knocks import BlockedAttempts, blocked_attempts
from bascule.clocks import SystemClock
from bascule.domain.knocks import hour_of
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule
from tests.netns.conftest import why_not
from tests.netns.network import HOST6, STRANGER, STRANGER6

pytestmark = [pytest.mark.root, pytest.mark.leak]

A_MINUTE = 75  # seconds: counters that have changed again are reported a minute later

# The kernel sends a SYN again after a second, and a stalled process lets it: not past here.
_ONCE = """
table inet once {
    set seen { typeof tcp sport . tcp sequence; flags dynamic, timeout; timeout 1m; }
    chain out {
        type filter hook output priority 0
        tcp flags & (syn | ack) == syn tcp sport . tcp sequence @seen drop
        tcp flags & (syn | ack) == syn add @seen { tcp sport . tcp sequence }
    }
}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.stranger.nft(_ONCE)
        made.network.echo(22)
        made.start(rule(22), rule(161, "UDP", "kill"))
        yield made


def told(world: SmallWorld) -> BlockedAttempts:
    return world.ask(lambda c: blocked_attempts(c, world.machine_id, 3, 100))


def by_source(world: SmallWorld) -> dict[str, int]:
    return {each.address: each.attempts for each in told(world).sources}


def is_agent_back(world: SmallWorld) -> bool:
    """Its loop answers, between two passes."""
    where = ("--state", str(world.state), "--control", str(world.control))
    done = world.on_host("agent", "status", *where, "-o", "json", check=False)
    return done.returncode == 0 and bool(json.loads(done.stdout)["connected"])


def test_a_strangers_packets_are_told_by_source_port_and_hour(world: SmallWorld) -> None:
    began = SystemClock().now()
    for _ in range(3):
        assert not world.network.stranger.reaches(22, wait=0.2)
    assert not world.network.stranger.reaches(22, HOST6, wait=0.2)
    assert not world.network.stranger.asks(161, wait=0.1)
    assert until(lambda: by_source(world) == {STRANGER: 4, STRANGER6: 1}, A_MINUTE), told(world)
    found = told(world)
    ports = {each.address: each.ports for each in found.sources}
    assert ports == {STRANGER: ((22, "TCP"), (161, "UDP")), STRANGER6: ((22, "TCP"),)}
    assert all(
        began - timedelta(seconds=1) <= each.last_at <= SystemClock().now()
        for each in found.sources
    )
    counted = {each.since: each.attempts for each in found.hours if each.attempts}
    assert sum(counted.values()) == 5
    assert set(counted) <= {hour_of(began), hour_of(SystemClock().now())}
    point = world.machine().point
    assert point is not None
    assert point.blocked_attempts == 5, "the kernel's own count of all"


def test_each_is_told_once_over_deaths_of_server_and_agent(world: SmallWorld) -> None:
    """What comes while the server is dead is told later; a new agent tells nothing again."""
    assert not world.network.stranger.reaches(22, wait=0.2)
    assert until(lambda: by_source(world) == {STRANGER: 1}, 30), told(world)
    assert world.server is not None
    world.server.kill()
    for _ in range(2):
        assert not world.network.stranger.reaches(22, wait=0.2)
    world.start_server()
    assert until(lambda: by_source(world) == {STRANGER: 3}, A_MINUTE), told(world)
    world.restart_agent()
    assert until(lambda: is_agent_back(world), 20)
    assert not world.network.stranger.reaches(22, wait=0.2)
    assert until(lambda: by_source(world) == {STRANGER: 4}, 20), told(world)
