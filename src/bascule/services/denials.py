"""Denied callers on record, in bounded number (EDGES B8).

The first few of a source in a minute are audit events; the rest of that minute are counted,
and the count is an event too when the next minute's first denial comes, so that 100,000 bad
tokens leave a bounded number of rows. A source is the address of who could not prove an
identity, of IPv6 its /64, and the principal of who could. Sources beyond those that are told
apart are counted together: nothing that was denied is in no event and in no count.
What is not here: a count outlives no process; what nobody took when it stops is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from bascule.domain.events import DenialsCounted
from bascule.domain.sign_in import network_of
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput

log = structlog.get_logger("bascule.server")

RECORDED_PER_SOURCE = 5  # events a minute
RECORDED_IN_ALL = 100  # events a minute, and sources that are told apart
MOST_OWED = 1000  # counts that wait to be put on record; what comes then is one number
OTHERS = "*"  # the source of what is counted together


@dataclass(slots=True)
class _Tally:
    count: int = 0
    recorded: int = 0  # of them, in events of their own


@dataclass(slots=True)
class _Minute:
    began: datetime
    tallies: dict[str, _Tally] = field(default_factory=dict)
    recorded: int = 0
    others: int = 0  # of sources that are not told apart


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
            source = _network_or_principal(source)
            if source not in minute.tallies and len(minute.tallies) >= RECORDED_IN_ALL:
                minute.others += 1
                return False
            tally = minute.tallies.setdefault(source, _Tally())
            tally.count += 1
            if tally.count > RECORDED_PER_SOURCE or minute.recorded >= RECORDED_IN_ALL:
                return False
            tally.recorded += 1
            minute.recorded += 1
            return True

    def take_counts(self) -> tuple[DenialsCounted, ...]:
        """What was counted in minutes that are over and is not on record; once."""
        with self._lock:
            over, self._over = tuple(self._over), []
            return over

    def give_back(self, counts: Sequence[DenialsCounted]) -> None:
        """What was taken and did not get on record after all."""
        with self._lock:
            self._over[:0] = counts

    def _minute_of(self, now: datetime) -> _Minute:
        began = now.replace(second=0, microsecond=0)
        if self._minute is None or self._minute.began != began:
            if self._minute is not None:
                self._end(self._minute)
            self._minute = _Minute(began)
        return self._minute

    def _end(self, minute: _Minute) -> None:
        """Keep the counts that say more than the events do, in bounded number."""
        began, others = format_utc(minute.began), minute.others
        more = {k: each for k, each in minute.tallies.items() if each.count > each.recorded}
        if len(self._over) + len(more) >= MOST_OWED:  # nothing gets on record for long
            others += sum(each.count - each.recorded for each in more.values())
            more = {}
            if others and self._over[-1].source == OTHERS:
                last = self._over.pop()
                began, others = last.minute, last.count + others
        counted = [DenialsCounted(source, began, each.count) for source, each in more.items()]
        if others:
            counted.append(DenialsCounted(OTHERS, began, others))
        self._over += counted
        for each in counted:
            log.warning("denied callers", source=each.source, count=each.count, minute=each.minute)


def _network_or_principal(source: str) -> str:
    """An IPv4 address itself, the /64 of another; the id of a principal stays."""
    try:
        return network_of(source).removesuffix("/32")
    except InvalidInput:
        return source
