"""EDGES I5: the CA is replaced under a live grant, with one agent there and one away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.client import fleet, machines
from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.domain.ids import machine_id
from tests.e2e.lab_world import until
from tests.e2e.small_world import BASCULE, PORT, Program, SmallWorld, rule
from tests.netns.conftest import why_not
from tests.netns.network import INNER

pytestmark = [pytest.mark.root, pytest.mark.leak, pytest.mark.long]

OTHER = "db-1"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22)
        made.start(rule(22))
        yield made


def rotate(world: SmallWorld, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = (*BASCULE, "admin", "rotate-ca", "--data", str(world.data), *options)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def status(world: SmallWorld) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rotate(world, "--status", "-o", "json").stdout)
    return found


def moved(world: SmallWorld) -> set[str]:
    return {each["machine"] for each in status(world)["agents"] if each["hasMoved"]}


def start_other(world: SmallWorld) -> Program:
    """The agent of a second machine, in the namespace of the network's stranger."""
    identity = machine_id(world.admin["subscription_id"], "default", OTHER)
    world.ask(lambda c: machines.put_machine(c, identity, ["10.9.9.9"], "Linux"))
    token = world.ask(lambda c: fleet.enrol(c, identity, replaces=False, valid_minutes=15)).token
    state = world.folder / OTHER
    arguments = ["agent", "run", "--state", str(state), "--control", f"{state}.sock"]
    arguments += ["--guard", f"{state}.toml", "--server", f"https://{INNER}:{PORT}"]
    inside = ("ip", "netns", "exec", world.network.stranger.name)
    return Program(
        (*inside, *BASCULE, *arguments),
        world.folder / f"{OTHER}.log",
        env={**os.environ, TOKEN_VARIABLE: token},
    )


def test_agents_move_over_by_themselves_and_a_live_grant_stays(world: SmallWorld) -> None:
    other = start_other(world)
    try:
        _rotate(world)
    finally:
        other.kill()
        sys.stderr.write((world.folder / f"{OTHER}.log").read_text()[-2000:])


def _rotate(world: SmallWorld) -> None:
    assert until(lambda: len(status(world)["agents"]) == 2, 120)
    old = (world.data / "ca.pem").read_text()
    request = world.request(22, 1500)
    ends_at = world.port_of(request).ends_at
    assert world.agent is not None
    world.agent.kill()  # web-1 is away from before the beginning

    rotate(world)
    assert until(lambda: moved(world) == {OTHER}, 90), status(world)
    assert "already" in rotate(world, code=2).stderr
    refused = rotate(world, "--finish", code=2)
    assert "is begun, not switched" in refused.stderr

    rotate(world, "--switch")
    assert until(lambda: (world.data / "ca.pem").read_text() != old, 60)
    assert world.server is not None
    world.server.kill()  # with a client that trusts the old CA alone, and after a restart
    world.start_server()
    cut = rotate(world, "--finish", code=2)
    assert "web-1" in cut.stderr
    assert OTHER not in cut.stderr
    assert status(world)["step"] == "switched"
    assert world.lets_in(22)

    world.start_agent()
    world.wait_enforced()
    assert until(lambda: moved(world) == {"web-1", OTHER}, 90), status(world)
    rotate(world, "--finish")
    assert until(lambda: moved(world) == {"web-1", OTHER}, 90), status(world)
    trusted = json.loads((world.state / "identity.json").read_text())["ca"]
    assert trusted == (world.data / "ca.pem").read_text()
    assert old not in trusted

    world.forget_connection()  # it is made again with the CA of now
    world.restart_agent()
    world.wait_enforced()
    assert world.lets_in(22)
    assert world.port_of(request).ends_at == ends_at
    assert not world.lets_stranger_in(22)
    steps = [event.data["step"] for event in world.events("CaRotated")]
    assert steps == ["begun", "switched", "done"]
