"""The real clocks; nothing else in Bascule reads one.

``FollowedClock`` shows another system's time, such as the database's, so that several processes on
several hosts go by one clock. It reads no wall clock of its own: between two measurements the time
goes on by the clock since boot, which counts while the system is suspended.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bascule.interfaces.clock import Clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """A Clock over the kernel's (clock_gettime(2))."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Of this boot of this host (random(4)); no other has the same."""
    return _BOOT_ID.read_text("ascii").strip()


class FollowedClock:
    """A Clock with another system's wall clock."""

    def __init__(self, own: Clock | None = None) -> None:
        self._own: Clock = own or SystemClock()
        self._gate = threading.Lock()  # measured by several threads
        self._boot_at: datetime | None = None  # when this host was at 0 of its clock since boot

    def note(self, told: datetime, began: float, ended: float) -> None:
        """The other clock said ``told`` between these two moments of ``boottime``.

        What fits to that is kept, so that the time does not jump by what an answer takes on its
        way; else it is moved by as little as makes it fit.
        """
        earliest = told - timedelta(seconds=ended)
        latest = told - timedelta(seconds=began)
        with self._gate:
            known = self._boot_at or earliest + (latest - earliest) / 2
            self._boot_at = min(max(known, earliest), latest)

    def now(self) -> datetime:
        """Goes on when nothing is measured. Goes back only when the other clock was set back, or
        by what this host's clock was ahead of it since the last measurement.
        """
        if self._boot_at is None:
            raise RuntimeError("the other clock was never read")
        return self._boot_at + timedelta(seconds=self._own.boottime())

    def monotonic(self) -> float:
        return self._own.monotonic()

    def boottime(self) -> float:
        return self._own.boottime()

    def own_is_ahead(self) -> timedelta:
        """By how much this host's wall clock is ahead of the other; negative: behind it."""
        return self._own.now() - self.now()
