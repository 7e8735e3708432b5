"""A server on PostgreSQL whose database changes while it runs: connections that are lost, settings
that change, another database in its place.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psycopg
import pytest

from bascule.errors import ConfigurationError, Unavailable
from bascule.interfaces.store import Reader, Transaction
from bascule.store import postgresql as ours
from bascule.store import sql_store
from bascule.store.postgresql import Place, place_of
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import close, read, write
from tests.support import postgresql

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make(postgresql.blank())
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def place(name: str) -> Place:
    return postgresql.cluster().place(name)


@pytest.fixture
def store(place: Place) -> Iterator[SqlStore]:
    opened = open_postgresql(place)
    yield opened
    close(opened)


def test_a_lost_connection_is_made_again(store: SqlStore) -> None:
    write(store, lambda tx: tx.advance_generation("u"))
    assert read(store, lambda r: r.generation("u")) == 1
    postgresql.end_connections(store)
    assert read(store, lambda r: r.generation("u")) == 1
    assert write(store, lambda tx: tx.advance_generation("u")) == 2


def test_a_connection_that_is_lost_in_the_middle_fails_what_was_not_acknowledged(
    store: SqlStore,
) -> None:
    def work(tx: Transaction) -> int:
        found = tx.advance_generation("u")
        postgresql.end_connections(store)
        return found

    with pytest.raises(Unavailable, match="cannot be written"):
        write(store, work)
    assert read(store, lambda r: r.generation("u")) == 0
    assert write(store, lambda tx: tx.advance_generation("u")) == 1


def test_a_commit_that_fails_is_not_acknowledged(store: SqlStore, name: str) -> None:
    """A serializable transaction may fail as late as that."""
    postgresql.cluster().do(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE 'no' USING ERRCODE = 'serialization_failure'; END $$; "
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON machine_generations "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
        name,
    )
    with pytest.raises(Unavailable, match="in the way"):
        write(store, lambda tx: tx.advance_generation("u"))
    postgresql.cluster().do("DROP FUNCTION refuse CASCADE", name)
    assert read(store, lambda r: r.generation("u")) == 0
    assert write(store, lambda tx: tx.advance_generation("u")) == 1


def test_readers_of_a_database_that_is_not_fit_any_more_are_told_so(store: SqlStore) -> None:
    """503, and not where the database is: whoever asks may be a stranger."""
    name = postgresql.database_of(store)
    postgresql.cluster().do(f"ALTER DATABASE {name} SET synchronous_commit = off")
    postgresql.end_connections(store)
    with pytest.raises(Unavailable) as read_refused:
        read(store, lambda r: r.generation("u"))
    with pytest.raises(Unavailable) as write_refused:
        write(store, lambda tx: tx.generation("u"))
    for refusal in (read_refused, write_refused):
        _tells_strangers_nothing(refusal.value, store)


def test_a_server_that_begins_to_forget_is_noticed(store: SqlStore) -> None:
    cluster = postgresql.cluster()
    settings = ("synchronous_commit", "fsync")
    asyncio.run(store.check_writable())
    try:
        for each in settings:
            cluster.do(f"ALTER SYSTEM SET {each} = off")
        for each in settings:
            postgresql.reload(each, "off")
        write(store, lambda tx: tx.advance_generation("u"))
        row = store._writer._driver.execute("SHOW synchronous_commit").fetchone()
        assert row == ("on",), "what was so at the start stays so"
        with pytest.raises(Unavailable, match="fsync = off"):
            asyncio.run(store.check_writable())
    finally:
        for each in settings:
            cluster.do(f"ALTER SYSTEM RESET {each}")
        for each in settings:
            postgresql.reload(each, "on")
    asyncio.run(store.check_writable())


def test_a_database_that_becomes_read_only_is_left_and_found_again(store: SqlStore) -> None:
    """A planned switch: the old primary may live on, and lets nobody write."""
    cluster = postgresql.cluster()
    write(store, lambda tx: tx.advance_generation("u"))
    before = store._writer._driver
    cluster.do("ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        postgresql.reload("default_transaction_read_only", "on")
        with pytest.raises(Unavailable, match="cannot be used now"):
            write(store, lambda tx: tx.advance_generation("u"))
    finally:
        cluster.do("ALTER SYSTEM RESET default_transaction_read_only")
        postgresql.reload("default_transaction_read_only", "off")
    assert write(store, lambda tx: tx.advance_generation("u")) == 2
    assert store._writer._driver is not before


def test_readers_go_where_the_writer_went(store: SqlStore) -> None:
    """One that kept its connection would read what was true at the place before."""
    assert read(store, lambda r: r.generation("u")) == 0
    assert store._readers is not None
    (idle,) = store._readers._idle
    cast("psycopg.Connection", store._writer._driver).close()
    going_on: list[int] = []

    def work(reader: Reader) -> int:
        assert reader.generation("u") == 0, "its moment begins here"
        going_on.append(write(store, lambda tx: tx.advance_generation("u")))
        return reader.generation("u")

    assert read(store, work) == 0
    assert going_on == [1]
    assert store._readers._idle == [], "the one that was in use is let go too"
    assert idle.closed
    assert read(store, lambda r: r.generation("u")) == 1


def test_another_database_in_the_place_of_the_first_is_refused(store: SqlStore) -> None:
    """Restored while the server runs: what it knows may not be so there."""
    cluster, name = postgresql.cluster(), postgresql.database_of(store)
    write(store, lambda tx: tx.advance_generation("u"))
    cluster.drop(name)
    cluster.do(f"CREATE DATABASE {name} TEMPLATE {postgresql.blank()}")
    with pytest.raises(Unavailable, match="cannot be used now"):
        write(store, lambda tx: tx.advance_generation("u"))
    with pytest.raises(Unavailable, match="cannot be used now"):
        read(store, lambda r: r.generation("u"))


def test_what_a_reader_has_prepared_is_kept(store: SqlStore) -> None:
    """psycopg forgets all of it at a ROLLBACK, and would prepare it again."""
    for _ in range(10):
        read(store, lambda r: r.generation("u"))
    assert store._readers is not None
    (idle,) = store._readers._idle
    rows = ours.driver_of(idle).execute("SELECT count(*) FROM pg_prepared_statements").fetchall()
    assert rows[0][0] > 0


def test_a_check_ends_although_a_write_does_not(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a COMMIT that waits for a synchronous standby."""
    monkeypatch.setattr(sql_store, "CHECK_WITHIN", 0.1)
    go = threading.Event()

    async def run() -> None:
        waiting = asyncio.ensure_future(store.write(lambda _: go.wait(10)))
        try:
            with pytest.raises(Unavailable, match="did not finish a write within"):
                await store.check_writable()
        finally:
            go.set()
        assert await waiting
        await store.check_writable()

    asyncio.run(run())


class _Pooler:
    """Between a client and the server, as one in transaction mode: it has pids of its own."""

    def __init__(self, folder: Path, server: Path) -> None:
        self._server = server
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(folder / ".s.PGSQL.5432"))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._socket.accept()
        with client, socket.socket(socket.AF_UNIX) as behind:
            behind.connect(str(self._server / ".s.PGSQL.5432"))
            ends = {client: behind, behind: client}
            while True:
                for each in select.select(list(ends), [], [], 10)[0]:
                    if not (told := each.recv(65_536)):
                        return
                    ends[each].sendall(
                        re.sub(rb"K\0\0\0\x0c....", b"K\0\0\0\x0c\0\0\0\x01", told, flags=re.DOTALL)
                    )

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()


def test_a_pooler_is_refused(name: str, tmp_path: Path) -> None:
    """It would give the connection that holds the lock to others, and others to us."""
    pooler = _Pooler(tmp_path, postgresql.cluster().folder)
    with pytest.raises(ConfigurationError, match="is a pooler"):
        open_postgresql(place_of(f"host={tmp_path} dbname={name} user=bascule"))
    pooler.close()


def test_any_role_may_ask_which_database_it_is(name: str) -> None:
    cluster = postgresql.cluster()
    cluster.do("CREATE ROLE nobody_special LOGIN")
    with psycopg.connect(cluster.address(name, "nobody_special")) as asking:
        assert asking.execute(ours._ASK).fetchone() is not None
    cluster.do("DROP ROLE nobody_special")


def _tells_strangers_nothing(refusal: Unavailable, store: SqlStore) -> None:
    assert refusal.message == "The database cannot be used now."
    assert postgresql.database_of(store) not in f"{refusal.message} {refusal.advice}"
