"""The real clocks; nothing else in Bascule reads one."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """A Clock over the kernel's (clock_gettime(2))."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
