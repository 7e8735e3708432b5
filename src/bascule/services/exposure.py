"""Which ports are reachable, and by whom, now or at a past moment; hours closed and open per port.

It tells what enforcement points were read back to hold. Of a machine of which nothing is kept
closed, whatever the host itself lets in can be reached: more is not known here. Now, and now
alone, it is told too which ports should be closed and are not, and which agents are silent.

Who was let in, and why, is told of one's own requests and where the caller may read requests;
of others that somebody is, and from where.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from bascule.domain.exposure import (
    DAY,
    HOUR,
    HourStep,
    KeptSpan,
    Opening,
    PortTime,
    SpanKind,
    days_between,
    hour_of,
    port_time,
    time_by_steps,
)
from bascule.domain.ids import ResourceId
from bascule.domain.machine import EnforcementPoint, Unable
from bascule.domain.net import PortKey
from bascule.domain.request import AccessRequest
from bascule.domain.roles import Reach
from bascule.domain.scopes import subscription_scope
from bascule.domain.shadows import PAST_US, past_us
from bascule.domain.times import format_utc
from bascule.domain.weaknesses import Shadow, Weakness
from bascule.errors import InvalidInput
from bascule.interfaces.exposure import ExposureFilter, ExposureReads, KnownMachine
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import PointReads
from bascule.interfaces.requests import RequestReads
from bascule.sentences import sentence
from bascule.services.fleet import is_enforced, is_online
from bascule.services.gateways import Names, closed_at, gateway_names, reached_at, silent_gateways
from bascule.services.request_rights import Sight


class TimelineReads(ExposureReads, MachineReads, PointReads, RequestReads, Protocol):
    """The history, with the requests behind it."""


USUAL_DAYS = 7
_FIRST_DAY = datetime.min.replace(tzinfo=UTC)  # of the calendar: no day is counted before it
LONGEST_TIME = 366 * DAY  # of one answer
_OF_GROUP = 4  # slashes of a resource group's key


@dataclass(frozen=True, slots=True)
class ShownOpening:
    """One opening of a port, as far as the caller may know of it."""

    opening: Opening
    is_told: bool  # who, why and by which request
    justification: str = ""
    # False: its agent is silent or can enforce nothing, or its lease is over and not read back
    is_confirmed: bool = True
    is_ended: bool = False  # over for END_BELIEVED_AFTER, at a point that is not heard


@dataclass(frozen=True, slots=True)
class PortExposure:
    port: PortKey
    is_closed: bool  # to all but those of ``openings``
    since: datetime | None  # when that began; None: it was never kept closed
    openings: tuple[ShownOpening, ...] = ()
    is_wanted: bool = False  # of one that is not closed: it should be
    ended: tuple[ShownOpening, ...] = ()  # *ended, not confirmed*: no openings any more (EDGES E9)
    shadows: tuple[Weakness, ...] = ()  # why it may not be called closed (EDGES G7); now alone
    reached_at: tuple[
        str, ...
    ] = ()  # names of gateways past which that is so; empty: at the machine

    @property
    def past_us(self) -> Shadow | None:
        """Why it may not be called closed."""
        return past_us(self.shadows, self.port)


@dataclass(frozen=True, slots=True)
class MachineExposure:
    id: ResourceId
    uid: str
    ports: tuple[PortExposure, ...]  # in order; those that nothing is known of are left out
    time: PortTime
    has_point: bool = True  # an agent is enrolled now; of the past: not asked
    silent_since: datetime | None = None  # of its agent; None: it is heard, or not asked
    not_enforced_since: datetime | None = None  # None: its agent enforces, or it was not asked
    is_too_old: bool = False  # what its agent says is not understood any more (EDGES F4)
    # Names of the gateways at which alone its ports are closed (EDGES G7), as it is now.
    closed_at: tuple[str, ...] = ()
    gateways: Names = field(default_factory=dict)  # of those that guard it, now
    # Names of those that are silent while others are heard (EDGES G3); empty: none, or not asked.
    silent_gateways: tuple[str, ...] = ()

    @property
    def needs(self) -> str:
        """What a machine of which nothing is kept closed needs: a ``policy``, or where a policy is
        there an ``agent``, or a ``look`` at the agent that does not enforce it.
        """
        if not any(port.is_wanted for port in self.ports):
            return "policy"
        return "look" if self.has_point else "agent"

    @property
    def is_bare(self) -> bool:
        """Nothing is kept closed: what the host lets in can be reached."""
        return not any(port.is_closed for port in self.ports)


@dataclass(frozen=True, slots=True)
class Moment:
    """Which moment is asked about, and the time over which port-hours are added up."""

    at: datetime
    is_now: bool
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Day:
    begin: datetime
    end: datetime
    time: PortTime


@dataclass(frozen=True, slots=True)
class Summary:
    """Over all machines that the caller may see."""

    known_since: datetime  # before it nothing is known
    since: datetime
    until: datetime
    time: PortTime
    days: tuple[Day, ...]  # by UTC day
    machines: int  # now, as all below
    bare_machines: int
    closed_ports: int  # kept closed, whether or not somebody is let in
    open_ports: int  # of these
    openings: int  # read back open and not yet closed, nor *ended, not confirmed*: who is let in
    opened_machines: int
    points: int  # machines with an enforcement point
    silent_points: int


def moment_of(
    now: datetime,
    at: datetime | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Moment:
    """What is meant by what was asked: the usual time is seven UTC days, the moment's own the
    last. Times are widened to whole clock hours. Raises InvalidInput for what is still to come.
    """
    for name, instant in (("at", at), ("from", since), ("until", until)):
        if instant is not None and instant > now:
            raise InvalidInput(
                sentence(
                    "{name}: {instant} is in the future.", name=name, instant=format_utc(instant)
                ),
                code="MomentToCome",
                target=name,
                advice="Exposure can be shown for now and for the past.",
            )
    moment = at or now
    end = _whole_hour_after(until or moment, now)
    begin = hour_of(since) if since is not None else _usual_begin(until or moment)
    if not begin < end:
        raise InvalidInput(
            sentence(
                "from: {begin} must be before until: {end}.",
                begin=format_utc(begin),
                end=format_utc(end),
            ),
            code="InvalidTimeSpan",
            target="from",
        )
    if end - begin > LONGEST_TIME:
        raise InvalidInput(
            sentence(
                "from: at most {days} days can be added up in one call.", days=LONGEST_TIME.days
            ),
            code="InvalidTimeSpan",
            target="from",
        )
    return Moment(moment, at is None, begin, end)


def _usual_begin(moment: datetime) -> datetime:
    day = hour_of(moment).replace(hour=0)
    return day - min((USUAL_DAYS - 1) * DAY, day - _FIRST_DAY)


def _whole_hour_after(instant: datetime, now: datetime) -> datetime:
    begun = hour_of(instant)
    return min(begun if begun == instant else begun + HOUR, now)


def known_since(reader: ExposureReads, now: datetime) -> datetime:
    return reader.exposure_since() or now


def exposed(
    reader: TimelineReads,
    moment: Moment,
    sight: Sight,
    within: Reach | None,
    only: SpanKind | None = None,
    after: str = "",
    limit: int = 1000,
) -> list[MachineExposure]:
    """A page of the machines of that moment; OPEN and BARE narrow it. Ordered by id key."""
    wanted = ExposureFilter(moment.at, moment.is_now, only, within)
    return _exposures(reader, moment, sight, reader.exposed_machines(wanted, after, limit))


def exposure_of(
    reader: TimelineReads, moment: Moment, sight: Sight, machine: ResourceId
) -> MachineExposure | None:
    """Of one machine; None: there was none of that id at that moment."""
    wanted = ExposureFilter(moment.at, moment.is_now, None, Reach(frozenset({machine.key})))
    found = reader.exposed_machines(wanted, limit=1)
    return next(iter(_exposures(reader, moment, sight, found)), None)


def _exposures(
    reader: TimelineReads, moment: Moment, sight: Sight, machines: Sequence[KnownMachine]
) -> list[MachineExposure]:
    uids = [machine.uid for machine in machines]
    shut = reader.closed_spans(uids, moment.at)
    openings = reader.openings_at(uids, moment.at, is_now=moment.is_now)
    wanted = reader.wanted_ports(uids) if moment.is_now else {}
    known = reader.points_of(uids)
    points = known if moment.is_now else {}
    gateways = gateway_names(reader, known)
    requests = reader.requests_of(
        sorted({each.request_id for some in openings.values() for each in some} - {""})
    )
    keys = [machine.id.key for machine in machines]
    spans = reader.spans_between(keys, moment.since, moment.until)
    found = []
    for machine in machines:
        point = points.get(machine.uid)
        has_point, silent = _silence(point, moment) if moment.is_now else (True, None)
        shown = [
            _shown(
                each,
                requests.get(each.request_id),
                machine.id,
                sight,
                moment,
                is_heard=not moment.is_now or is_enforced(point, moment.at),
            )
            for each in openings.get(machine.uid, ())
        ]
        ports = _shadowed(
            _ports(shut.get(machine.uid, ()), shown, wanted.get(machine.uid, ()), moment.at),
            point,
            gateways,
        )
        time = port_time(spans.get(machine.uid, ()), moment.since, moment.until)
        not_enforced = point.not_enforced_since if point is not None else None
        found.append(
            MachineExposure(
                machine.id,
                machine.uid,
                ports,
                time,
                has_point,
                silent,
                not_enforced,
                point is not None and point.unable is Unable.TOO_OLD,
                closed_at(known.get(machine.uid), gateways),
                gateways,
                silent_gateways(point, gateways, moment.at),
            )
        )
    return found


def _silence(point: EnforcementPoint | None, moment: Moment) -> tuple[bool, datetime | None]:
    """Is there an agent, and since when is it silent?"""
    if point is None or is_online(point, moment.at):
        return point is not None, None
    return True, point.last_contact_at or point.enrolled_at


def _shown(
    opening: Opening,
    request: AccessRequest | None,  # that it is by
    machine: ResourceId,
    sight: Sight,
    moment: Moment,
    *,
    is_heard: bool,
) -> ShownOpening:
    is_confirmed = is_heard and not opening.is_over(moment.at)
    is_ended = not is_heard and opening.is_believed_over(moment.at)
    is_own = bool(opening.requestor_id) and opening.requestor_id == sight.principal_id
    if not (is_own or sight.sees(machine)):
        return ShownOpening(opening, False, is_confirmed=is_confirmed, is_ended=is_ended)
    justification = (request.justification or "") if request else ""
    return ShownOpening(opening, True, justification, is_confirmed, is_ended)


def _shadowed(
    ports: Iterable[PortExposure], point: EnforcementPoint | None, gateways: Names
) -> tuple[PortExposure, ...]:
    weaknesses = point.weaknesses if point is not None else ()
    found = [each for each in weaknesses if each.shadow in PAST_US]
    return tuple(
        replace(
            port,
            shadows=tuple(each for each in found if each.concerns(port.port)),
            reached_at=reached_at(point, gateways, port.port),
        )
        if port.is_closed and found
        else port
        for port in ports
    )


def _ports(
    spans: Iterable[KeptSpan],
    openings: Sequence[ShownOpening],
    wanted: Iterable[PortKey],
    at: datetime,
) -> tuple[PortExposure, ...]:
    newest = {span.port: span for span in spans if span.port is not None}  # the oldest come first
    of_port: defaultdict[PortKey, list[ShownOpening]] = defaultdict(list)
    for shown in openings:
        for port in shown.opening.ports:
            of_port[port].append(shown)
    should = set(wanted)
    return tuple(
        _port(port, newest.get(port), of_port[port], at, is_wanted=port in should)
        for port in sorted({*newest, *of_port, *should})
    )


def _port(
    port: PortKey,
    span: KeptSpan | None,
    openings: Iterable[ShownOpening],
    at: datetime,
    *,
    is_wanted: bool,
) -> PortExposure:
    is_closed = span is not None and span.covers(at)
    since = None if span is None else span.began_at if is_closed else span.ended_at
    shown = list(openings)
    return PortExposure(
        port,
        is_closed,
        since,
        tuple(each for each in shown if not each.is_ended),
        is_wanted and not is_closed,
        tuple(each for each in shown if each.is_ended),
    )


# -- over all machines --------------------------------------------------------------------


def summarize(
    reader: ExposureReads, moment: Moment, within: Reach | None, subscription_id: str
) -> Summary:
    """Groups and the whole by what is kept of their hours, single machines by their spans."""
    since = max(moment.since, hour_of(known_since(reader, moment.at)))
    until = max(moment.until, since)
    pieces = list(days_between(since, until))
    groups, machines = _scopes(within, subscription_id)
    times = [PortTime()] * len(pieces)
    counts: defaultdict[SpanKind, int] = defaultdict(int)
    for some in (reader.exposure_counts(groups), reader.count_current(machines)):
        for kind, number in some.items():
            counts[kind] += number
    steps = _steps(reader, groups, since, until)
    spans = reader.spans_between(machines, since, until)
    always, changing = _apart(spans.values(), since, until)
    for place, (begin, end) in enumerate(pieces):
        times[place] += _scope_time(steps, begin, end)
        times[place] += PortTime(*((end - begin) * number for number in always))
        for some_spans in changing:
            times[place] += port_time(some_spans, begin, end)
    openings, opened_machines = reader.count_let_in(within, moment.at)
    points, silent = reader.count_points(within)
    return Summary(
        known_since(reader, moment.at),
        since,
        until,
        sum(times, PortTime()),
        tuple(Day(*piece, time) for piece, time in zip(pieces, times, strict=True)),
        machines=counts[SpanKind.KNOWN],
        bare_machines=counts[SpanKind.BARE],
        closed_ports=counts[SpanKind.CLOSED],
        open_ports=counts[SpanKind.OPEN],
        openings=openings,
        opened_machines=opened_machines,
        points=points,
        silent_points=silent,
    )


def _apart(
    machines: Iterable[Sequence[KeptSpan]], since: datetime, until: datetime
) -> tuple[tuple[int, int], list[Sequence[KeptSpan]]]:
    """How many ports were closed, and how many open, for all that time, which most are; and by
    machine the spans of the other ports.
    """
    always: Counter[SpanKind] = Counter()
    changing: list[Sequence[KeptSpan]] = []
    for spans in machines:
        whole = {
            span.place
            for span in spans
            if span.began_at <= since and (span.ended_at is None or until <= span.ended_at)
        }
        always.update(kind for kind, _ in whole)
        if rest := [span for span in spans if span.place not in whole]:
            changing.append(rest)
    return (always[SpanKind.CLOSED], always[SpanKind.OPEN]), changing


def _scopes(within: Reach | None, subscription_id: str) -> tuple[list[str], list[str]]:
    """Scopes of which the hours are kept, and keys of single machines."""
    whole = subscription_scope(subscription_id).key
    if within is None or within.covers(whole):
        return [whole], []
    groups = [key for key in within.keys if key.count("/") == _OF_GROUP]
    return sorted(groups), sorted(key for key in within.keys if key.count("/") > _OF_GROUP)


_Steps = Mapping[SpanKind, tuple[int, Sequence[HourStep]]]  # with the number at their end


def _steps(
    reader: ExposureReads, scopes: Sequence[str], since: datetime, until: datetime
) -> _Steps:
    numbers = reader.exposure_counts(scopes)
    later = reader.exposure_changes(scopes, until)
    return {
        kind: (numbers.get(kind, 0) - later.get(kind, 0), steps)
        for kind, steps in reader.exposure_steps(scopes, since, until).items()
    }


def _scope_time(steps: _Steps, begin: datetime, end: datetime) -> PortTime:
    return PortTime(
        time_by_steps(*steps[SpanKind.CLOSED], begin, end),
        time_by_steps(*steps[SpanKind.OPEN], begin, end),
    )
