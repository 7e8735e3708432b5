"""What retention asks: which clock was seen when, and what has not left the house yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.retention import ClockMark


@dataclass(frozen=True, slots=True)
class Untaken:
    """The first event that is kept for a place that it was to be sent to."""

    position: int
    sink: str  # its name; empty: of a sink that was removed or changed since


class RetentionReads(Protocol):
    """Reads of this part"""

    def clock_mark(self) -> ClockMark | None: ...

    def first_untaken(self, since: datetime) -> Untaken | None:
        """The first sealed event of ``since`` or later that a sink which existed then has not
        taken, or that is held.
        """
        ...


class RetentionWrites(RetentionReads, Protocol):
    """Writes of this part"""

    def put_clock_mark(self, mark: ClockMark) -> None: ...

    def hold(self, positions: Collection[int]) -> None:
        """Keep the events from the lowest of these positions to the highest, though no sink
        waits for them any more.
        """
        ...

    def forget_holds(self, through: int) -> None:
        """Of events that retention has deleted."""
        ...
