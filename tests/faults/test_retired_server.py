"""A server from before a move to another database comes back: agents take nothing from it (EDGES H7)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.bootstrap.admin import admin
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule
from tests.netns.conftest import why_not
from tests.support import postgresql

pytestmark = [
    pytest.mark.root,
    pytest.mark.leak,
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing"),
]
DATABASE_FILES = ("bascule.db", "bascule.db-wal", "bascule.db-shm", "database.json")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22)
        made.network.echo(23)
        yield made


def _move(world: SmallWorld, to: str) -> None:
    given = ["database", "copy", "--data", str(world.data), "--to", to]
    done = CliRunner().invoke(admin, given)
    assert done.exit_code == 0, (done.output, done.exception)


def test_a_server_from_before_a_move_opens_nothing_when_it_comes_back(world: SmallWorld) -> None:
    world.start(rule(22), rule(23))
    backup = world.folder / "backup.db"
    with (
        closing(sqlite3.connect(world.data / "bascule.db")) as source,
        closing(sqlite3.connect(backup)) as target,
    ):
        source.backup(target)
    assert world.server is not None
    world.server.kill()
    name = postgresql.cluster().make()
    _move(world, postgresql.cluster().address(name))
    _move(world, "sqlite")
    postgresql.cluster().drop(name)
    world.start_server()
    world.wait_enforced()
    kept = world.request(22, 600)
    assert world.lets_in(22)
    world.server.kill()
    for each in DATABASE_FILES:
        (world.data / each).unlink(missing_ok=True)
    shutil.copy(backup, world.data / "bascule.db")
    world.start_server()
    assert until(lambda: "ServerRetired" in _weaknesses(world), 40), world.logs()
    world.request(23, 600, wait=0)
    assert not until(lambda: world.lets_in(23), 12), world.logs()
    assert world.lets_in(22), "what was opened lasts to its end"
    assert kept
    where = ("--state", str(world.state), "--control", str(world.control))
    said = world.on_host("agent", "accept-server", *where)
    assert "installation number 1" in said.stdout
    world.wait_enforced()
    world.request(23, 600)
    assert until(lambda: world.lets_in(23), 20), world.logs()


def _weaknesses(world: SmallWorld) -> list[str]:
    point = world.machine().point
    return [] if point is None else [each.code for each in point.weaknesses]
