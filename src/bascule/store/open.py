"""Open the database, or make it, and bring it up to date.

Each revision of ``migrations`` runs inside one exclusive transaction: a start that is
killed half-way leaves the database as it was, and of two processes that start together
one upgrades and the other finds it done. A database that a newer program made is refused.

Alembic is imported only when there is something to upgrade; the usual start asks one
table for its revision and goes on.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bascule.errors import ConfigurationError
from bascule.store.connections import connect, driver_of
from bascule.store.rows import FAILURES, translate
from bascule.store.sqlite import SqliteStore

REVISION = "0025"  # the newest in migrations/versions; a test holds the two together

_blank: list[bytes] = []  # a database in memory as the revisions leave it: made once a process


def open_store(path: Path | None, *, may_upgrade: bool = True) -> SqliteStore:
    """Open the store in this file, made when absent; in memory when None.

    ``may_upgrade`` is to be False where a server may be running on it. Raises
    ConfigurationError when the file cannot be used: no such folder, not ours, made by a newer
    version; Unavailable when the disk is full, read-only or held by another.
    """
    if path is not None:
        _make_file(path)
    try:
        connection = connect(path)
    except FAILURES as error:
        raise _opening_failed(path, error) from error
    if path is None and _blank:
        driver_of(connection).deserialize(_blank[0])
        return SqliteStore(connection, path)
    try:
        _bring_up_to_date(connection, path, may_upgrade=may_upgrade)
    except FAILURES as error:
        connection.close()
        raise _opening_failed(path, error) from error
    except BaseException:
        connection.close()
        raise
    if path is None:
        _blank[:] = [driver_of(connection).serialize()]
    return SqliteStore(connection, path)


def _make_file(path: Path) -> None:
    """Make an empty file that only its owner may read; SQLite's own would follow the umask."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(
            f"The database {path} cannot be opened for writing: {error.strerror}.",
            advice="Give a data folder that exists and that the server's account may write to.",
        ) from error
    try:
        os.fsync(folder)  # the name is on disk before anything is said to be
    finally:
        os.close(folder)


def _bring_up_to_date(connection: Connection, path: Path | None, *, may_upgrade: bool) -> None:
    driver = driver_of(connection)
    if _revision(driver, path) == REVISION:
        driver.execute("BEGIN IMMEDIATE")  # what cannot be written is found out at the start
        driver.execute("ROLLBACK")
        return
    if not may_upgrade:
        raise ConfigurationError(
            f"The database {path} is of another version than this program.",
            advice="Use the program of the server that runs on it, or restart the server first.",
        )
    # Tables are rebuilt by some upgrades: dropping one must not cascade into others.
    driver.execute("PRAGMA foreign_keys = OFF")
    with connection.begin():  # Alembic leaves a transaction alone that is not its own
        driver.execute("BEGIN EXCLUSIVE")
        found = _revision(driver, path)  # another process may have been quicker
        if found != REVISION:
            from bascule.store.upgrade import upgrade  # noqa: PLC0415  # reason: Alembic is slow

            upgrade(connection, found, REVISION, path)
    driver.execute("PRAGMA foreign_keys = ON")


def _revision(driver: sqlite3.Connection, path: Path | None) -> str | None:
    """The revision that the database is at, None when it is empty."""
    names = driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in names}
    if "alembic_version" in tables:
        row = driver.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
    if tables:
        raise ConfigurationError(
            f"{path} is a database of something else: it has tables, and none of ours.",
            advice="Give Bascule a data folder of its own.",
        )
    return None


def _opening_failed(path: Path | None, error: Exception) -> Exception:
    original = error.orig if isinstance(error, DBAPIError) else error
    if getattr(original, "sqlite_errorname", "").startswith("SQLITE_NOTADB"):
        return ConfigurationError(
            f"{path} is not a database.",
            advice="Give Bascule a data folder of its own, or restore the last backup.",
        )
    return translate(error, "opened")
