"""Blocked attempts: packets that a closed port dropped, by source, port and hour.

An attempt is one packet that met a closed port without a grant: a client that gets no answer
sends its SYN again, and each counts. Hours are whole hours of UTC. Of one scope and hour so
many sources are kept by name; what is beyond them is counted as others, so that sums stay
right and nobody who makes addresses up can fill a disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bascule.domain.net import PortKey

HOUR = timedelta(hours=1)
KEPT_FOR = timedelta(days=30)
LONGEST_AGE = timedelta(days=1)  # of what an agent tells late, because the server was away
JUST_NOW = timedelta(minutes=15)  # how long an attempt counts as having just been seen
SOURCES_OF_MACHINE = 100  # sources and ports by name, of one machine in one hour
# The same of a group or the whole: twenty machines that make them up. A page adds up a day of
# them, which is 48,000 rows at most.
SOURCES_OF_SCOPE = 2_000
MOST_ATTEMPTS = 10**9  # of one row; beyond it a number is no count any more
OTHERS = ""  # the source of what has no name


@dataclass(frozen=True, slots=True)
class Knock:
    """New attempts of one source at one port, as an agent tells them."""

    source: str  # an address in normal form; OTHERS: of many, unnamed
    port: PortKey | None  # None for OTHERS
    attempts: int
    age: timedelta = timedelta(0)  # since they were seen, at most


@dataclass(frozen=True, slots=True)
class Knocks:
    """Attempts of one source at one port in one hour."""

    source: str
    port: PortKey | None
    attempts: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Knocker:
    """A source with all that it tried in some span of time."""

    source: str
    attempts: int
    last_at: datetime
    ports: tuple[PortKey, ...] = ()  # ordered


def hour_of(instant: datetime) -> datetime:
    """The beginning of its hour."""
    return instant.replace(minute=0, second=0, microsecond=0)


def hours_until(now: datetime, count: int) -> tuple[datetime, ...]:
    """The beginnings of the last ``count`` hours, the one that is running last."""
    last = hour_of(now)
    return tuple(last - HOUR * back for back in reversed(range(count)))


def by_hour(knocks: Iterable[Knock], now: datetime) -> Mapping[datetime, tuple[Knocks, ...]]:
    """What an agent tells, added up by hour, source and port.

    No attempt is later than now or older than LONGEST_AGE, and none is more than its row
    can hold, whatever the agent says; one of nothing is left out.
    """
    sums: dict[datetime, dict[tuple[str, PortKey | None], Knocks]] = {}
    for knock in knocks:
        at = now - min(max(knock.age, timedelta(0)), LONGEST_AGE)
        if knock.attempts > 0:
            hour = sums.setdefault(hour_of(at), {})
            key = knock.source, knock.port
            hour[key] = _added(hour.get(key), Knocks(*key, knock.attempts, at))
    return {hour: tuple(each.values()) for hour, each in sums.items()}


def _added(known: Knocks | None, more: Knocks) -> Knocks:
    attempts = min(MOST_ATTEMPTS, more.attempts + (known.attempts if known else 0))
    last_at = max(more.last_at, known.last_at) if known else more.last_at
    return Knocks(more.source, more.port, attempts, last_at)
