"""How long the record is kept, and by which clock (EDGES E2).

The floor is set on the server's own host. Nothing younger is deleted by any call, whoever
makes it. An event that a sink has not taken is kept SINK_GRACE longer.

The age of an event is told by the wall clock alone, so a clock that leapt could make new
events old. It is compared with the clock that counts from boot: a difference of more than
LONGEST_LEAP blocks retention until the host's own administrator confirms the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bascule.errors import InvalidInput

DEFAULT_FLOOR = timedelta(days=90)
SHORTEST_FLOOR = timedelta(days=1)
LONGEST_FLOOR = timedelta(days=3650)
SINK_GRACE = timedelta(days=30)  # beyond the floor, for what a sink has not taken
LONGEST_LEAP = timedelta(days=1)


def check_floor(floor: timedelta, target: str = "") -> timedelta:
    """The floor itself; raises InvalidInput when it protects nothing, or next to for ever."""
    if not SHORTEST_FLOOR <= floor <= LONGEST_FLOOR:
        raise InvalidInput(
            f"The record's floor is {SHORTEST_FLOOR.days} to {LONGEST_FLOOR.days} days.",
            target=target,
        )
    return floor


@dataclass(frozen=True, slots=True)
class ClockMark:
    """When both clocks were last read together, and what the wall clock did since."""

    at: datetime  # wall clock
    boottime: float  # seconds since boot, at the same moment
    stepped: timedelta = timedelta()  # ahead of the other clock since this boot, or behind it
    has_leapt: bool = False  # and nobody confirmed the time since

    def followed(self, now: datetime, boottime: float) -> ClockMark:
        """The mark of this moment. A leap stays until it is confirmed.

        Steps add up within one boot. At a new boot the time that the host was off looks like
        a step: at most LONGEST_LEAP of it is believed, and is not added to later steps.
        """
        is_new_boot = boottime < self.boottime
        passed = timedelta(seconds=boottime if is_new_boot else boottime - self.boottime)
        stepped = self.stepped + (now - self.at - passed)
        has_leapt = self.has_leapt or abs(stepped) > LONGEST_LEAP
        kept = timedelta() if is_new_boot and not has_leapt else stepped
        return ClockMark(now, boottime, kept, has_leapt)

    def confirmed(self, now: datetime, boottime: float) -> ClockMark:
        return replace(self, at=now, boottime=boottime, stepped=timedelta(), has_leapt=False)
