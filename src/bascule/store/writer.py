"""The one thread that writes: units of work in a queue, group commit.

A durable commit costs a flush of the disk. So one thread owns the writing connection, runs each
unit in a savepoint inside one transaction, and commits for all that were waiting: the flush is shared.

Rules: what a unit came to is handed over only after the COMMIT; a unit that raises is undone
alone and its caller alone hears of it; when the COMMIT fails, every unit of the group
fails, because nothing of any of them was kept. Where other transactions were in the way, the whole
group is done again, a bounded number of times: a unit may run more than once, and its last run
counts. Units that may wait are the last of a group, and few: whoever comes meanwhile waits for no
more than these, and each group does some of them.
What is not here: what a unit does, and which database file this is.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from bascule.errors import Unavailable
from bascule.store.engine import Contended, Driver, Engine, driver_of, engine_of

log = structlog.get_logger("bascule.store")

T = TypeVar("T")

GROUP_LIMIT = 64  # units of one commit
GROUP_SECONDS = (
    0.2  # after which it takes no more; other servers on the database wait for their turn
)
MAY_WAIT_LIMIT = 4  # of them, such as may wait
CLOSE_WITHIN = 5.0  # seconds that a stop waits for another host's COMMIT
TRIES = 6  # of one group, where other transactions are in the way
_PASSED_OVER = "A statement failed, and its failure was passed over. Nothing was changed."
_PAUSE = 0.01  # seconds before the second try, at most; twice as long before each further one


class _Unit:
    __slots__ = ("error", "future", "may_wait", "result", "work")

    def __init__(self, work: Callable[[Connection], Any], *, may_wait: bool) -> None:
        self.work = work
        self.may_wait = may_wait
        self.future: Future[Any] = Future()
        self.result: Any = None  # of its last run, until the commit
        self.error: BaseException | None = None


class Writer:
    """Owns ``connection`` from now on; ``close`` ends its thread and closes it."""

    def __init__(
        self,
        connection: Connection,
        reconnect: Callable[[], Connection] | None = None,
        engine: Engine | None = None,
    ) -> None:
        """``reconnect`` makes another connection when this one is lost; None: it never is.
        ``engine``: None: that of the connection's database.
        """
        self._connection = connection
        self._driver: Driver = driver_of(connection)
        self._engine = engine or engine_of(connection)
        self._reconnect = reconnect
        self.retries = 0  # groups that were done again, since the start
        self._queue: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._now: deque[_Unit] = deque()  # taken from it; these two are the thread's own
        self._later: deque[_Unit] = deque()
        self._gate = threading.Lock()  # nothing is queued behind the end
        self._is_closed = False
        # A daemon: what was not committed was not acknowledged, so exit need not wait.
        self._thread = threading.Thread(target=self._serve, name="bascule-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T], *, may_wait: bool = False) -> Future[T]:
        """Queue a unit of work; raises Unavailable after ``close``.

        ``may_wait``: until nothing else is queued, but for a bounded number of commits.
        """
        unit = _Unit(work, may_wait=may_wait)
        with self._gate:
            if self._is_closed:
                raise Unavailable("The database is closed: the server is stopping.")
            self._queue.put(unit)
        return unit.future

    def close(self) -> None:
        """Finish what is queued, then let go of the database. A database elsewhere may not answer: then
        the thread is left. What it was doing was acknowledged to nobody.
        """
        with self._gate:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(None)
        self._thread.join(None if self._reconnect is None else CLOSE_WITHIN)
        if self._thread.is_alive():
            log.warning("the database did not finish a write before the stop")
        else:
            self._connection.close()

    def _serve(self) -> None:
        is_open = True
        while is_open or self._now or self._later:
            if not (self._now or self._later):
                is_open = self._sort(self._queue.get())
            elif (unit := self._next([])) is not None:
                self._write_group(unit)

    def _write_group(self, first: _Unit) -> None:
        taken: list[_Unit] = []
        for tries_left in reversed(range(TRIES)):
            try:
                self._begin()
                for unit in list(taken) or self._take(first, taken):
                    self._run(unit)
                self._control("COMMIT")
            except Exception as error:  # noqa: BLE001  # reason: the thread outlives every failure
                self._roll_back()
                failure = self._failure(error)
                if tries_left and isinstance(failure, Contended):
                    self._pause(TRIES - tries_left)
                    continue
                if not taken:  # it could not even begin: those behind would wait for the same
                    taken.extend(self._take(first, []))
                for unit in taken:
                    unit.future.set_exception(unit.error or self._failure(error))
            else:
                for unit in taken:
                    if unit.error is None:
                        unit.future.set_result(unit.result)
                    else:
                        unit.future.set_exception(unit.error)
            return

    def _control(self, text: str) -> Any:  # noqa: ANN401  # reason: for the engine's checks
        return self._engine.control(self._driver, text)

    def _begin(self) -> None:
        self._engine.check_begun(self._begun())

    def _begun(self) -> Any:  # noqa: ANN401  # reason: a driver's cursor
        begin = self._engine.begin_write
        if self._reconnect is None:
            return self._control(begin)
        if not self._engine.is_lost(self._driver):
            try:
                begun = self._control(begin)
            except self._engine.failures:
                if not self._engine.is_lost(self._driver):
                    raise
            else:
                if not self._engine.is_lost(self._driver):
                    return begun
        with suppress(*self._engine.failures):
            self._connection.close()
        self._connection = self._reconnect()
        self._driver = driver_of(self._connection)
        return self._control(begin)

    def _pause(self, number: int) -> None:
        self.retries += 1
        longest = _PAUSE * 2 ** (number - 1)
        log.info("transaction done again", number=number, retries=self.retries)
        time.sleep(random.uniform(0, longest))  # noqa: S311  # reason: no secret: it spreads writers

    def _take(self, first: _Unit, taken: list[_Unit]) -> Iterator[_Unit]:
        """Yield and note ``first`` and what is queued, except what was cancelled meanwhile."""
        unit: _Unit | None = first
        began = time.monotonic()
        while unit is not None:
            if unit.future.set_running_or_notify_cancel():
                taken.append(unit)
                yield unit
            is_full = len(taken) >= GROUP_LIMIT or time.monotonic() - began >= GROUP_SECONDS
            unit = None if is_full else self._next(taken)

    def _next(self, taken: list[_Unit]) -> _Unit | None:
        """What is to be written with these; None: nothing more."""
        with suppress(queue.Empty):
            while self._sort(unit := self._queue.get_nowait()):
                pass
            self._queue.put(unit)  # the end, for _serve to find
        is_last = not self._now or len(taken) >= GROUP_LIMIT - MAY_WAIT_LIMIT
        if self._later and is_last and sum(each.may_wait for each in taken) < MAY_WAIT_LIMIT:
            return self._later.popleft()
        return self._now.popleft() if self._now else None

    def _sort(self, unit: _Unit | None) -> bool:
        """Put it where it waits; False: it is the end."""
        if unit is not None:
            (self._later if unit.may_wait else self._now).append(unit)
        return unit is not None

    def _run(self, unit: _Unit) -> None:
        """Run one unit in a savepoint; when it fails, it is undone alone."""
        unit.result = unit.error = None
        self._control("SAVEPOINT unit")
        try:
            unit.result = unit.work(self._connection)
            if self._engine.is_failed(self._driver):
                raise Unavailable(_PASSED_OVER)
        except BaseException as error:  # noqa: BLE001  # reason: it is the caller's, whatever it is
            self._check_transaction(error)
            self._driver.execute("ROLLBACK TO unit")
            unit.error = error
        self._check_transaction(None)
        self._control("RELEASE unit")

    def _check_transaction(self, error: BaseException | None) -> None:
        """Fail the group when the database gave up the whole transaction, as SQLite may on a full
        disk, or when other transactions were in its way.
        """
        if isinstance(error, Contended):
            raise error
        if self._engine.is_in_transaction(self._driver):
            return
        if isinstance(error, Unavailable):
            raise error
        raise Unavailable("The database rolled the transaction back. Nothing was changed.")

    def _roll_back(self) -> None:
        if self._engine.is_in_transaction(self._driver):
            with suppress(*self._engine.failures):  # a failure shows at the next BEGIN, to callers
                self._driver.execute("ROLLBACK")

    def _failure(self, error: Exception) -> Unavailable:
        """What one caller of a failed group is told; an exception each, since each is raised."""
        ours = self._engine.translate(error, "written")
        if isinstance(ours, Unavailable):
            failure = type(ours)(ours.message, advice=ours.advice)
        else:
            failure = Unavailable(f"The database's writer failed: {error}.")
        failure.__cause__ = error
        return failure
