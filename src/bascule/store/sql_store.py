"""The store on any database: one writer, and a few readers beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from sqlalchemy import Connection

from bascule.errors import Unavailable
from bascule.interfaces.clock import SharedClock
from bascule.interfaces.hints import Heard, OpenHints
from bascule.interfaces.store import Reader, Transaction, Unsettled
from bascule.store import tables as t
from bascule.store.engine import driver_of, engine_of
from bascule.store.readers import Readers
from bascule.store.transaction import SqlReader, SqlTransaction
from bascule.store.writer import Writer

T = TypeVar("T")
CHECK_WITHIN = 30.0  # seconds
ANSWER_WITHIN = 30.0  # seconds that a caller waits for a change or a read, on PostgreSQL


class SqlStore:
    """``interfaces.store.Store``."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers | None,
        clock: SharedClock | None = None,
        measure: Callable[[Connection], None] | None = None,
        connect: Callable[[], Connection] | None = None,
    ) -> None:
        """Without readers, reads take their turn with the writes. ``measure`` reads the ``clock``
        of the database, if it has its own; ``connect`` makes connections for hints, where servers
        share the database.
        """
        self.clock = clock
        self._measure = measure
        self._writer = writer
        self._connect = connect
        self._readers = readers

    @property
    def retries(self) -> int:
        return self._writer.retries

    async def write(self, work: Callable[[Transaction], T], *, may_wait: bool = False) -> T:
        def unit(connection: Connection) -> T:
            transaction = SqlTransaction(connection)
            result = work(transaction)
            transaction.finish()
            return result

        queued = self._writer.submit(unit, may_wait=may_wait)
        if self.clock is None:  # nothing lies between the writer and its disk
            return await asyncio.wrap_future(queued)
        return await _bounded(queued)

    async def read(self, work: Callable[[Reader], T]) -> T:
        threads = self._readers or self._writer
        queued = threads.submit(lambda connection: work(SqlReader(connection)))
        return await (asyncio.wrap_future(queued) if self.clock is None else _answered(queued))

    async def read_few(self, work: Callable[[Reader], T]) -> T:
        return await self.read(work)

    async def measure_clock(self) -> None:
        if self._measure is not None and self._readers is not None:
            await _answered(self._readers.submit(self._measure))

    async def check_writable(self) -> None:
        """A COMMIT may wait for a standby without end; nobody has to wait here for longer."""
        asked = asyncio.wrap_future(self._writer.submit(_write_the_same))
        try:
            await asyncio.wait_for(asked, CHECK_WITHIN)
        except TimeoutError:
            raise Unavailable(
                f"The database did not finish a write within {CHECK_WITHIN:g} s.",
                advice="See the log of the database server. If it commits to a synchronous standby, "
                "check that one.",
            ) from None

    def hints(self, uid: str, hear: Callable[[Heard], None]) -> OpenHints | None:
        """The way to the other servers, for the one of this uid; None: there can be no others.

        ``hear`` is called in another thread.
        """
        if self._connect is None:
            return None
        from bascule.store.hints import ListeningHints  # noqa: PLC0415  # reason: it loads psycopg

        return ListeningHints(self._connect, uid, hear)

    def close(self) -> None:
        """Finish what is queued and let go of the database; may be called again."""
        if self._readers is not None:
            self._readers.close()
        self._writer.close()


async def _answered(queued: Future[T]) -> T:
    """What was read. A server that stands still ends no statement; callers do not wait for it."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(queued), ANSWER_WITHIN)
    except TimeoutError:
        raise Unavailable(
            f"The database did not answer within {ANSWER_WITHIN:g} s.",
            advice="Try again. See the log of the database server.",
        ) from None


async def _bounded(queued: Future[T]) -> T:
    """Its result. A COMMIT may wait for a standby without end; callers do not."""
    waiting = asyncio.wrap_future(queued)
    try:
        await asyncio.wait({waiting}, timeout=ANSWER_WITHIN)
    except asyncio.CancelledError:
        waiting.cancel()
        raise
    if waiting.done():
        return waiting.result()
    if queued.cancel():
        raise Unavailable(
            f"The database did not begin this change within {ANSWER_WITHIN:g} s. Nothing was "
            f"changed.",
            advice="Try again. See the log of the database server.",
        )
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # it was heard
    raise Unsettled(queued)


def _write_the_same(connection: Connection) -> None:
    """A database writes a row that is set to what it was like any other."""
    engine_of(connection).check_kept(driver_of(connection))
    same = t.installation.update().values(location=t.installation.c.location)
    connection.execute(same)
