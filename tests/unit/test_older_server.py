"""A server that runs while a newer program upgrades its database (EDGES H6), on PostgreSQL.

Beside what its program allows it goes on. Else not one transaction of it begins after the upgrade.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bascule import __version__
from bascule.bootstrap.replica import among_replicas, this_replica
from bascule.clocks import SystemClock
from bascule.errors import BasculeError
from bascule.interfaces.replicas import Outdated
from bascule.interfaces.store import Transaction
from bascule.services.act import Services
from bascule.services.hub import Hub
from bascule.store.postgresql import TURN, Place
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import close, read, write
from tests.support import postgresql
from tests.support.later import COMPATIBLE, INCOMPATIBLE, Later, be

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
MARK = "UPDATE alembic_version SET version_num = '9002', oldest_program = '9002', program = '9.9'"


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make(postgresql.blank())
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def place(name: str) -> Place:
    return postgresql.cluster().place(name)


@pytest.fixture
def older(place: Place) -> Iterator[SqlStore]:
    """Of a server that runs."""
    opened = open_postgresql(place)
    write(opened, lambda tx: tx.add_resource_group("before"))
    yield opened
    close(opened)


def upgrade(place: Place, folder: Path, *later: Later) -> None:
    """As the start of a newer server does."""
    with pytest.MonkeyPatch.context() as patch:
        be(patch, folder, *later)
        open_postgresql(place).close()


def use(store: SqlStore, times: int = 10) -> None:
    """So often that statements are prepared."""
    for number in range(times):
        write(store, lambda tx, number=number: tx.add_resource_group(f"group {number}"))  # type: ignore[misc]  # reason: bound now
        assert f"group {number}" in read(store, lambda r: r.resource_groups())
        read(store, lambda r: r.machines())


def test_it_goes_on_beside_tables_that_allow_it(
    older: SqlStore, place: Place, tmp_path: Path
) -> None:
    """On the connections, and with the prepared statements, of before."""
    use(older)
    upgrade(place, tmp_path, COMPATIBLE)
    use(older)
    with pytest.MonkeyPatch.context() as patch:
        be(patch, tmp_path, COMPATIBLE)
        newer = open_postgresql(place)
        assert "before" in read(newer, lambda r: r.resource_groups())
        newer.close()


def test_it_neither_writes_nor_reads_beside_others(
    older: SqlStore, place: Place, tmp_path: Path, name: str
) -> None:
    """Not on a connection of before, and not on one that is made afterwards."""
    use(older)
    upgrade(place, tmp_path, COMPATIBLE, INCOMPATIBLE)
    for is_new in (False, True):
        if is_new:
            postgresql.end_connections(older)
        with pytest.raises(Outdated, match="too old for it") as caught:
            write(older, lambda tx: tx.add_resource_group("after"))
        assert f"install Bascule {__version__} or later" in caught.value.advice
        with pytest.raises(Outdated):
            read(older, lambda r: r.resource_groups())
    with pytest.raises(Outdated):
        asyncio.run(older.check_writable())
    found = postgresql.cluster().do("SELECT name FROM resource_groups WHERE name = 'after'", name)
    assert found == []
    assert postgresql.connections(name) <= 3, "a refusal makes no connection each time"


def test_a_turn_that_waits_for_an_upgrade_begins_after_it(older: SqlStore, name: str) -> None:
    """It is queued before the upgrade commits, and writes nothing."""
    begun = threading.Event()

    def work(tx: Transaction) -> None:
        begun.set()
        tx.add_resource_group("after")

    async def run() -> None:
        with psycopg.connect(postgresql.cluster().address(name)) as upgrading:
            upgrading.execute(TURN)
            upgrading.execute(MARK)
            waiting = asyncio.ensure_future(older.write(work))
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await asyncio.to_thread(
                postgresql.wait, lambda: postgresql.cluster().do(waits, name) == [(1,)]
            )
            upgrading.commit()
            with pytest.raises(Outdated, match=r"Bascule 9\.9 upgraded"):
                await waiting

    asyncio.run(run())
    assert not begun.is_set()


def test_a_turn_that_began_before_an_upgrade_is_whole_in_it(
    older: SqlStore, place: Place, tmp_path: Path, name: str
) -> None:
    """The upgrade waits for it."""
    begun, go = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        tx.add_resource_group("in time")
        begun.set()
        assert go.wait(30)

    async def run() -> None:
        writing = asyncio.ensure_future(older.write(work))
        await asyncio.to_thread(begun.wait, 30)
        upgrading = asyncio.create_task(asyncio.to_thread(upgrade, place, tmp_path, INCOMPATIBLE))
        await asyncio.sleep(0.5)
        assert not upgrading.done()
        go.set()
        await writing
        await upgrading

    asyncio.run(run())
    found = postgresql.cluster().do("SELECT name, is_held FROM resource_groups, machines", name)
    assert found == []
    assert postgresql.cluster().do("SELECT count(*) FROM resource_groups", name) == [(2,)]
    with pytest.raises(Outdated):
        write(older, lambda tx: tx.add_resource_group("too late"))


def test_it_gives_up_once_and_says_why(older: SqlStore, name: str) -> None:
    """Within a second; once, and without an end of the process: whoever calls is told why."""
    services = Services(older, SystemClock(), Hub(), replica=this_replica("https://a.example:1"))
    told: list[str] = []

    async def run() -> None:
        given_up = asyncio.Event()

        def give_up() -> None:
            told.append("old")
            given_up.set()

        async with among_replicas(services, None, lambda: told.append("moved"), give_up):
            postgresql.cluster().do(MARK, name)
            async with asyncio.timeout(10):
                await given_up.wait()
            assert services.fitness.outdated is not None
            assert services.hub.is_closing, "agents and pages go elsewhere"
            with pytest.raises(Outdated, match=r"9\.9"):
                await services.perform(lambda tx, _: tx.add_resource_group("after"))
            await asyncio.sleep(1.5)

    asyncio.run(run())
    assert told == ["old"]
    assert postgresql.cluster().do("SELECT count(*) FROM resource_groups", name) == [(1,)]


def test_a_server_that_registers_late_is_refused_as_well(older: SqlStore, name: str) -> None:
    """Nobody saw it when the upgrade looked for servers."""
    services = Services(older, SystemClock(), Hub(), replica=this_replica("https://a.example:1"))
    postgresql.cluster().do(MARK, name)

    async def run() -> None:
        async with among_replicas(replace(services)):
            raise AssertionError("it serves")

    with pytest.raises(BasculeError, match="too old"):
        asyncio.run(run())
    assert postgresql.cluster().do("SELECT count(*) FROM replicas", name) == [(0,)]


def test_a_database_without_a_mark_is_not_written(older: SqlStore, name: str) -> None:
    postgresql.cluster().do("DELETE FROM alembic_version", name)
    with pytest.raises(BasculeError, match="is empty"):
        write(older, lambda tx: tx.add_resource_group("after"))
    with pytest.raises(BasculeError, match="is empty"):
        read(older, lambda r: r.resource_groups())
