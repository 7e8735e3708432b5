"""The activity log: a question in people's words becomes a filter of events.

A name is looked for among what is and what was: the record outlives machines and people.
What is not found asks for nothing; it never means everything. What is not here: what
operations are called (``domain.facts``), and how any of it is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.chain import ChainHead
from bascule.domain.event import SYSTEM, Event
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.fields import Holds
from bascule.domain.facts.kinds import places_of, values_of
from bascule.domain.facts.service_principals import ServicePrincipalDeleted
from bascule.domain.facts.users import UserDeleted
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId, is_guid, is_name, machine_id, parse_name
from bascule.domain.net import RuleProtocol
from bascule.domain.proof import Verdict
from bascule.domain.request import AccessRequest
from bascule.domain.roles import Reach
from bascule.domain.times import parse_instant
from bascule.interfaces.activity import ActivityFilter, ActivityReads, Counts, Moment
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import InventoryReads, MachineReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import ChainReads
from bascule.interfaces.requests import RequestReads
from bascule.services.act import Services


class NamedReads(ActivityReads, InventoryReads, MachineReads, PrincipalReads, Protocol):
    """What a filter may name: machines, people, groups."""


class LogReads(ActivityReads, ChainReads, GrantReads, MachineReads, RequestReads, Protocol):
    """Events, with the requests, grants and gateways that they tell of."""


BY_HOUR_UP_TO = timedelta(days=2)
PAGE = 500  # events read at a time where all are wanted
_NOWHERE = " "  # a key that nothing has
_MOST_NAMESAKES = 2000  # deletions that are read for a name


@dataclass(frozen=True, slots=True)
class WrittenFilter:
    """A filter as people write it; what is empty asks nothing."""

    resource: str = ""  # a machine's name, or the ARM id of anything
    person: str = ""  # a name or an id
    sorts: tuple[str, ...] | None = None  # None: any; empty: none is like that
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive

    def is_by_hour(self, now: datetime) -> bool:
        """Is the span short enough for its shape to be shown by hours?"""
        until = now if self.until is None else min(self.until, now)
        return self.since is not None and until - self.since <= BY_HOUR_UP_TO


@dataclass(frozen=True, slots=True)
class About:
    """Whose access an event speaks of, and to what."""

    request_id: str = ""  # empty: of no request, or of one that was refused
    requestor: str = ""
    machines: tuple[str, ...] = ()  # names
    ports: tuple[str, ...] = ()  # 22/tcp; 22 where the protocol does not matter
    sources: tuple[str, ...] = ()
    ends_at: datetime | None = None  # the last of them
    justification: str = ""


@dataclass(frozen=True, slots=True)
class LogRow:
    sequence: int
    event: Event
    place: ChainHead | None  # in the chain; None for a second, until it is sealed
    about: About | None = None
    gateways: Mapping[str, str] = field(default_factory=dict)  # names by uid


@dataclass(frozen=True, slots=True)
class Page:
    rows: Sequence[LogRow]
    goes_on: Moment | None  # after which the next page begins; None: there is none


@dataclass(frozen=True, slots=True)
class Chain:
    """How far the record is chained, signed, and was last read back."""

    head: ChainHead
    signed: int  # position of the newest checkpoint; 0: none
    signed_at: datetime | None
    verdict: Verdict | None  # of the last reading since the server began; None: none yet

    @property
    def verified_at(self) -> datetime | None:
        at = self.verdict.exported_at if self.verdict is not None else ""
        return parse_instant(at) if at else None


def resolve(
    reader: NamedReads, subscription_id: str, asked: WrittenFilter, within: Reach | None
) -> ActivityFilter:
    """What the store is asked. Raises InvalidInput for what is neither a name nor an id."""
    return ActivityFilter(
        _resources(reader, subscription_id, asked.resource) if asked.resource else (),
        _person_ids(reader, subscription_id, asked.person) if asked.person else (),
        () if asked.sorts is None else asked.sorts or (_NOWHERE,),
        asked.since,
        asked.until,
        within,
    )


def _resources(reader: InventoryReads, subscription_id: str, text: str) -> tuple[str, ...]:
    if text.startswith("/"):
        return (text.casefold().rstrip("/") or _NOWHERE,)
    ids = _machine_ids(reader, subscription_id, parse_name(text, "machine", "machine"))
    return tuple(each.key for each in ids) or (_NOWHERE,)


def _machine_ids(reader: InventoryReads, subscription_id: str, name: str) -> list[ResourceId]:
    """In every group: there may be no such machine any more."""
    return [machine_id(subscription_id, group, name) for group in reader.resource_groups()]


def _person_ids(reader: NamedReads, subscription_id: str, text: str) -> tuple[str, ...]:
    if is_guid(text):
        return (text.lower(),)
    if text.casefold() == SYSTEM.name:
        return (SYSTEM.principal_id,)  # and whoever proved no identity
    user = reader.user_by_name(text)
    found = [user.id] if user is not None else []
    folded = text.casefold()
    found += [each.id for each in reader.service_principals_called(text)]
    found += _deleted(reader, folded)
    found += _agents(reader, subscription_id, text)
    return tuple(dict.fromkeys(found)) or (_NOWHERE,)


def _deleted(reader: ActivityReads, folded: str) -> list[str]:
    deletions = ActivityFilter(sorts=(UserDeleted.__name__, ServicePrincipalDeleted.__name__))
    ids = []
    for _, event in reader.activity(deletions, None, _MOST_NAMESAKES):
        fact = event.fact
        if isinstance(fact, UserDeleted) and fact.user.casefold() == folded:
            ids.append(fact.user_id)
        if (
            isinstance(fact, ServicePrincipalDeleted)
            and fact.service_principal.casefold() == folded
        ):
            ids.append(fact.principal_id)
    return ids


def _agents(reader: NamedReads, subscription_id: str, text: str) -> list[str]:
    """An agent acts under its machine's uid, and is told by its name."""
    ids = _machine_ids(reader, subscription_id, text) if is_name(text) else []
    machines = (reader.machine(each) for each in ids)
    return [machine.uid for machine in machines if machine is not None]


def may_see(within: Reach | None, event: Event) -> bool:
    """May who reads the log in that part read this event? A refusal, where they may read it at
    each of its machines (EDGES E10).
    """
    if within is None or within.covers(event.resource_id.casefold()):
        return True
    machines, among = places_of(event.fact)
    return 0 < among == len(machines) and all(within.covers(m.casefold()) for m in machines)


def page_of(reader: LogReads, wanted: ActivityFilter, after: Moment | None, limit: int) -> Page:
    """Newest first."""
    found = reader.activity(wanted, after, limit + 1)
    rows = rows_of(reader, found[:limit])
    goes_on = (rows[-1].event.at, rows[-1].sequence) if len(found) > limit else None
    return Page(rows, goes_on)


def rows_of(reader: LogReads, found: Sequence[tuple[int, Event]]) -> list[LogRow]:
    """Events with their places in the chain, with whose access they tell of, and of which gateways."""
    events = [event for _, event in found]
    places = reader.seals_of([sequence for sequence, _ in found])
    abouts = abouts_of(reader, events)
    uids = {uid for event in events for uid in values_of(event.fact, Holds.POINT)}
    known = reader.machines_of(sorted(uids)) if uids else {}
    return [
        LogRow(
            sequence,
            event,
            places.get(sequence),
            about,
            {uid: known[uid].id.name for uid in values_of(event.fact, Holds.POINT) if uid in known},
        )
        for (sequence, event), about in zip(found, abouts, strict=True)
    ]


def abouts_of(reader: LogReads, events: Sequence[Event]) -> list[About | None]:
    """Of each of these events whose access it speaks of; None: of nobody's."""
    named = sorted({_request_of(event) for event in events} - {""})
    requests, grants = reader.requests_of(named), reader.grants_of(named)
    return [_about(event, requests.get(_request_of(event)), grants) for event in events]


def _request_of(event: Event) -> str:
    return _text(event.fact, Holds.REQUEST)


def _about(event: Event, request: AccessRequest | None, grants: Sequence[Grant]) -> About | None:
    fact = event.fact
    grant_id = _text(fact, Holds.GRANT)
    its = [
        each
        for each in grants
        if request is not None and each.request_id == request.id and grant_id in ("", each.id)
    ]
    if request is not None and its:
        said = _text(fact, Holds.END)  # what this event set, which another may have moved
        return About(
            request.id,
            request.requestor,
            _unique(each.machine_id.name for each in its),
            _unique(_port(f"{each.number}/{each.protocol}") for each in its),
            _unique(str(source) for each in its for source in each.sources),
            parse_instant(said) if said else max(each.ends_at for each in its),
            request.justification or "",
        )
    machines = _unique(_name(each) for each in values_of(fact, Holds.MACHINE, Holds.PLACES))
    ports = _unique(_port(each) for each in values_of(fact, Holds.PORT))
    seconds = values_of(fact, Holds.SECONDS)
    is_refusal = bool(values_of(fact, Holds.PLACES))
    if values_of(fact, Holds.REQUEST) or not (ports or is_refusal):
        return None
    return About(
        "",
        event.actor.name if is_refusal else "",
        machines,
        ports,
        tuple(values_of(fact, Holds.SOURCES)),
        event.at + timedelta(seconds=seconds[0]) if seconds else None,
        _text(fact, Holds.JUSTIFICATION),
    )


def _text(fact: Fact, wanted: Holds) -> str:
    """What that field holds; empty when the fact has none."""
    return "".join(map(str, values_of(fact, wanted)))


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _port(text: str) -> str:
    return text.removesuffix(f"/{RuleProtocol.ALL}").lower()


def _name(machine: str) -> str:
    return machine.rpartition("/")[2]


async def all_pages(services: Services, wanted: ActivityFilter) -> AsyncIterator[Sequence[LogRow]]:
    """Everything, page by page: what is recorded meanwhile is newer and not part of it."""
    after: Moment | None = None
    while True:
        place = after
        page = await services.read(lambda reader: page_of(reader, wanted, place, PAGE))  # noqa: B023  # reason: awaited before the loop goes on
        if page.rows:
            yield page.rows
        if page.goes_on is None:
            return
        after = page.goes_on


def counts_of(reader: ActivityReads, wanted: ActivityFilter, *, is_by_hour: bool) -> Counts:
    return reader.activity_by_hour(wanted) if is_by_hour else reader.activity_by_day(wanted)


def chain_of(reader: ChainReads, verdict: Verdict | None) -> Chain:
    newest = next(iter(reader.checkpoints(limit=1)), None)
    head = reader.chain_head()
    if newest is None:
        return Chain(head, 0, None, verdict)
    return Chain(head, newest.head.position, newest.at, verdict)
