"""The main job at two real servers whose database is behind PgBouncer in transaction mode (ADR 38)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from bascule.client import access, machines
from bascule.client.connection import Connection
from bascule.errors import BasculeError
from tests.e2e.lab_world import until
from tests.e2e.server_process import BASCULE
from tests.e2e.small_world import PORT, Program, SmallWorld, rule
from tests.netns.conftest import why_not
from tests.netns.network import CLIENT, INNER
from tests.support import pgbouncer, postgresql
from tests.support.pgbouncer import PgBouncer

pytestmark = [
    pytest.mark.root,
    pytest.mark.leak,
    pytest.mark.skipif(
        postgresql.programs() is None or pgbouncer.program() is None,
        reason="PostgreSQL's server or PgBouncer is missing",
    ),
]
OTHER = PORT + 1  # of the second server
T = TypeVar("T")


@dataclass
class _Replicas:
    world: SmallWorld
    pooler: PgBouncer
    name: str

    def at_the_other(self, work: Callable[[Connection], T]) -> T:
        """The agent is connected to the first server; this call goes to the second."""

        def inside() -> T:
            asking = self.world.connect(OTHER)
            try:
                return work(asking)
            finally:
                asking.close()

        return self.world.network.client.inside(inside)

    def request(self) -> str:
        asked = access.PortRequest(22, timedelta(minutes=5), None, CLIENT)

        def work(connection: Connection) -> str:
            of = self.world.policy_id, self.world.machine_id
            made = access.initiate(connection, *of, [asked])
            access.get_request(connection, made, 20)
            return made

        return self.at_the_other(work)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[_Replicas]:
    if why := why_not():
        pytest.skip(why)
    cluster = postgresql.cluster()
    name, pooler = cluster.make(), PgBouncer(cluster)
    database = ("--database", cluster.address(name), "--database-pooler", pooler.address(name))
    with SmallWorld(tmp_path) as world:
        world.network.echo(22)
        world.start_server(options=database)
        token = tmp_path / "token"
        invited = subprocess.run(
            [*BASCULE, "admin", "replica", "invite", "--data", str(world.data), "--endpoint",
             f"https://{INNER}:{PORT}"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        token.write_text(invited.stdout)
        second = Program(
            ["ip", "netns", "exec", world.network.inner.name, *BASCULE, "serve", "--data",
             str(tmp_path / "second"), "--listen", f"{INNER}:{OTHER}", "--name", INNER,
             "--join-file", str(token), *database],
            tmp_path / "second.log", env=dict(os.environ),
        )  # fmt: skip
        try:
            world.add_machine()
            world.set_rules(rule(22))
            world.start_agent()
            world.wait_enforced()
            made = _Replicas(world, pooler, name)
            assert until(lambda: _answers(made), 180), second.log.read_text()[-3000:]
            yield made
        finally:
            second.kill()
    pooler.remove()
    cluster.drop(name)


def _answers(replicas: _Replicas) -> bool:
    try:
        replicas.at_the_other(machines.list_machines)
    except (BasculeError, OSError):
        return False
    return True


@pytest.mark.timeout(600)
def test_asked_at_one_server_opened_by_the_other_and_the_pooler_dies(replicas: _Replicas) -> None:
    world, pooler = replicas.world, replicas.pooler
    asked = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
    asked += "application_name = 'bascule' AND query ~ '^LISTEN|pg_notify' AND datname = "
    listening = f"{asked}'{replicas.name}'"
    assert postgresql.cluster().do(listening) == [(2,)], "one direct connection a server"
    shown = pooler.command("SHOW CLIENTS")
    assert sum(replicas.name in row for row in shown) >= 4, "all others go through the pooler"

    assert not world.lets_in(22)
    began = time.monotonic()
    request = replicas.request()
    assert world.lets_in(22, wait=2)
    assert time.monotonic() - began < 30
    assert not world.lets_stranger_in(22)

    pooler.kill()
    for ask in (world.ask, replicas.at_the_other):
        with pytest.raises(BasculeError, match="cannot be") as refusal:
            ask(lambda c: access.revoke(c, request, kill=False))
        assert refusal.value.exit_code == 6
    assert world.lets_in(22, wait=2), "nothing ends that should not"
    assert not world.lets_stranger_in(22)

    pooler.start()
    assert until(lambda: _answers(replicas), 60)
    replicas.at_the_other(lambda c: access.revoke(c, request, kill=False))
    assert until(lambda: not world.lets_in(22), 30)
    assert until(lambda: len(world.events("GrantClosed")) == 1, 30)
