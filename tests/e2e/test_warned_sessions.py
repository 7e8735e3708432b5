"""EDGES J13: people in a session read that their access ends, also when no server lives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.agent.warn_units import VARIABLE
from bascule.client import access
from tests.e2e.small_world import SmallWorld, rule, sleep_until
from tests.netns.conftest import why_not
from tests.netns.ssh import Activated, Sshd, why_no_ssh

pytestmark = [pytest.mark.root, pytest.mark.leak]

TEXT = b"Bascule: access to port 22 ends in less than a minute. To extend: bascule extend"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not() or why_no_ssh():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        yield made


def test_an_extension_cancels_it_and_a_dead_server_does_not(world: SmallWorld) -> None:
    """Of two sessions: the grant's own, and one from elsewhere that was there before."""
    path = world.folder / "warn"
    service = Activated(world.network.host, path)
    sshd = Sshd(world.network.host, world.folder / "ssh", (22,))
    try:
        older = sshd.session(world.network.stranger)
        world.start_server()
        world.add_machine()
        world.set_rules(rule(22))
        world.start_agent(prefix=("env", f"{VARIABLE}={path}"))
        world.wait_enforced()
        made = world.request(22, 30)
        first_end = world.end_of(made)
        session = sshd.session(world.network.client)
        sleep_until(first_end - 15)
        world.ask(lambda c: access.extend(c, made, timedelta(seconds=40), None))
        end = world.end_of(made)
        assert end > first_end + 10
        assert world.server is not None
        world.server.kill()
        sleep_until(first_end + 1)
        assert session.warnings == 0, "it was extended"
        sleep_until(end - 0.1)
        assert session.reads(TEXT, 1), world.logs()
        sleep_until(end + 1)
        assert (session.warnings, older.warnings) == (1, 0)
    finally:
        sshd.close()
        service.close()
