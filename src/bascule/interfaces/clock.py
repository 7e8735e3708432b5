"""The clock, as a Protocol."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

READINGS_APART = timedelta(seconds=1)  # by which two servers' readings of one clock may differ


class Clock(Protocol):
    """The only reader of clocks."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back and stands still while the system is suspended
        (CLOCK_MONOTONIC).
        """
        ...

    def boottime(self) -> float:
        """Seconds since boot, suspended time included (CLOCK_BOOTTIME); never goes back."""
        ...


class SharedClock(Clock, Protocol):
    """The clock of the database that several servers share."""

    def own_is_ahead(self) -> timedelta:
        """By how much this host's wall clock is ahead of it; negative: behind it."""
        ...
