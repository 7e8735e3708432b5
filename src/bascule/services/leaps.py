"""Leaps of the clock: what is scheduled is not opened by a clock that was moved (EDGES J9).

The wall clock is compared with the clock since boot, of this boot of this host. A step of a minute or
less is not a leap. What a clock did while its host was off is not known.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from bascule.services.act import Act

LEAP = timedelta(minutes=1)


class ClockReads(Protocol):
    def clock_start(self, boot: str) -> datetime | None:
        """When that boot began by the wall clock, as it was noted; None: it was not."""
        ...


class ClockWrites(ClockReads, Protocol):
    def note_clock_start(self, boot: str, at: datetime) -> None: ...


def has_leapt(reader: ClockReads, boot: str, now: datetime, boottime: float) -> bool:
    """By more than a minute, since it was noted."""
    known = reader.clock_start(boot)
    return known is not None and abs(_start(now, boottime) - known) > LEAP


def note_clock(tx: ClockWrites, act: Act, *, is_moved: bool = False) -> None:
    """Note how both clocks stand, unless that is known; ``is_moved``: anew."""
    if act.boottime is not None and (is_moved or tx.clock_start(act.boot) is None):
        tx.note_clock_start(act.boot, _start(act.now, act.boottime))


def _start(now: datetime, boottime: float) -> datetime:
    return now - timedelta(seconds=boottime)
