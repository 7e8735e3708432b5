"""The chart of port-hours: shut against open, a bar a day; and the same as figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil

from bascule.domain.exposure import HOUR, PortTime
from bascule.portal.charts import WIDTH
from bascule.services.exposure import Day, Summary

HEIGHT = 140  # pixels
_GAP = 0.3  # of a bar's place
_LEAST = 2.0  # pixels of what is there: always seen


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day: shut stands on open, so that what is open stands on the ground."""

    begin: datetime
    shut: float  # hours
    opened: float
    left: float
    width: float
    closed_top: float
    closed_height: float
    open_top: float
    open_height: float


@dataclass(frozen=True, slots=True)
class PortHours:
    bars: tuple[DayBar, ...]
    most: int  # hours at the top edge: those of the fullest day, rounded up
    height: int
    shut: float
    opened: float

    @property
    def share(self) -> float:
        """Of the time that ports were kept, how much they let somebody in; from 0 to 1."""
        whole = self.shut + self.opened
        return self.opened / whole if whole else 0.0


def port_hours(summary: Summary) -> PortHours:
    days = summary.days
    most = max((ceil(day.time.kept / HOUR) for day in days), default=0) or 1
    place = WIDTH / max(1, len(days))
    shut, opened = hours_of(summary.time)
    bars = tuple(_bar(day, index * place, place, most) for index, day in enumerate(days))
    return PortHours(bars, most, HEIGHT, shut, opened)


def _bar(day: Day, left: float, place: float, most: int) -> DayBar:
    shut, opened = hours_of(day.time)
    open_height = _height(opened, most)
    closed_height = min(_height(shut, most), HEIGHT - open_height)
    return DayBar(
        day.begin,
        shut,
        opened,
        round(left + place * _GAP / 2, 2),
        round(place * (1 - _GAP), 2),
        round(HEIGHT - open_height - closed_height, 2),
        round(closed_height, 2),
        round(HEIGHT - open_height, 2),
        round(open_height, 2),
    )


def _height(hours: float, most: int) -> float:
    return max(_LEAST, hours / most * HEIGHT) if hours > 0 else 0.0


def hours_of(time: PortTime) -> tuple[float, float]:
    """Shut to everybody, and open to somebody."""
    return time.closed / HOUR, time.opened / HOUR
