"""The store on SQLite: one writer, and a few readers beside it.

On disk each read has a connection of its own and one deferred transaction, which WAL
makes a snapshot that neither waits for the writer nor holds it up. In memory there is one
connection, and reads take their turn with the writes on it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bascule.errors import Unavailable
from bascule.interfaces.store import Reader, Transaction
from bascule.store import tables as t
from bascule.store.connections import connect, driver_of
from bascule.store.rows import FAILURES, raise_translated
from bascule.store.transaction import SqlReader, SqlTransaction
from bascule.store.writer import Writer

T = TypeVar("T")

LEAST_ROOM = 1024 * 1024  # bytes that must be free for the database to count as writable
READERS = 4  # threads that read; more would only wait for the same interpreter


class SqliteStore:
    """``interfaces.store.Store``; made by ``open.open_store``."""

    def __init__(self, connection: Connection, path: Path | None) -> None:
        """``connection`` has an up-to-date database; ``path`` is None in memory."""
        self._path = path
        self._writer = Writer(connection)
        self._readers = _Readers(path) if path is not None else None

    async def write(self, work: Callable[[Transaction], T], *, may_wait: bool = False) -> T:
        def unit(connection: Connection) -> T:
            transaction = SqlTransaction(connection)
            result = work(transaction)
            transaction.finish()
            return result

        return await asyncio.wrap_future(self._writer.submit(unit, may_wait=may_wait))

    async def read(self, work: Callable[[Reader], T]) -> T:
        if self._readers is not None:
            return await asyncio.wrap_future(self._readers.submit(work))
        return await asyncio.wrap_future(
            self._writer.submit(lambda connection: work(SqlReader(connection)))
        )

    async def read_few(self, work: Callable[[Reader], T]) -> T:
        """In the caller's own thread: to go to another and back costs more than such a read."""
        if self._readers is not None:
            return self._readers.read(work)
        return self._writer.submit(lambda connection: work(SqlReader(connection))).result()

    async def check_writable(self) -> None:
        await asyncio.wrap_future(self._writer.submit(_write_the_same))
        if self._path is not None:
            await asyncio.to_thread(_check_room, self._path)

    def close(self) -> None:
        """Finish what is queued and let go of the file; may be called again."""
        if self._readers is not None:
            self._readers.close()
        self._writer.close()


def _write_the_same(connection: Connection) -> None:
    """SQLite writes a row that is set to what it was like any other."""
    same = t.installation.update().values(location=t.installation.c.location)
    connection.execute(same)


def _check_room(path: Path) -> None:
    """A small change may still fit into a log that has room of its own, and the next may not."""
    try:
        found = os.statvfs(path.parent)
    except OSError as error:
        raise Unavailable(f"The database's folder cannot be read: {error.strerror}.") from error
    if found.f_bavail * found.f_frsize < LEAST_ROOM:
        raise Unavailable(
            f"The disk of the database has only {found.f_bavail * found.f_frsize} bytes left.",
            advice="Free some space. Open access ends on time meanwhile.",
        )


class _Readers:
    """Threads that read, and the connections that they share out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="bascule-reader")
        self._idle: list[Connection] = []
        self._gate = threading.Lock()

    def submit(self, work: Callable[[Reader], T]) -> Future[T]:
        try:
            return self._threads.submit(self.read, work)
        except RuntimeError as error:  # what an executor says after its shutdown
            raise Unavailable("The database is closed: the server is stopping.") from error

    def close(self) -> None:
        self._threads.shutdown()
        while self._idle:
            self._idle.pop().close()

    def read(self, work: Callable[[Reader], T]) -> T:
        connection = self._borrow()
        driver = driver_of(connection)
        is_sound = False
        try:
            driver.execute("BEGIN")
            try:
                return work(SqlReader(connection))
            finally:
                driver.execute("ROLLBACK")  # nothing was written; the snapshot is let go
                is_sound = True
        except FAILURES as error:
            raise_translated(error, "read")
        finally:
            if is_sound:
                self._idle.append(connection)
            else:
                with suppress(DBAPIError):
                    connection.close()

    def _borrow(self) -> Connection:
        with self._gate:
            if self._idle:
                return self._idle.pop()
        try:
            return connect(self._path, is_reader=True)
        except FAILURES as error:
            raise_translated(error, "read")
