"""A server is lost and restored from a backup elsewhere: with the recovery key its agents come back without
a hand on their hosts, without it the alarm is as before (EDGES I6, I7)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.bootstrap.admin import admin
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule
from tests.netns.conftest import why_not

pytestmark = [pytest.mark.root, pytest.mark.long]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22)
        made.network.echo(23)
        yield made


def _admin(*arguments: object) -> str:
    done = CliRunner().invoke(admin, [str(each) for each in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def _seen(world: SmallWorld) -> int:
    """The furthest place of the record that the agent was told of."""
    record = world.agent_status()["record"]
    return max(int(record[each]["position"]) for each in ("head", "told"))


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_server_that_was_lost_comes_back_elsewhere(world: SmallWorld, is_signed: bool) -> None:
    world.start_server()
    key = world.folder / "key"
    key.write_text(_admin("recovery-key", "--data", world.data))
    world.add_machine()
    world.set_rules(rule(22), rule(23))
    world.start_agent()
    world.wait_enforced()
    old = world.request(22, 600)
    assert world.lets_in(22)

    stop, asked = threading.Event(), 0

    def ask_on() -> None:
        nonlocal asked
        while not stop.is_set():
            world.request(23, 60, wait=0)
            asked += 1

    asking = threading.Thread(target=ask_on)
    asking.start()
    backup = world.folder / "backup"
    try:
        assert until(lambda: asked, 10)
        before = asked
        how = () if is_signed else ("--plain",)
        made = json.loads(_admin("backup", backup, "--data", world.data, *how, "-o", "json"))
        assert until(lambda: asked > before, 10), "requests go on meanwhile"
    finally:
        stop.set()
        asking.join()
    world.wait_enforced()
    time.sleep(1.5)  # an event is in the chain within a second
    world.restart_agent()  # which asks, and is told how far the record has come
    world.wait_enforced()
    assert until(lambda: _seen(world) > made["position"], 10), (_seen(world), made["position"])
    lost = _seen(world)

    assert world.server is not None
    world.server.kill()
    there = world.folder / "elsewhere"
    with_key = ("--recovery-key-file", key) if is_signed else ("--without-recovery-key",)
    done = json.loads(_admin("restore", backup, "--data", there, *with_key, "-o", "json"))
    assert done["isSigned"] is is_signed
    world.data = there
    world.forget_connection()
    world.start_server()

    def is_back() -> bool:
        point = world.machine().point
        return (
            point is not None
            and point.state == "online"
            and point.observed_generation >= point.generation
        )

    assert until(is_back, 90), world.logs()
    assert until(lambda: not world.lets_in(22) and not world.lets_in(23), 20), world.logs()
    assert world.port_of(old).state == "closed"
    if is_signed:
        assert until(lambda: world.agent_status()["record"]["restored"], 30), world.logs()
        (settled,) = world.agent_status()["record"]["restored"]
        assert settled["before"]["position"] >= lost
        assert world.agent_status()["record"]["first"] is None
        assert world.events("RecordDisputed") == []
    else:
        assert until(lambda: world.events("RecordDisputed"), 30), world.logs()
        assert world.agent_status()["record"]["first"]["position"] >= lost
        assert not world.agent_status()["record"]["restored"]
    world.request(22, 60)
    assert world.lets_in(22), "access is granted anew"
