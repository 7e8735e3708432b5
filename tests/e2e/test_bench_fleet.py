"""``bench.fleet`` against the server of this tree: its agents are real to it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.revision import HERE
from tests.support import postgresql

pytestmark = pytest.mark.long


def _run_of(*options: str) -> dict[str, Any]:
    """The figures of one run with eight agents, which ended well."""
    command = [sys.executable, "-m", "bench.fleet", "--agents", "8", "-o", "json", "--dry"]
    done = subprocess.run(
        [*command, *options],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run: dict[str, Any]
    (run,) = json.loads(done.stdout)["runs"]
    return run


def test_a_small_fleet_is_connected_asked_scanned_killed_and_back(tmp_path: Path) -> None:
    brief = ["--idle", "1", "--asking", "2", "--settle", "1", "--folder", str(tmp_path)]
    run = _run_of(*brief)
    assert run["connected"] == run["back"] == 8
    assert run["failed_askings"] == 0
    assert run["leased"] == 8
    assert run["eight_askers"]["per_s"] > 0
    assert run["scanned"]["per_s"] > 0
    assert 0 < run["leased_back_s"] <= run["back_s"]
    assert not list(tmp_path.iterdir()), "the run left something behind"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that PostgreSQL may enter, which runs as somebody else; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing")
def test_a_small_fleet_is_divided_among_replicas(open_folder: Path) -> None:
    brief = ["--idle", "1", "--asking", "2", "--settle", "1", "--folder", str(open_folder)]
    run = _run_of(*brief, "--phases", "asking", "eight", "kill", "--replicas", "3")
    assert run["replicas"] == 3
    assert run["connected"] == 8
    assert run["back"] == 3, "the agents of the server that was killed"
    assert run["failed_askings"] == 0
    assert 0 < run["at_agent_p50_ms"] <= run["at_agent_p99_ms"]
    assert not list(open_folder.iterdir()), "the run left something behind"


def test_agents_come_back_through_a_flood_of_handshakes(tmp_path: Path) -> None:
    """36 networks begin 2,000 handshakes a second while the server is killed and started again:
    those whose networks are known from before have turns of their own (EDGES H8).
    """
    brief = ["--phases", "kill", "--asking", "2", "--settle", "0", "--folder", str(tmp_path)]
    run = _run_of(*brief, "--flood", "2000")
    assert run["flood_begun"] > 1000
    assert run["connected"] == run["back"] == run["leased"] == 8
