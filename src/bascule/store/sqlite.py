"""The store on SQLite.

On disk each read is one deferred transaction, which WAL makes a snapshot that neither waits for the
writer nor holds it up. In memory there is one connection, and reads take their turn with the
writes on it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from bascule.errors import Unavailable
from bascule.interfaces.store import Reader
from bascule.store.connections import SQLITE, connect
from bascule.store.readers import Readers
from bascule.store.sql_store import SqlStore
from bascule.store.transaction import SqlReader
from bascule.store.writer import Writer

T = TypeVar("T")

LEAST_ROOM = 1024 * 1024  # bytes that must be free for the database to count as writable


class SqliteStore(SqlStore):
    """Made by ``open.open_store``."""

    def __init__(self, connection: Connection, path: Path | None) -> None:
        """``connection`` has an up-to-date database; ``path`` is None in memory."""
        readers = None
        if path is not None:
            readers = Readers(SQLITE, partial(connect, path, is_reader=True))
        super().__init__(Writer(connection), readers)
        self._path = path

    async def read_few(self, work: Callable[[Reader], T]) -> T:
        """In the caller's own thread: to go to another and back costs more than such a read."""
        if self._readers is not None:
            return self._readers.use(lambda connection: work(SqlReader(connection)))
        return self._writer.submit(lambda connection: work(SqlReader(connection))).result()

    async def check_writable(self) -> None:
        await super().check_writable()
        if self._path is not None:
            await asyncio.to_thread(_check_room, self._path)


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
