"""When ports were closed and when somebody had access: arithmetic of spans.

A span includes its ``began_at`` and excludes its ``ended_at``, like a lease. All spans come from
what enforcement points confirmed. A port counts once however many leases open it at the same
time.

Over many machines, spans are not added up. Beginnings and ends are counted by the clock hour
(``HourStep``), and the time of any whole hours is computed from these and the current number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bascule.domain.net import AddressPrefix, PortKey

# EDGES E9: a lease's end at a point that is silent is believed so long after it, not at once: the
# timers of a host that is suspended stand still.
END_BELIEVED_AFTER = timedelta(seconds=60)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_NO_TIME = timedelta(0)


class SpanKind(StrEnum):
    CLOSED = "closed"  # a port is closed for everybody without a lease
    OPEN = "open"  # of that time: while a lease, or root on the host, lets somebody in
    BARE = "bare"  # a machine of which nothing is kept closed
    KNOWN = "known"  # a machine is in the inventory; counted, without a span


Place = tuple[SpanKind, PortKey | None]  # of one machine; without a port: of the machine itself


@dataclass(frozen=True, slots=True)
class KeptSpan:
    """How long one state of one machine lasted."""

    kind: SpanKind
    port: PortKey | None
    began_at: datetime  # inclusive
    ended_at: datetime | None = None  # exclusive; None: it is so still
    ends_by: datetime | None = None  # of OPEN: the last lease's end; None: not known

    @property
    def place(self) -> Place:
        return self.kind, self.port

    def covers(self, at: datetime) -> bool:
        return self.began_at <= at and (self.ended_at is None or at < self.ended_at)


@dataclass(frozen=True, slots=True)
class Opening:
    """Access of one source: confirmed open, and later confirmed closed."""

    id: str  # of the grant, or of what root opened on the host
    ports: tuple[PortKey, ...]
    sources: tuple[AddressPrefix, ...]
    requestor_id: str  # empty: root on the host; of root at a gateway, the gateway's machine
    requestor: str  # of root at a gateway, the gateway's name
    request_id: str  # empty: root
    opened_at: datetime  # inclusive
    ends_by: datetime | None = None  # the lease's end; None: not known
    closed_at: datetime | None = None  # exclusive; None: not read back closed yet

    @property
    def gateway(self) -> str:
        """Where root opened it; empty: on the host itself, or a request did."""
        return "" if self.request_id or not self.requestor_id else self.requestor

    def is_over(self, at: datetime) -> bool:
        """Has the host ended it by then, confirmed or not?"""
        return self.ends_by is not None and self.ends_by <= at

    def is_believed_over(self, at: datetime) -> bool:
        """Is it no more than *ended, not confirmed*, if its point is silent (EDGES E9)?"""
        return self.is_over(at - END_BELIEVED_AFTER)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is let in at one machine now, as the history has it."""

    openings: Sequence[Opening]  # not read back closed, in the order they were added
    spans: Sequence[KeptSpan]  # OPEN ones

    def after(
        self,
        opened: Iterable[Opening],
        closed: Collection[str],
        ends: Mapping[str, datetime],
    ) -> Admitted:
        """The same when some were opened, some closed, and ends were moved; the spans as before."""
        still = [
            replace(each, ends_by=ends.get(each.id, each.ends_by))
            for each in self.openings
            if each.id not in closed
        ]
        return Admitted([*still, *opened], self.spans)


def kept_now(
    closed: Iterable[PortKey], openings: Iterable[Opening], now: datetime
) -> Mapping[Place, datetime | None]:
    """The states of a machine that keeps these ports closed, each with its known end.

    The end of an open port is that of its latest lease, or None if one has no end; the others
    have none.
    """
    shut = set(closed)
    found: dict[Place, datetime | None] = {(SpanKind.CLOSED, port): None for port in sorted(shut)}
    if not shut:
        found[SpanKind.BARE, None] = None
    ends: defaultdict[PortKey, list[datetime | None]] = defaultdict(list)
    for opening in openings:
        for port in opening.ports:
            if port in shut and not opening.is_over(now):
                ends[port].append(opening.ends_by)
    for port, known in ends.items():
        dated = [end for end in known if end is not None]
        found[SpanKind.OPEN, port] = max(dated) if len(dated) == len(known) else None
    return found


def time_covered(spans: Iterable[KeptSpan], since: datetime, until: datetime) -> timedelta:
    """The time from ``since`` (inclusive) to ``until`` (exclusive) that these spans cover.

    Overlaps count once.
    """
    total, reached = _NO_TIME, since
    for span in sorted(spans, key=lambda each: each.began_at):
        begin = max(span.began_at, reached)
        end = until if span.ended_at is None else min(span.ended_at, until)
        if end > begin:
            total += end - begin
            reached = end
    return total


@dataclass(frozen=True, slots=True)
class PortTime:
    """Time of ports, added up over ports: two ports for one hour are two port-hours."""

    kept: timedelta = _NO_TIME  # closed to everybody without a lease
    opened: timedelta = _NO_TIME  # part of it: while somebody had access

    @property
    def closed(self) -> timedelta:
        """Closed to everybody."""
        return self.kept - self.opened

    def __add__(self, other: PortTime) -> PortTime:
        return PortTime(self.kept + other.kept, self.opened + other.opened)


def port_time(spans: Iterable[KeptSpan], since: datetime, until: datetime) -> PortTime:
    """The port-hours of one machine's spans, added up port by port."""
    found: defaultdict[Place, list[KeptSpan]] = defaultdict(list)
    for span in spans:
        found[span.place].append(span)
    times = {SpanKind.CLOSED: _NO_TIME, SpanKind.OPEN: _NO_TIME}
    for (kind, _), some in found.items():
        if kind in times:
            times[kind] += time_covered(some, since, until)
    return PortTime(times[SpanKind.CLOSED], times[SpanKind.OPEN])


@dataclass(frozen=True, slots=True)
class HourStep:
    """What began and what ended within one clock hour, added up."""

    hour: datetime  # its beginning
    change: int  # spans that began, less those that ended
    moment: timedelta  # how long after the hour's beginning, added up; of ends subtracted


def hour_of(instant: datetime) -> datetime:
    """The beginning of the clock hour, in UTC."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def steps_of(changes: Iterable[tuple[datetime, int]]) -> Sequence[HourStep]:
    """Beginnings (+1) and ends (-1), put together by the hour."""
    found: defaultdict[datetime, tuple[int, timedelta]] = defaultdict(lambda: (0, _NO_TIME))
    for at, change in changes:
        hour = hour_of(at)
        before, moment = found[hour]
        found[hour] = (before + change, moment + change * (at - hour))
    return [HourStep(hour, *found[hour]) for hour in sorted(found)]


def time_by_steps(
    number_now: int, steps: Iterable[HourStep], since: datetime, until: datetime
) -> timedelta:
    """The same time as by adding up spans, from the current number and all steps since.

    ``since`` is the start of a clock hour; ``until`` is one too, or is after all these steps.
    """
    later = [step for step in steps if step.hour >= since]
    at_first = number_now - sum(step.change for step in later)
    total = at_first * (until - since)
    for step in later:
        if step.hour < until:
            total += step.change * (until - step.hour) - step.moment
    return total


def days_between(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The pieces of that time by UTC day; the first and the last may be less than a day."""
    begin = since
    while begin < until:
        midnight = begin.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        end = min(midnight + DAY, until)
        yield begin, end
        begin = end
