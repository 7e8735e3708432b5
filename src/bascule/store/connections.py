"""SQLite connections as we want them.

Sources: SQLite's documentation of WAL, of ``PRAGMA synchronous`` and of ``foreign_keys``;
Python's ``sqlite3``, whose own transaction control is switched off
(``isolation_level=None``): the holder of a connection issues BEGIN and COMMIT.

``synchronous=FULL`` because a port that was granted or closed must not be forgotten:
with NORMAL, a power cut takes back the last commits.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import NullPool

from bascule.store.engine import Engine, enter
from bascule.store.failures import FAILURES, translate
from bascule.store.prepared import Forms

BUSY_TIMEOUT = 5.0  # seconds that another process may hold the database before we give up
WAL_LIMIT = 64 * 1024 * 1024  # bytes that the log keeps on disk once it has been emptied

SQLITE = enter(
    "sqlite",
    Engine(
        forms=Forms(sqlite.dialect()),
        failures=FAILURES,
        translate=translate,
        begin_write="BEGIN IMMEDIATE",
        begin_read="BEGIN",
        end_read="ROLLBACK",
        is_in_transaction=lambda driver: bool(driver.in_transaction),
        is_failed=lambda _: False,  # the next statement is run as if the failed one had not been
        is_lost=lambda _: False,
    ),
)


def connect(path: Path | None, *, is_reader: bool = False) -> Connection:
    """Open a connection to an existing file, or to a new database in memory.

    It belongs to whoever holds it; one thread at a time.
    """

    def driver() -> sqlite3.Connection:
        target = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode=rw"
        opened = sqlite3.connect(
            target,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            uri=path is not None,
        )
        try:
            _configure(opened, is_reader=is_reader)
        except BaseException:
            opened.close()
            raise
        return opened

    # An engine of its own: nothing is pooled, and a broken connection is thrown away whole.
    # Its errors reach the log, where no value of a row belongs.
    return create_engine(
        "sqlite://", creator=driver, poolclass=NullPool, hide_parameters=True
    ).connect()


def _configure(opened: sqlite3.Connection, *, is_reader: bool) -> None:
    opened.execute("PRAGMA foreign_keys = ON")
    opened.execute("PRAGMA trusted_schema = OFF")
    opened.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    if is_reader:
        opened.execute("PRAGMA query_only = ON")
        return
    _keep_a_log(opened)
    opened.execute("PRAGMA synchronous = FULL")


def _keep_a_log(opened: sqlite3.Connection) -> None:
    """Change to WAL. SQLite does not wait for whoever else is just changing: we do."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            opened.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(0.01)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """As ``engine.driver_of``, of a connection to SQLite."""
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)
