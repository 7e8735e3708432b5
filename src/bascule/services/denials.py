"""How many denied calls are recorded for each caller (EDGES B8).

The first few of a source in a minute are audit events; the rest of that minute are counted,
and the count is an event too when the next minute's first denial comes, so that 100,000 bad
tokens leave a bounded number of rows. A source is the address of who could not prove an
identity, of IPv6 its /64, and the principal of who could. Sources beyond those that are told
apart are counted together: nothing that was denied is in no event and in no count.

Of callers without an identity an hour has a share of rows too, events and counts together,
so that a day of the record has a bound that no flood moves (EDGES E2). The share is the
hour's, not the day's: a flood at midnight does not hide what comes at noon. What comes
beyond it is one count of that hour.
What is not here: a count outlives no process; what nobody took when it stops is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from bascule.domain.facts.calls import DenialsCounted
from bascule.domain.sign_in import network_of
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput

log = structlog.get_logger("bascule.server")

RECORDED_PER_SOURCE = 5  # events a minute
RECORDED_IN_ALL = 100  # events a minute, and sources that are told apart
STRANGERS_AN_HOUR = 200  # rows of one kind of denial, of callers without an identity
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


@dataclass(slots=True)
class _Hour:
    began: datetime
    rows: int = 0  # events and counts
    others: int = 0  # denials that are in neither


class Denials:
    """Counts of the current minute and hour. May be used from any thread."""

    def __init__(self, rows_an_hour: int | None = None) -> None:
        """``rows_an_hour`` bounds events and counts of an hour; None: minutes alone do."""
        self._lock = threading.Lock()
        self._most = rows_an_hour
        self._hour: _Hour | None = None
        self._minute: _Minute | None = None
        self._over: list[DenialsCounted] = []

    def is_recorded(self, source: str, now: datetime) -> bool:
        """Count one denial; should it become an audit event?"""
        with self._lock:
            hour, minute = self._hour_of(now), self._minute_of(now)
            if self._is_full(hour, 0):
                hour.others += 1
                return False
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
            hour.rows += 1
            return True

    def take_back(self, source: str, now: datetime, *, was_recorded: bool) -> None:
        """One that ``is_recorded`` counted, and whose transaction was undone.

        After its minute it stays counted: one too many is no harm. For what has no share of an hour.
        """
        with self._lock:
            hour, minute = self._hour, self._minute
            if (
                hour is None
                or minute is None
                or minute.began != now.replace(second=0, microsecond=0)
            ):
                return
            tally = minute.tallies.get(_network_or_principal(source))
            if tally is None:
                minute.others = max(0, minute.others - 1)
                return
            tally.count -= 1
            if was_recorded:
                tally.recorded -= 1
                minute.recorded -= 1
                hour.rows -= 1

    def take_counts(self) -> tuple[DenialsCounted, ...]:
        """What was counted in minutes that are over and is not on record; once."""
        with self._lock:
            over, self._over = tuple(self._over), []
            return over

    def give_back(self, counts: Sequence[DenialsCounted]) -> None:
        """What was taken and did not get on record after all."""
        with self._lock:
            self._over[:0] = counts

    def _is_full(self, hour: _Hour, more: int) -> bool:
        """Is there no room for ``more`` rows and one?"""
        return self._most is not None and hour.rows + more >= self._most

    def _hour_of(self, now: datetime) -> _Hour:
        began = now.replace(minute=0, second=0, microsecond=0)
        if self._hour is None or self._hour.began != began:
            if self._minute is not None and self._hour is not None:
                self._end(self._minute, self._hour)
                self._owe_others(self._hour.began, self._hour.others)
            self._minute, self._hour = None, _Hour(began)
        return self._hour

    def _minute_of(self, now: datetime) -> _Minute:
        began = now.replace(second=0, microsecond=0)
        if self._minute is None or self._minute.began != began:
            if self._minute is not None and self._hour is not None:
                self._end(self._minute, self._hour)
            self._minute = _Minute(began)
        return self._minute

    def _end(self, minute: _Minute, hour: _Hour) -> None:
        """Keep the counts that say more than the events do, in bounded number."""
        more = {k: each for k, each in minute.tallies.items() if each.count > each.recorded}
        is_crowded = len(self._over) + len(more) >= MOST_OWED  # nothing gets on record for long
        if is_crowded or self._is_full(hour, len(more)):
            minute.others += sum(each.count - each.recorded for each in more.values())
            more = {}
        for source, each in more.items():
            self._owe(DenialsCounted(source, format_utc(minute.began), each.count))
        hour.rows += len(more)
        if self._is_full(hour, 0):
            hour.others += minute.others
        elif minute.others:
            hour.rows += 1
            self._owe_others(minute.began, minute.others)

    def _owe_others(self, began: datetime, count: int) -> None:
        """One more count of those that are not told apart; of many that wait, with the last."""
        if not count:
            return
        last = self._over[-1] if self._over else None
        if last is not None and last.source == OTHERS and len(self._over) >= MOST_OWED:
            self._over[-1] = DenialsCounted(OTHERS, last.minute, last.count + count)
        else:
            self._owe(DenialsCounted(OTHERS, format_utc(began), count))

    def _owe(self, counted: DenialsCounted) -> None:
        self._over.append(counted)
        log.warning(
            "denied callers", source=counted.source, count=counted.count, minute=counted.minute
        )


def of_strangers() -> Denials:
    """Counts of callers without an identity."""
    return Denials(STRANGERS_AN_HOUR)


def _network_or_principal(source: str) -> str:
    """An IPv4 address itself, the /64 of another; the id of a principal stays."""
    try:
        return network_of(source).removesuffix("/32")
    except InvalidInput:
        return source
