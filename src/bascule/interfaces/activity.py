"""What the activity log asks of the record: pages by time, and counts by day or hour.

Unlike ``Reader.events``, which goes by the order of writing, this goes by the events' own
time, so that a span of long ago is as near as today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.event import Event
from bascule.domain.roles import Reach

Moment = tuple[datetime, int]  # an event's time and sequence: its place in the order
Counts = Mapping[tuple[datetime, str], int]  # by the beginning of the day or hour, and the sort


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which events; an empty field asks nothing."""

    resources: tuple[str, ...] = ()  # key form; each with what lies below it
    principal_ids: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ()  # ``domain.facts.kinds.sort_of``
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    within: Reach | None = None  # only what is about something there; None: everything


class ActivityReads(Protocol):
    def activity(
        self, wanted: ActivityFilter, after: Moment | None = None, limit: int = 1000
    ) -> Sequence[tuple[int, Event]]:
        """(sequence, event), newest first; ``after`` is the last of the page before."""
        ...

    def activity_since(self, wanted: ActivityFilter, sequence: int, limit: int) -> int:
        """How many of them were written after that one; ``limit`` at most."""
        ...

    def activity_by_day(self, wanted: ActivityFilter) -> Counts:
        """How many of each sort on each day (UTC); days and sorts without any are left out."""
        ...

    def activity_by_hour(self, wanted: ActivityFilter) -> Counts:
        """The same by hour: for short spans, every event of which is counted one by one."""
        ...
