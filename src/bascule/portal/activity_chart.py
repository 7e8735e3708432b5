"""The shape of the days: events counted by hour, day, or several days, as bars with a part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bascule.domain.facts.kinds import SORTS
from bascule.interfaces.activity import Counts
from bascule.portal.charts import Bar, Bars, bars_of, parts_of
from bascule.services.activity import WrittenFilter

MOST_BARS = 120
HEIGHT = 120  # pixels
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Part:
    """One bar's figures."""

    begin: datetime
    end: datetime
    events: int
    failed: int


@dataclass(frozen=True, slots=True)
class ActivityChart:
    parts: Sequence[Part]  # oldest first, without gaps
    bars: Bars
    failed: Sequence[Bar]  # beside each bar, its lower part
    is_by_hour: bool
    days: int  # of one bar, when not by hour

    @property
    def total(self) -> int:
        return sum(part.events for part in self.parts)

    @property
    def failures(self) -> int:
        return sum(part.failed for part in self.parts)

    @property
    def since(self) -> datetime:
        return self.parts[0].begin

    @property
    def middle(self) -> datetime:
        return self.parts[len(self.parts) // 2].begin


def chart_of(
    counts: Counts, asked: WrittenFilter, now: datetime, *, is_by_hour: bool
) -> ActivityChart:
    step = _HOUR if is_by_hour else _DAY
    events: Counter[datetime] = Counter()
    failed: Counter[datetime] = Counter()
    for (begin, sort), number in counts.items():
        events[begin] += number
        if sort in SORTS and SORTS[sort].outcome.is_failure:
            failed[begin] += number
    first, last = _ends(events, asked, now, step)
    steps = (last - first) // step + 1
    together = -(-steps // MOST_BARS)
    parts = []
    for begin in (first + n * step for n in range(0, steps, together)):
        inside = [begin + n * step for n in range(together)]
        parts.append(
            Part(
                begin,
                begin + together * step,
                sum(events[each] for each in inside),
                sum(failed[each] for each in inside),
            )
        )
    bars = bars_of([part.events for part in parts], HEIGHT)
    return ActivityChart(
        parts, bars, parts_of(bars, [part.failed for part in parts]), is_by_hour, together
    )


def _ends(
    events: Counter[datetime], asked: WrittenFilter, now: datetime, step: timedelta
) -> tuple[datetime, datetime]:
    """The first and the last bar: of what was asked, and of what there is."""
    there = sorted(events)
    until = now if asked.until is None else min(now, asked.until - timedelta(microseconds=1))
    last = max([_begin(until, step), *there[-1:]])
    first = there[0] if there else last
    if asked.since is not None:
        first = min(first, _begin(asked.since, step))
    return min(first, last), last


def _begin(at: datetime, step: timedelta) -> datetime:
    day = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return day + (at - day) // step * step
