"""Calls that were denied."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class CallerDenied(Fact):
    """Authentication or authorisation failed."""

    method: str
    path: str
    reason: str
    machines: tuple[str, ...] = ()  # at which the right was missing, the first MOST_PLACES
    more_machines: int = 0  # besides those


@dataclass(frozen=True, slots=True)
class DenialsCounted(Fact):
    """More was denied to one source in a minute than stands in events of its own."""

    source: str  # an address, of IPv6 its /64; the id of a principal; * for all further sources
    minute: str  # its beginning; of *, perhaps that of an hour
    count: int  # all of that time; of *, what neither an event nor another count tells of
