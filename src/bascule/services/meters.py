"""What this server has counted since it was started, for its metrics.

Each change is counted when it is kept, by what it put on record; nothing is counted twice, and
nothing of a change that was undone. No name of a person or machine, and no address, is kept here
(EDGES I8). Use from one event loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from bascule.domain.facts.kinds import sort_of

if TYPE_CHECKING:  # it has these
    from bascule.services.act import Act


class Span(Enum):
    """A time that is measured of each grant."""

    OPENING = "opening"  # from its decision until it was read back open
    CLOSING = "closing"  # from its end until it was read back closed


BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds, inclusive


@dataclass(slots=True)
class Histogram:
    """How often a time was within each of BOUNDS, and above all of them."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0  # their sum

    def add(self, seconds: float) -> None:
        """One more; a time that a clock made negative counts as none."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Meters:
    """Counts of one server."""

    events: Counter[str] = field(default_factory=Counter)  # what went on record, by its sort
    spans: dict[Span, Histogram] = field(
        default_factory=lambda: {each: Histogram() for each in Span}
    )

    def note(self, act: Act) -> None:
        """Count what a change did, once it is kept."""
        self.events.update(map(sort_of, act.facts))
        for span, length in act.measured:
            self.spans[span].add(length / timedelta(seconds=1))
