"""Denied callers on record, in bounded number (EDGES B8).

The first few of a source in a minute are audit events; the rest of that minute are counted,
and the count is an event too when the next minute's first denial comes, so that 100,000 bad
tokens leave a bounded number of rows. A source is the address of who could not prove an
identity, and the principal of who could.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

import structlog

from bascule.domain.events import DenialsCounted
from bascule.domain.times import format_utc

log = structlog.get_logger("bascule.server")

RECORDED_PER_SOURCE = 5  # events a minute
RECORDED_IN_ALL = 100  # events a minute, and sources that are told apart


@dataclass(slots=True)
class _Minute:
    began: datetime
    counts: dict[str, int]
    recorded: int = 0


class Denials:
    """Counts of the current minute. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute: _Minute | None = None
        self._over: list[DenialsCounted] = []

    def is_recorded(self, source: str, now: datetime) -> bool:
        """Count one denial; should it become an audit event?"""
        with self._lock:
            minute = self._minute_of(now)
            count = minute.counts.get(source, 0) + 1
            if source in minute.counts or len(minute.counts) < RECORDED_IN_ALL:
                minute.counts[source] = count
            if count > RECORDED_PER_SOURCE or minute.recorded >= RECORDED_IN_ALL:
                return False
            minute.recorded += 1
            return True

    def take_counts(self) -> tuple[DenialsCounted, ...]:
        """What was counted in minutes that are over and is not on record; once."""
        with self._lock:
            over, self._over = tuple(self._over), []
            return over

    def _minute_of(self, now: datetime) -> _Minute:
        began = now.replace(second=0, microsecond=0)
        if self._minute is None or self._minute.began != began:
            if self._minute is not None:
                self._end(self._minute)
            self._minute = _Minute(began, {})
        return self._minute

    def _end(self, minute: _Minute) -> None:
        """Keep the counts that say more than the events do; those of one minute at most."""
        self._over = [
            DenialsCounted(source, format_utc(minute.began), count)
            for source, count in minute.counts.items()
            if count > RECORDED_PER_SOURCE
        ]
        for each in self._over:
            log.warning("denied callers", source=each.source, count=each.count, minute=each.minute)
