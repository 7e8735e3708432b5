"""The time by which one-use proofs are judged: the wall clock's, but it never goes back.

A wall clock that is set back an hour would either let what was used and forgotten in again,
or, since that is refused, keep every agent out for an hour. So proofs are judged by a time
that follows the wall clock forwards and otherwise the kernel's boot clock; whoever is refused
is told it (``timestamp``) and makes the next proof by it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bascule.interfaces.clock import Clock


class SteadyTime:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall = clock.now()
        self._boot = clock.boottime()

    def now(self) -> datetime:
        wall, boot = self._clock.now(), self._clock.boottime()
        steady = self._wall + timedelta(seconds=boot - self._boot)
        if wall < steady:
            return steady
        self._wall, self._boot = wall, boot
        return wall
