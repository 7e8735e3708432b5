"""Connections of commands that read or write a whole database in one transaction.

PostgreSQL's limits on long transactions are raised or lifted for them, because a person is watching.
What is not here: what they read and write (``whole``, ``faults``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from bascule.errors import ConfigurationError
from bascule.store.connections import connect
from bascule.store.engine import driver_of, engine_of
from bascule.store.rows import raise_translated
from bascule.store.spelling import database_now

if TYPE_CHECKING:
    from bascule.store.lineage import Lineage
    from bascule.store.postgresql import Place

_LONG = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'"
_IDLE = "SET LOCAL idle_in_transaction_session_timeout = "
_READER_IDLE = "'15min'"


@contextmanager
def reading(where: Path | Place, lineage: Lineage | None = None) -> Iterator[Connection]:
    """A snapshot that nobody waits for. ``lineage``: what was seen of this database before."""
    with _connected(where, is_reader=True, lineage=lineage) as connection:
        begin, *_ = engine_of(connection).begin_read.split(";")  # no look: it may be empty
        yield _begun(connection, begin, _READER_IDLE)


@contextmanager
def holding(where: Path | Place, lineage: Lineage | None = None) -> Iterator[Connection]:
    """Hold the exclusive right to write until the transaction ends. Without a commit nothing changes.
    An idle transaction is not ended.
    """
    with _connected(where, is_reader=False, lineage=lineage) as connection:
        yield _begun(connection, engine_of(connection).begin_write)


@contextmanager
def holding_empty(where: Place) -> Iterator[Connection]:
    """A transaction to make the tables of PostgreSQL in; committed unless something is raised."""
    from bascule.store.postgresql_open import LOCK_OF_REVISIONS  # noqa: PLC0415  # reason: psycopg

    with _connected(where, is_reader=False) as connection:
        _begun(connection, "BEGIN")
        driver_of(connection).execute(f"SELECT pg_advisory_xact_lock({LOCK_OF_REVISIONS})")
        yield connection
        commit(connection)


@contextmanager
def filling(path: Path) -> Iterator[Connection]:
    """A new file, on disk whole unless something is raised. It is not crash-safe before that: it has
    a temporary name, and an unfinished file is started again.
    """
    beside = [path.with_name(f"{path.name}-{end}") for end in ("journal", "wal", "shm")]
    for each in (path, *beside):
        each.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    with _connected(path, is_reader=False) as connection:
        driver = driver_of(connection)
        for setting in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -64000"):
            driver.execute(f"PRAGMA {setting}")
        driver.execute("BEGIN EXCLUSIVE")
        yield connection
        commit(connection)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def end_log(path: Path) -> None:
    """Have this file of SQLite be all of its database: a log beside it would be taken for that of the file
    that gets its name. Raises ConfigurationError while another program has it open.
    """
    connection = connect(path)
    try:
        driver_of(connection).execute("PRAGMA journal_mode = DELETE")
    except engine_of(connection).failures as error:
        raise ConfigurationError(
            f"Another program has the database {path} open. Nothing was changed.",
            advice="End that program, such as a shell of sqlite3, and run the command again.",
        ) from error
    finally:
        connection.close()


def commit(connection: Connection) -> None:
    engine = engine_of(connection)
    try:
        driver_of(connection).execute("COMMIT")
    except engine.failures as error:
        raise_translated(engine, error, "written")


def time_of(connection: Connection) -> datetime:
    """Now, by the database's clock: all times in it are of that one (EDGES H1)."""
    now: datetime = connection.execute(select(database_now())).scalar_one()
    return now


def check_held(connection: Connection) -> None:
    """Raise if the connection was lost, and with it what it held."""
    driver_of(connection).execute("SELECT 1")


def check_unused(connection: Connection, name: str) -> None:
    """Raise ConfigurationError while another program uses this database of PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return
    found = driver_of(connection).execute(
        "SELECT count(*), max(application_name) FROM pg_stat_activity WHERE datname = "
        "current_database() AND usename = current_user AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    ((count, program),) = found.fetchall()
    if count:
        who = f" ({program})" if program else ""
        raise ConfigurationError(
            f"Another program{who} uses the database {name}.",
            advice="Stop every server on it, and wait until no connection is left.",
        )


@contextmanager
def _connected(
    where: Path | Place, *, is_reader: bool, lineage: Lineage | None = None
) -> Iterator[Connection]:
    if isinstance(where, Path):
        connection = connect(where, is_reader=is_reader)
    else:
        from bascule.store.postgresql_open import connect_to  # noqa: PLC0415  # reason: psycopg

        connection = connect_to(where, lineage)
    engine = engine_of(connection)
    try:
        yield connection
    except engine.failures as error:
        raise_translated(engine, error, "read")
    finally:
        _let_go(connection)


def _begun(connection: Connection, begin: str, idle: str = "0") -> Connection:
    driver = driver_of(connection)
    if connection.dialect.name == "postgresql":
        head, _, lock = begin.partition(";")
        settings = f"{_LONG}; {_IDLE}{idle}"
        begin = f"{head}; {settings}; {lock}" if lock else f"{head}; {settings}"
    driver.execute(begin)
    return connection


def _let_go(connection: Connection) -> None:
    if connection.invalidated:
        connection.close()
        return
    engine, driver = engine_of(connection), driver_of(connection)
    try:
        if engine.is_in_transaction(driver):
            driver.execute("ROLLBACK")
    except engine.failures:
        pass  # lost: the database rolls it back
    finally:
        if engine.is_lost(driver):
            connection.invalidate()  # else SQLAlchemy tries a ROLLBACK first, and raises
        connection.close()
