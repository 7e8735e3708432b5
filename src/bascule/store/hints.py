"""Hints between the servers on one database of PostgreSQL: that something changed, never what it is now.

One connection a server, which LISTENs, in a thread of its own. What is to be told is put together: the
first hint goes at once, and what comes within COALESCED after it goes as one NOTIFY, outside of the
transactions that it tells of. Its bytes are bounded: a hint that names too much says *all*.

A connection that was lost is made again after a random pause, and then everybody here is told *all*:
what was told meanwhile was not heard. Hints may be lost; whoever hears reads the truth again, and
``services.following`` finds what nobody was told of.

The server also tells itself the time, every few seconds: how old the newest such hint is says whether
hints come through. Source: PostgreSQL 15, ``NOTIFY``: a payload has fewer than 8000 bytes.
"""

from __future__ import annotations

import json
import os
import random
import select
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
import structlog
from sqlalchemy import Connection

from bascule.errors import BasculeError
from bascule.interfaces.hints import ALL, Heard, HintState
from bascule.store.postgresql import driver_of
from bascule.store.postgresql_failures import FAILURES

log = structlog.get_logger("bascule.store")

CHANNEL = "bascule_hints"
COALESCED = 0.03  # seconds between two of one server
LARGEST = 7900  # bytes of a payload
MOST_NAMED = 400  # machines and requests that wait to be told
TELL_ITSELF_EVERY = 5.0  # seconds
LONGEST_PAUSE = 2.0  # seconds before the connection is made again


@dataclass(slots=True)
class _Waiting:
    """What is to be told next."""

    machines: set[str] = field(default_factory=set)
    requests: set[str] = field(default_factory=set)
    points: set[str] = field(default_factory=set)
    is_of_lines: bool = True  # nothing else changed
    is_all: bool = False
    is_any: bool = False

    @property
    def count(self) -> int:
        return len(self.machines) + len(self.requests) + len(self.points)

    def payload(self) -> str:
        if not self.is_all:
            named: dict[str, object] = {
                "m": sorted(self.machines),
                "r": sorted(self.requests),
                "l": sorted(self.points),
                "o": int(self.is_of_lines),
            }
            text = json.dumps({k: v for k, v in named.items() if v}, separators=(",", ":"))
            if len(text.encode()) <= LARGEST:
                return text
        return "all"


def heard_in(payload: str) -> Heard:
    """What a payload says; one that says nothing that is known says *all*."""
    try:
        found = json.loads(payload)
        machines, requests, points = (tuple(found.get(name, [])) for name in "mrl")
        if all(isinstance(each, str) for each in (*machines, *requests, *points)):
            return Heard(machines, requests, points, is_of_lines=found.get("o") == 1)
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass
    return ALL


class ListeningHints:
    """``interfaces.hints.OpenHints``; ``close`` ends its thread and its connection."""

    def __init__(
        self, connect: Callable[[], Connection], uid: str, hear: Callable[[Heard], None]
    ) -> None:
        """``hear`` is called in the thread."""
        self._connect, self._hear = connect, hear
        self._own = f"{CHANNEL}_{uid.replace('-', '')}"
        self._gate = threading.Lock()
        self._waiting = _Waiting()
        self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closing = threading.Event()
        self._connected_at: float | None = None
        self._heard_itself_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="bascule-hints", daemon=True)
        self._thread.start()

    def tell(
        self,
        machine_uids: Iterable[str],
        request_ids: Iterable[str],
        point_uids: Iterable[str] | None = None,
    ) -> None:
        with self._gate:
            was_waiting, self._waiting.is_any = self._waiting.is_any, True
            self._waiting.machines.update(machine_uids)
            self._waiting.requests.update(request_ids)
            self._waiting.points.update(point_uids or ())
            self._waiting.is_of_lines &= point_uids is not None
            if self._waiting.count > MOST_NAMED:
                self._waiting = _Waiting(is_all=True, is_any=True)
        if not was_waiting:
            self._wake()

    def tell_all(self) -> None:
        with self._gate:
            self._waiting = _Waiting(is_all=True, is_any=True)
        self._wake()

    @property
    def state(self) -> HintState:
        now = time.monotonic()
        connected, heard = self._connected_at, self._heard_itself_at
        return HintState(
            None if connected is None else now - connected, None if heard is None else now - heard
        )

    def close(self) -> None:
        self._closing.set()
        self._wake()
        self._thread.join(5)

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake
            os.write(self._wakes[1], b"x")

    # -- the thread

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._listen()
            except (BasculeError, *FAILURES) as error:
                if failures == 0 or self._connected_at is not None:
                    log.warning("hints of other servers are not heard", why=str(error)[:200])
            except Exception:  # a fault of ours must not end the hearing for good
                log.exception("hints of other servers are not heard")
            failures = 1 if self._connected_at is not None else failures + 1
            self._connected_at = None
            longest = min(LONGEST_PAUSE, 0.1 * 2 ** min(failures, 10))
            self._closing.wait(random.uniform(0, longest))  # noqa: S311  # reason: no secret: it spreads servers

    def _listen(self) -> None:
        connection = self._connect()
        try:
            driver = driver_of(connection)
            driver.execute(f"LISTEN {CHANNEL}; LISTEN {self._own}".encode())
            self._connected_at = time.monotonic()
            log.info("hints of other servers are heard")
            self._hear(ALL)
            self._serve(driver)
        finally:
            with suppress(*FAILURES):
                connection.invalidate()  # else SQLAlchemy tries a ROLLBACK first, and logs that it fails
                connection.close()

    def _serve(self, driver: psycopg.Connection) -> None:
        told_at = asked_at = -COALESCED
        either = select.poll()  # select(2) takes no descriptor above 1023
        either.register(driver.fileno(), select.POLLIN)
        either.register(self._wakes[0], select.POLLIN)
        while not self._closing.is_set():
            now = time.monotonic()
            if now - asked_at >= TELL_ITSELF_EVERY:
                driver.execute("SELECT pg_notify(%s, '')", (self._own,))
                asked_at = now
            wait = asked_at + TELL_ITSELF_EVERY - now
            if self._waiting.is_any:
                if now - told_at >= COALESCED:
                    self._send(driver)
                    told_at = now
                else:
                    wait = min(wait, told_at + COALESCED - now)
            self._take(driver)
            ready = {descriptor for descriptor, _ in either.poll(max(0.0, wait) * 1000)}
            if self._wakes[0] in ready:
                os.read(self._wakes[0], 4096)
            if driver.fileno() in ready:
                self._take(driver)

    def _send(self, driver: psycopg.Connection) -> None:
        with self._gate:
            waiting, self._waiting = self._waiting, _Waiting()
        try:
            driver.execute("SELECT pg_notify(%s, %s)", (CHANNEL, waiting.payload()))
        except BaseException:
            with self._gate:  # the next connection says that all may have changed
                self._waiting = _Waiting(is_all=True, is_any=True)
            raise

    def _take(self, driver: psycopg.Connection) -> None:
        own = driver.info.backend_pid
        for each in driver.notifies(timeout=0):
            if each.channel == self._own:
                self._heard_itself_at = time.monotonic()
            elif each.pid != own:
                self._hear(heard_in(each.payload))
