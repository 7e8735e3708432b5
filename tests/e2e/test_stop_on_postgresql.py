"""A server on PostgreSQL stops, whatever the database does, and its exit code says why."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server_process import Server
from tests.support import postgresql
from tests.support.postgresql import Cluster

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
STOPS_WITHIN = 60.0  # seconds, on a busy machine; without a limit of ours it would never end


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.remove()


@pytest.fixture
def server(tmp_path: Path, cluster: Cluster) -> Iterator[Server]:
    cluster.do("CREATE DATABASE ours")
    made = Server(tmp_path / "a", tmp_path / "a" / "ca.pem")
    made.serves("--database", cluster.address("ours"))
    yield made
    made.kill()
    cluster.do("DROP DATABASE ours WITH (FORCE)")


def _exit_code(server: Server) -> int:
    assert server.process is not None
    server.process.communicate(timeout=STOPS_WITHIN)
    return server.process.returncode


def test_it_stops_though_no_backend_answers(server: Server, cluster: Cluster) -> None:
    """As on a host of the database that is paused: reads and writes under way never end."""
    rows = cluster.do("SELECT pid FROM pg_stat_activity WHERE datname = 'ours'")
    pids = [int(str(pid)) for (pid,) in rows]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(2.5)  # the server looks for news each second: that read is under way
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert _exit_code(server) == 0
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_it_stops_with_a_failure_when_the_record_was_moved(
    server: Server, cluster: Cluster
) -> None:
    """A service manager starts it again, and that start is refused with words."""
    cluster.do("UPDATE installation SET moved_to = 'other at db.example'", "ours")
    assert _exit_code(server) == 1
    assert "db.example" in server.refuses("--database", cluster.address("ours"))
