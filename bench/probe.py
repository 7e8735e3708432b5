"""When does a port open, and when does it close, as a client's SYNs see it.

A knock is a non-blocking connect: its SYN is dropped or refused while the port is shut, and the
first one to arrive after the opening completes at once. Knocks start before the question is
asked and go on at a fixed rhythm, so that the answer is the world's, not the asked program's.
The rhythm is the resolution: an opening is seen up to one interval late.

What is not here: what is asked, and of whom (``asking``).
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Target = tuple[str, int]  # address, port

_PENDING = 200  # knocks under way: older ones were dropped, and only repeat after a second
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: end by RST and leave no TIME_WAIT behind
_REPEAT_SECONDS = 0.05  # an open port on the same machine answers in a hundredth of this


@dataclass(frozen=True, slots=True)
class Opening(Generic[T]):
    """One question and what came of it; instants on ``time.perf_counter``."""

    asked_at: float
    opened_at: float | None  # None: not within the limit
    answered_at: float  # when the asked program was done
    answer: T
    knocks: int

    @property
    def latency_ms(self) -> float | None:
        return None if self.opened_at is None else (self.opened_at - self.asked_at) * 1000


class Prober:
    """Asks in a thread of its own and knocks meanwhile."""

    def __init__(self, target: Target, interval: float) -> None:
        self._target = target
        self._interval = interval
        self._asking = ThreadPoolExecutor(1)
        self._asking.submit(int).result()  # the thread stands before the first question

    def time_opening(self, ask: Callable[[], T], limit: float) -> Opening[T]:
        """Knock, ask, and knock on until a connection stands or ``limit`` seconds are over."""
        pending: deque[socket.socket] = deque()
        knocks = 0
        question: Future[tuple[float, T, float]] | None = None
        began = due = time.perf_counter()
        opened_at: float | None = None
        try:
            while opened_at is None and due - began < limit:
                pending.append(self._knock())
                knocks += 1
                if question is None:
                    question = self._asking.submit(_timed, ask)
                due = max(due + self._interval, time.perf_counter())
                opened_at = self._listen(pending, due)
        finally:
            for each in pending:
                hang_up(each)
        if question is None:
            raise ValueError("the limit leaves no time for a single knock")
        asked_at, answer, answered_at = question.result(timeout=30)
        return Opening(asked_at, opened_at, answered_at, answer, knocks)

    def _knock(self) -> socket.socket:
        knock = socket.socket(_family(self._target))
        knock.setblocking(False)
        knock.connect_ex(self._target)
        return knock

    def _listen(self, pending: deque[socket.socket], until: float) -> float | None:
        """Wait for a connection until the next knock is due; drop those that were refused."""
        while len(pending) > _PENDING:
            hang_up(pending.popleft())
        while True:
            left = until - time.perf_counter()
            _, settled, _ = select.select([], pending, [], max(0.0, left))
            seen_at = time.perf_counter()
            for knock in settled:
                if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    return seen_at
                pending.remove(knock)
                hang_up(knock)
            if not settled:
                return None

    def time_closing(self, not_before: float, limit: float) -> float | None:
        """Wait until ``not_before``, then knock until the port is shut: the instant of the first
        knock that failed. None when it was still open ``limit`` seconds later.
        """
        time.sleep(max(0.0, not_before - time.perf_counter()))
        while (now := time.perf_counter()) < not_before + limit:
            if not is_open(self._target) and not is_open(self._target):
                return now
            time.sleep(self._interval)
        return None


def is_open(target: Target, seconds: float = _REPEAT_SECONDS) -> bool:
    """Knock once and wait for the answer."""
    knock = socket.socket(_family(target))
    knock.settimeout(seconds)
    try:
        knock.connect(target)
    except OSError:
        return False
    else:
        return True
    finally:
        hang_up(knock)


def hang_up(knock: socket.socket) -> None:
    """Close without a trace: no FIN to wait for, no port kept."""
    knock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    knock.close()


def _family(target: Target) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in target[0] else socket.AF_INET


def _timed(ask: Callable[[], T]) -> tuple[float, T, float]:
    began = time.perf_counter()
    answer = ask()
    return began, answer, time.perf_counter()
