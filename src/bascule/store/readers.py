"""Threads that read, and the connections that they share out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Connection

from bascule.errors import Unavailable
from bascule.store.engine import Driver, Engine, driver_of
from bascule.store.failures import log
from bascule.store.rows import raise_translated

T = TypeVar("T")

READERS = 4  # threads that read; more would only wait for the same interpreter
CLOSE_WITHIN = 5.0  # seconds that a stop waits for reads


class Readers:
    """Each read has a connection of its own and one transaction, which sees one moment."""

    def __init__(self, engine: Engine, connect: Callable[[], Connection]) -> None:
        self._engine = engine
        self._connect = connect
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[Connection], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._threads: list[threading.Thread] = []
        self._idle: list[Connection] = []
        self._round = 0  # connections of an earlier one are not used again
        self._is_closed = False
        self._gate = threading.Lock()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Queue a read; raises Unavailable after ``close``."""
        future: Future[T] = Future()
        with self._gate:
            if self._is_closed:
                raise Unavailable("The database is closed: the server is stopping.")
            self._queue.put((future, work))
            if len(self._threads) < READERS:
                # Daemons: a database elsewhere may never answer, and exit need not wait for it.
                thread = threading.Thread(target=self._serve, name="bascule-reader", daemon=True)
                thread.start()
                self._threads.append(thread)
        return future

    def close(self) -> None:
        """Finish what is queued and let go of the database; a read that does not end is left."""
        with self._gate:
            is_first, self._is_closed = not self._is_closed, True
        if is_first:
            for _ in self._threads:
                self._queue.put(None)
        latest = time.monotonic() + CLOSE_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            log.warning("the database did not finish a read before the stop")
        with self._gate:
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    def _serve(self) -> None:
        while (taken := self._queue.get()) is not None:
            future, work = taken
            if future.set_running_or_notify_cancel():
                try:
                    result = self.use(work)
                except BaseException as error:  # noqa: BLE001  # reason: it is the caller's
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del taken, future, work  # else this thread keeps what was read until the next one

    def make_anew(self) -> None:
        """Each connection: the database may be elsewhere now. Those that are used end later."""
        with self._gate:
            self._round += 1
            idle, self._idle = self._idle, []
        for each in idle:
            with suppress(*self._engine.failures):
                each.close()

    def use(self, work: Callable[[Connection], T]) -> T:
        """Read in the caller's own thread."""
        began = self._round
        connection, driver, begun = self._begin()
        is_sound = False
        try:
            try:
                self._engine.check_read(begun)
                return work(connection)
            finally:
                self._engine.control(driver, self._engine.end_read)
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

    def _begin(self) -> tuple[Connection, Driver, Any]:
        """A connection, in a transaction, and the answer to what began it."""
        while True:
            with self._gate:
                connection = self._idle.pop() if self._idle else None
            is_new = connection is None
            try:
                connection = connection or self._connect()
                driver = driver_of(connection)
                begun = self._engine.control(driver, self._engine.begin_read)
            except self._engine.failures as error:
                if connection is not None:
                    with suppress(*self._engine.failures):
                        connection.close()
                if is_new:  # else the database was started again since: with a new one it may work
                    raise_translated(self._engine, error, "read")
            else:
                return connection, driver, begun
