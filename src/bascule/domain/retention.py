"""How long the record is kept, and by which clock (EDGES E2).

The floor is set on the server's own host. No call by anybody deletes younger events. An event
that a sink has not received is kept SINK_GRACE longer.

An event's age is measured by the wall clock, so a clock jump could make new events look old. The
wall clock is therefore compared with the clock that counts from boot: a difference of more than
LONGEST_LEAP blocks retention until the host's administrator confirms the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bascule.errors import InvalidInput

DEFAULT_FLOOR = timedelta(days=90)
SHORTEST_FLOOR = timedelta(days=1)
LONGEST_FLOOR = timedelta(days=3650)
SINK_GRACE = timedelta(days=30)  # beyond the floor, for what a sink has not taken
LONGEST_LEAP = timedelta(days=1)


def check_floor(floor: timedelta, target: str = "") -> timedelta:
    """The floor; raises InvalidInput if it is too short or too long."""
    if not SHORTEST_FLOOR <= floor <= LONGEST_FLOOR:
        raise InvalidInput(
            f"The record's floor is {SHORTEST_FLOOR.days} to {LONGEST_FLOOR.days} days.",
            target=target,
        )
    return floor


@dataclass(frozen=True, slots=True)
class ClockMark:
    """When both clocks were last read together, and by how much the wall clock has jumped since."""

    at: datetime  # wall clock
    boottime: float  # seconds since boot, at the same moment
    stepped: timedelta = timedelta()  # ahead of the other clock since this boot, or behind it
    has_leapt: bool = False  # and nobody confirmed the time since
    boot: str = ""  # which boot, where several hosts share one wall clock

    def followed(self, now: datetime, boottime: float, boot: str = "") -> ClockMark:
        """The mark for this moment. A jump stays until it is confirmed.

        Steps add up within one boot. At a new boot the time that the host was off looks like
        a step: at most LONGEST_LEAP of it is believed, and is not added to later steps.
        A boot of another host may have begun before the mark: how much of its time has passed
        since is not known.
        """
        is_new_boot = boottime < self.boottime or boot != self.boot
        passed = timedelta(seconds=boottime if is_new_boot else boottime - self.boottime)
        if boot != self.boot:
            passed = min(passed, max(now - self.at, timedelta()))
        stepped = self.stepped + (now - self.at - passed)
        has_leapt = self.has_leapt or abs(stepped) > LONGEST_LEAP
        kept = timedelta() if is_new_boot and not has_leapt else stepped
        return ClockMark(now, boottime, kept, has_leapt, boot)

    def confirmed(self, now: datetime, boottime: float, boot: str = "") -> ClockMark:
        return ClockMark(now, boottime, boot=boot)
