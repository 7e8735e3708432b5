"""Open the database, or make it, and bring it up to date.

A new database and every upgrade is one exclusive transaction: a start that is killed
half-way leaves the database as it was, and of two processes that start together one does the
work and the other finds it done. A database that a newer program made is refused, unless its
revision says that this one may go on beside it (``marks``). So is one from before the baseline, or of
another program: these before anything is written.

Alembic is imported only when there is something to upgrade; the usual start asks one
table for its revision and goes on.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bascule.errors import ConfigurationError
from bascule.store import migrations
from bascule.store.connections import connect, driver_of
from bascule.store.failures import FAILURES, translate
from bascule.store.marks import mark_of, require_admitted
from bascule.store.new import fill
from bascule.store.sqlite import SqliteStore

_blank: list[bytes] = []  # a new database in memory: made once a process


def open_store(path: Path | None, *, may_upgrade: bool = True) -> SqliteStore:
    """Open the store in this file, made when absent; in memory when None.

    ``may_upgrade`` is to be False where a server may be running on it. Raises
    ConfigurationError when the file cannot be used: no such folder, not ours, made by a newer
    version; Unavailable when the disk is full, read-only or held by another.
    """
    if path is not None:
        _make_file(path)
        check_database(path)
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


def check_database(path: Path) -> None:
    """Raise ConfigurationError when the file is another program's, or from before the baseline.

    Nothing is written, no log beside it either: opening it in the usual way would change it.
    What cannot be read in this way is judged when it is opened.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        found = _revision_at(path, path, "immutable=1")
        if found is None and log.exists():
            # All of it may still be in the log, which is read only with the right to write.
            with tempfile.TemporaryDirectory() as folder:
                for each in (path, log):
                    shutil.copy(each, folder)
                found = _revision_at(Path(folder) / path.name, path, "mode=rw")
    except (sqlite3.Error, OSError):
        return
    if found is not None and found < migrations.BASELINE:
        raise ConfigurationError(
            f"The database {path} was made by a version of Bascule from before its first release "
            f"(its revision is {found}). It cannot be upgraded. Nothing was changed.",
            advice="Give an empty data directory with --data DIR, or run the version that made it.",
        )


def _make_file(path: Path) -> None:
    """Make an empty file that only its owner may read; SQLite's own would follow the umask."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(
            f"The database {path} cannot be opened for writing: {error.strerror}.",
            advice="Give an existing data directory that the server's account can write to.",
        ) from error
    try:
        os.fsync(folder)  # the name is on disk before anything is said to be
    finally:
        os.close(folder)


def _bring_up_to_date(connection: Connection, path: Path | None, *, may_upgrade: bool) -> None:
    driver = driver_of(connection)
    found = revision(driver, path)
    if found is not None and found >= migrations.REVISION:
        require_admitted(mark_of(driver), str(path))
        driver.execute("BEGIN IMMEDIATE")  # what cannot be written is found out at the start
        driver.execute("ROLLBACK")
        return
    if not may_upgrade:
        raise ConfigurationError(
            f"The database {path} has another version than this program.",
            advice="Use the same version of Bascule as the running server, or restart the server "
            "first.",
        )
    # Tables are rebuilt by some upgrades: dropping one must not cascade into others.
    driver.execute("PRAGMA foreign_keys = OFF")
    with connection.begin():  # Alembic leaves a transaction alone that is not its own
        driver.execute("BEGIN EXCLUSIVE")
        found = revision(driver, path)  # another process may have been quicker
        if found is None:
            fill(connection)
        elif found < migrations.REVISION:
            from bascule.store.upgrade import upgrade  # noqa: PLC0415  # reason: Alembic is slow

            upgrade(connection, found, str(path))
            _check_references(driver, path)
    driver.execute("PRAGMA foreign_keys = ON")


def _check_references(driver: sqlite3.Connection, path: Path | None) -> None:
    """Raise ConfigurationError when an upgrade, for which they were off, left some to nothing."""
    broken = driver.execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise ConfigurationError(
            f"The database {path} cannot be upgraded, because a row of {broken[0]} refers to a "
            f"missing row. It was not changed.",
            advice="Restore the last backup, or report this as a bug.",
        )


def _revision_at(file: Path, path: Path, how: str) -> str | None:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True)) as driver:
        return revision(driver, path)


def revision(driver: sqlite3.Connection, path: Path | None) -> str | None:
    """The revision that the database is at, None when it is empty."""
    names = driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in names}
    if "alembic_version" in tables:
        row = driver.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
    if tables:
        raise ConfigurationError(
            f"{path} is another program's database: it has tables, but none of Bascule's.",
            advice="Give Bascule its own data directory.",
        )
    return None


def _opening_failed(path: Path | None, error: Exception) -> Exception:
    original = error.orig if isinstance(error, DBAPIError) else error
    if getattr(original, "sqlite_errorname", "").startswith("SQLITE_NOTADB"):
        return ConfigurationError(
            f"{path} is not a database.",
            advice="Give Bascule its own data directory, or restore the last backup.",
        )
    return translate(error, "opened")
