"""Threads that read, and the connections that they share out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection

from bascule.errors import Unavailable
from bascule.interfaces.store import Reader
from bascule.store.engine import Driver, Engine, driver_of
from bascule.store.rows import raise_translated
from bascule.store.transaction import SqlReader

T = TypeVar("T")

READERS = 4  # threads that read; more would only wait for the same interpreter


class Readers:
    """Each read has a connection of its own and one transaction, which sees one moment."""

    def __init__(self, engine: Engine, connect: Callable[[], Connection]) -> None:
        self._engine = engine
        self._connect = connect
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="bascule-reader")
        self._idle: list[Connection] = []
        self._round = 0  # connections of an earlier one are not used again
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

    def make_anew(self) -> None:
        """Each connection: the database may be elsewhere now. Those that are used end later."""
        with self._gate:
            self._round += 1
            idle, self._idle = self._idle, []
        for each in idle:
            with suppress(*self._engine.failures):
                each.close()

    def read(self, work: Callable[[Reader], T]) -> T:
        return self.use(lambda connection: work(SqlReader(connection)))

    def use(self, work: Callable[[Connection], T]) -> T:
        began = self._round
        connection, driver = self._begin()
        is_sound = False
        try:
            try:
                return work(connection)
            finally:
                driver.execute(self._engine.end_read)
                is_sound = True
        except self._engine.failures as error:
            raise_translated(self._engine, error, "read")
        finally:
            with self._gate:
                is_kept = is_sound and began == self._round
                if is_kept:
                    self._idle.append(connection)
            if not is_kept:
                with suppress(*self._engine.failures):
                    connection.close()

    def _begin(self) -> tuple[Connection, Driver]:
        """A connection, in a transaction."""
        while True:
            with self._gate:
                connection = self._idle.pop() if self._idle else None
            is_new = connection is None
            try:
                connection = connection or self._connect()
                driver = driver_of(connection)
                driver.execute(self._engine.begin_read)
            except self._engine.failures as error:
                if connection is not None:
                    with suppress(*self._engine.failures):
                        connection.close()
                if is_new:  # else the database was started again since: with a new one it may work
                    raise_translated(self._engine, error, "read")
            else:
                return connection, driver
