"""Charts as numbers: where a bar or a line of time stands, for templates that draw SVG.

A drawing is as wide as its page: all widths are thousandths of it, heights are pixels, and
what is written stands beside it as text, so that it stays readable on a phone. What is not
here: words, colours, data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH = 1000
_GAP = 0.25  # of a bar's place
_STEPS = (1, 2, 5)
LEAST_WIDTH = 4  # of a span that would be too short to be seen


@dataclass(frozen=True, slots=True)
class Bar:
    left: float
    top: float
    width: float
    height: float
    value: int


@dataclass(frozen=True, slots=True)
class Bars:
    bars: tuple[Bar, ...]  # those of nothing too, without height
    height: int
    most: int  # the value at the top edge: a round one


def bars_of(values: Sequence[int], height: int = 120) -> Bars:
    most = round_up(max(values, default=0))
    place = WIDTH / max(1, len(values))
    return Bars(
        tuple(
            Bar(
                round(index * place + place * _GAP / 2, 2),
                round(height - _height(value, most, height), 2),
                round(place * (1 - _GAP), 2),
                round(_height(value, most, height), 2),
                value,
            )
            for index, value in enumerate(values)
        ),
        height,
        most,
    )


def parts_of(bars: Bars, values: Sequence[int]) -> tuple[Bar, ...]:
    """What part of each bar is like that, at its foot and in the same scale."""
    return tuple(
        Bar(bar.left, round(bars.height - height, 2), bar.width, height, value)
        for bar, value in zip(bars.bars, values, strict=True)
        for height in (round(min(bar.height, _height(value, bars.most, bars.height)), 2),)
    )


def _height(value: int, most: int, height: int) -> float:
    """In scale, but what is there is always seen."""
    return max(2.0, value / most * height) if value else 0.0


def round_up(value: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50 ...; 1 for nothing."""
    power = 1
    while True:
        for step in _STEPS:
            if step * power >= value:
                return step * power
        power *= 10


@dataclass(frozen=True, slots=True)
class Lane:
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Lanes:
    """Spans of time one below the other, between two moments."""

    since: datetime
    until: datetime
    lanes: tuple[Lane, ...]
    now: float  # where now stands

    @property
    def middle(self) -> datetime:
        return self.since + (self.until - self.since) / 2


def lanes_of(spans: Sequence[tuple[datetime, datetime]], now: datetime) -> Lanes:
    """Each span's place from the beginning of the first to the last end, or to now."""
    since = min((begin for begin, _ in spans), default=now)
    until = max([now, *(end for _, end in spans)])
    whole = max(until - since, timedelta(seconds=1))

    def at(instant: datetime) -> float:
        return (instant - since) / whole * WIDTH

    return Lanes(since, until, tuple(_lanes(spans, at)), round(at(now), 2))


def _lanes(
    spans: Iterable[tuple[datetime, datetime]], at: Callable[[datetime], float]
) -> Iterable[Lane]:
    for begin, end in spans:
        width = max(LEAST_WIDTH, at(end) - at(begin))
        yield Lane(round(min(at(begin), WIDTH - width), 2), round(width, 2))
