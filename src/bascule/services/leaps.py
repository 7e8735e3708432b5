"""Leaps of the clock: what is scheduled is not opened by a clock that was moved (EDGES J9).

The wall clock is compared with the clock since boot, of this boot of this host. A step of a minute or
less is not a leap, nor is the drift between the clocks of two hosts, the database's and a server's, which
comes to a minute within weeks: what is apart by more than DRIFT is noted anew. A leap is found once, by
whichever server is first. What a clock did while its host was off is not known.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from bascule.services.act import Act

LEAP = timedelta(minutes=1)
DRIFT = LEAP / 2


class ClockReads(Protocol):
    def clock_start(self, boot: str) -> datetime | None:
        """When that boot began by the wall clock, as it was noted; None: it was not."""
        ...


class ClockWrites(ClockReads, Protocol):
    def note_clock_start(self, boot: str, at: datetime) -> None: ...

    def forget_clock_starts(self) -> None: ...


def has_leapt(reader: ClockReads, boot: str, now: datetime, boottime: float) -> bool:
    """By more than a minute, since it was noted."""
    apart = _apart(reader, boot, now, boottime)
    return apart is not None and apart > LEAP


def is_to_note(reader: ClockReads, boot: str, now: datetime, boottime: float) -> bool:
    """Was nothing noted yet, or have the clocks come apart since?"""
    apart = _apart(reader, boot, now, boottime)
    return apart is None or apart > DRIFT


def note_clock(tx: ClockWrites, act: Act) -> None:
    """Note how both clocks stand, unless that is known. A leap is left to be found."""
    if act.boottime is None:
        return
    apart = _apart(tx, act.boot, act.now, act.boottime)
    if apart is None or DRIFT < apart <= LEAP:
        tx.note_clock_start(act.boot, _start(act.now, act.boottime))


def note_leap(tx: ClockWrites, act: Act) -> None:
    """Note how both clocks stand now. What other servers noted was before the leap: they would find the
    same once more, long after it if they were not running.
    """
    tx.forget_clock_starts()
    note_clock(tx, act)


def _apart(reader: ClockReads, boot: str, now: datetime, boottime: float) -> timedelta | None:
    """By how much the clocks stand otherwise than was noted; None: nothing was."""
    known = reader.clock_start(boot)
    return None if known is None else abs(_start(now, boottime) - known)


def _start(now: datetime, boottime: float) -> datetime:
    return now - timedelta(seconds=boottime)
