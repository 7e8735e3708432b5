"""What is scheduled opens on a real firewall at its start, once, whoever restarts or turns a clock (EDGES J9)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bascule.client import access
from bascule.client.connection import Connection
from bascule.clocks import SystemClock
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule
from tests.netns.conftest import why_not
from tests.netns.network import CLIENT

pytestmark = [pytest.mark.root, pytest.mark.leak]

_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22)
        yield made


def _schedule(world: SmallWorld, seconds: float, length: float = 20) -> tuple[str, datetime]:
    starts_at = SystemClock().now() + timedelta(seconds=seconds)

    def work(connection: Connection) -> str:
        asked = access.PortRequest(22, timedelta(seconds=length), None, CLIENT)
        made = access.ask(
            connection, world.policy_id, world.machine_id, [asked], starts_at=starts_at
        )
        assert made.is_pending
        return made.id

    return world.ask(work), starts_at


def _state(world: SmallWorld, request: str) -> str:
    return world.ask(lambda c: access.get_request(c, request)).state


def test_it_opens_within_a_second_of_its_start(world: SmallWorld) -> None:
    world.start(rule(22))
    request, starts_at = _schedule(world, 5)
    assert _state(world, request) == "scheduled"
    opened = 0.0
    while SystemClock().now() < starts_at + timedelta(seconds=10) and not opened:
        lets_in = world.lets_in(22)
        late = (SystemClock().now() - starts_at).total_seconds()
        assert not lets_in or late > 0, "it opened early"
        opened = late if lets_in else 0.0
    assert 0 < opened < 3.0, f"{opened} s late, of which a second is the server's"
    (machine,) = world.ask(lambda c: access.get_request(c, request)).machines
    told = world.events("AccessStarted")
    assert len(told) == 1
    assert (machine.ports[0].ends_at - starts_at).total_seconds() < 21.5


def test_a_server_that_was_killed_meanwhile_opens_it_once(world: SmallWorld) -> None:
    world.start(rule(22))
    request, _ = _schedule(world, 12, 60)
    assert world.server is not None
    world.server.kill()
    world.start_server()
    assert until(lambda: world.lets_in(22), 30), world.logs()
    assert len(world.events("AccessStarted")) == 1
    assert _state(world, request) == "open"


@pytest.mark.parametrize("leap", ["+2h", "-2h", "+2m", "-2m"])
def test_a_clock_that_leaps_opens_nothing(world: SmallWorld, leap: str) -> None:
    if _FAKETIME is None:
        pytest.skip("needs libfaketime (Debian package faketime)")
    clock = world.folder / "clock"
    clock.write_text("+0\n")
    world.start_server(
        environment={
            "LD_PRELOAD": str(_FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    world.add_machine()
    world.set_rules(rule(22))
    world.start_agent()
    world.wait_enforced()
    request, _ = _schedule(world, 60, 600)
    changed = clock.with_suffix(".new")  # libfaketime ends the program that reads half a file
    changed.write_text(f"{leap}\n")
    changed.replace(clock)
    ends = time.monotonic() + 8
    while time.monotonic() < ends:
        assert not world.lets_in(22)
    world.forget_connection()
    assert until(world.is_served, 10)
    assert _state(world, request) == "lapsed"
    changed.write_text("+0\n")
    changed.replace(clock)
    time.sleep(2)
    world.forget_connection()
    assert until(world.is_served, 10)
    assert _state(world, request) == "lapsed"
    assert not world.lets_in(22)
