"""A lab of three replicas over PostgreSQL: the README's walk, and people who ask while replicas are killed.

``make replicas`` runs it; ``make test`` and ``make test-all`` do not. It takes some minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab_world import LabWorld
from tests.support.own import free_port, mark

ROOT = Path(__file__).parents[2]
REPLICAS = ("server-1", "server-2", "server-3")
ASK = ("bascule", "request", "web-1", "--for", "5m")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabWorld]:
    world = LabWorld(mark("r"), tmp_path_factory.mktemp("replicas"))
    try:
        port = ("--port", str(world.port))
        done = world.run("up", "--detach", *port, "--replicas", "3", "--postgresql", timeout=400)
        assert done.returncode == 0, done.stderr
        yield world
    finally:
        world.down()


def test_info_names_what_there_is(lab: LabWorld) -> None:
    info = lab.info()
    assert [each["name"] for each in info["servers"]] == [*REPLICAS]
    assert info["balancer"] == "server"
    assert info["database"]["host"] == "database"
    table = lab.run("info").stdout
    assert "replicas   server-1, server-2, server-3, behind the balancer" in table
    assert f"postgres {info['pids']['database']}" in table


def test_the_readmes_walk(lab: LabWorld) -> None:
    """The address is the client's own, although the balancer calls; each call goes elsewhere."""
    assert not lab.reaches("stranger")
    assert "web-1 port 22/tcp is open from 10.203.0.10 until" in lab.said("client", *ASK)
    assert "web-1" in lab.said("client", "bascule", "status")
    assert lab.said("client", "bascule", "ssh", "web-1", "--", "hostname") == "web-1"
    assert lab.said("client", "bascule", "ssh", "app-1", "--", "hostname") == "app-1"
    assert not lab.reaches("stranger")
    assert "is closed" in lab.said("client", "bascule", "revoke", "--all")
    assert not lab.reaches("client")
    for name in REPLICAS:
        log = (lab.folder / "logs" / f"{name}.log").read_text()
        assert '"event": "call"' in log, f"{name} was never asked"


def test_with_one_replica_left_people_are_served(lab: LabWorld) -> None:
    for name in ("server-1", "server-3"):
        assert lab.run("stop", name, "--kill").returncode == 0
    try:
        assert "is open from 10.203.0.10" in lab.said("client", *ASK)
        assert "is closed" in lab.said("client", "bascule", "revoke", "--all")
    finally:
        for name in ("server-1", "server-3"):
            assert lab.run("start", name).returncode == 0
        lab.must_serve(*REPLICAS)


def test_while_the_database_is_away_nothing_opens_and_it_is_said(lab: LabWorld) -> None:
    """And it is taken up again without a restart."""
    lab.must_serve(*REPLICAS)
    lab.said("client", *ASK)
    pids = lab.info()["pids"]["servers"]
    assert lab.run("stop", "database", "--kill").returncode == 0
    denied = lab.on("client", "bascule", "request", "app-1", "--for", "5m")
    assert denied.returncode != 0
    assert "database" in denied.stderr
    assert lab.reaches("client")  # what is open stays open until its end
    assert not lab.reaches("client", "app-1")
    assert lab.run("start", "database").returncode == 0
    lab.must_serve(*REPLICAS)
    assert "is closed" in lab.said("client", "bascule", "revoke", "--all")
    assert lab.info()["pids"]["servers"] == pids


def test_a_second_up_changes_nothing(lab: LabWorld) -> None:
    before = lab.info()["pids"]
    again = lab.run("up", "--detach", "--replicas", "3", "--postgresql")
    assert again.returncode == 0, again.stderr
    assert lab.info()["pids"] == before
    other = lab.run("up", "--detach", "--replicas", "2", "--postgresql")
    assert other.returncode != 0
    assert "is running already, with other servers" in other.stderr


def test_people_ask_while_replicas_are_killed() -> None:
    argv = [sys.executable, "-m", "bench.replicas", "--minutes", "1.5", "--people", "20"]
    done = subprocess.run(
        [*argv, "--port", str(free_port())], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed after retry, 0 wrong" in done.stdout, json.dumps(done.stdout)
