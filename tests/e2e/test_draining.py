"""EDGES J14: who is in may stay for a time and is then cut, with no process of ours alive on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.small_world import SmallWorld, rule, sleep_until
from tests.netns.conftest import why_not
from tests.netns.network import PATIENCE, is_alive

pytestmark = [pytest.mark.root, pytest.mark.leak]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22)
        made.start(replace(rule(22, on_expiry="drain"), drain_for=timedelta(seconds=4)))
        yield made


def test_connections_stay_for_their_time_although_the_agent_was_killed(world: SmallWorld) -> None:
    """The kernel refuses new ones meanwhile, and resets the old one at its time."""
    request = world.request(22, 6)
    end = world.end_of(request)
    session = world.network.session(world.network.client, 22)
    assert world.agent is not None
    world.agent.kill()
    sleep_until(end + 0.7)
    assert not world.lets_in(22)
    assert is_alive(session, PATIENCE)
    sleep_until(end + 4.3)
    session.settimeout(PATIENCE)
    session.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        session.recv(8)
