"""When an agent's loop asks its server, and when it tries again after a failure.

With jitter, so that the agents of one server do not come together: it may have just started. What is
not here: what else wakes the loop (``loop``), and when a line is made again (``following``).
"""

from __future__ import annotations

import random
from collections import deque

from bascule.agent.news import POLL_SECONDS
from bascule.interfaces.clock import Clock

WATCH_SECONDS = 2.0  # how often our rules are read back
ASK_SECONDS = 3600.0  # with a quarter of jitter: while a line tells what is new
FIRST_ASK_SECONDS = 300.0  # within which a line is asked on which all was as it had been
SHORTEST_RETRY, LONGEST_RETRY = 0.2, 20.0
REFUSED_RETRY = 10.0
MOST_WAKES = 10  # passes that the server may wake in any one second (EDGES E4)


class Timetable:
    """All moments are CLOCK_BOOTTIME seconds. For the loop's thread alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wakes: deque[float] = deque(maxlen=MOST_WAKES)  # when an announcement had us ask
        self._looks: deque[float] = deque(maxlen=MOST_WAKES)  # when one was made ahead of a pass
        self._next_ask = 0.0  # while a line lives
        self._next_poll = 0.0  # otherwise
        self._retry = SHORTEST_RETRY
        self._fault_retry = SHORTEST_RETRY
        self.failed_passes = 0  # since the start
        self.next_try = float("inf")  # of a pass that failed; the server is not asked for it

    def next_asking(self, *, has_line: bool) -> float:
        return self._next_ask if has_line else self._next_poll

    def next_wake(self, *, is_heard: bool) -> float:
        """From when on an announcement may wake a pass; 0 is at once.

        While answers are of no use it is one a second: each may be dear to read.
        """
        if self._wakes and not is_heard:
            return self._wakes[-1] + 1.0
        return self._wakes[0] + 1.0 if len(self._wakes) == MOST_WAKES else 0.0

    def note_wake(self) -> None:
        """An announcement has us ask now."""
        self._wakes.append(self._clock.boottime())

    def may_look(self) -> bool:
        """Is the firewall to be read now, because the server says that something may come? Notes it.

        As often as it may wake passes, which then do not read it once more.
        """
        now = self._clock.boottime()
        if len(self._looks) == MOST_WAKES and now < self._looks[0] + 1.0:
            return False
        self._looks.append(now)
        return True

    def note_answer(self) -> None:
        """The server answered a state that is held now."""
        self._retry = SHORTEST_RETRY
        now, jitter = self._clock.boottime(), random.uniform(0.75, 1.25)  # noqa: S311  # reason: jitter
        self._next_ask = now + ASK_SECONDS * jitter
        self._next_poll = now + POLL_SECONDS * jitter

    def note_nothing_new(self) -> None:
        """A new line told that there is nothing to ask for."""
        self._retry = SHORTEST_RETRY
        wait = random.uniform(0, FIRST_ASK_SECONDS)  # noqa: S311  # reason: jitter
        self._next_ask = self._clock.boottime() + wait

    def note_refusal(self) -> None:
        self._next_ask = self._next_poll = self._clock.boottime() + REFUSED_RETRY

    def back_off(self) -> None:
        """Ask after a wait that doubles each time that there is no answer of use."""
        wait = random.uniform(self._retry / 2, self._retry)  # noqa: S311  # reason: jitter
        self._next_ask = self._next_poll = self._clock.boottime() + wait
        self._retry = min(self._retry * 2, LONGEST_RETRY)

    def note_failed_pass(self) -> None:
        self.failed_passes += 1
        self.next_try = self._clock.boottime() + self._fault_retry
        self._fault_retry = min(self._fault_retry * 2, WATCH_SECONDS)

    def note_whole_pass(self) -> None:
        self.next_try, self._fault_retry = float("inf"), SHORTEST_RETRY
