"""Rows of the history that exposure is told from: spans, openings, and steps by the hour."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)

from bascule.domain.classify import Trait
from bascule.domain.exposure import (
    DAY,
    END_BELIEVED_AFTER,
    HourStep,
    KeptSpan,
    Opening,
    Place,
    SpanKind,
    hour_of,
)
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.roles import Reach
from bascule.interfaces.exposure import ExposureFilter, KnownMachine
from bascule.store import tables as t
from bascule.store.rows import Rows, prefixes, resource_id, slices
from bascule.store.tables.exposure import (
    IS_BARE,
    IS_CURRENT,
    IS_LONG,
    IS_NOT_CLOSED,
    IS_OF_MACHINES,
    counts,
    history,
    openings,
    spans,
    steps,
)
from bascule.store.tables.listing import IS_SILENT, listed_machines
from bascule.store.within import clauses_within

_OF_GROUP = 4  # slashes of a resource group's key
_MOST_OVERDUE = 500  # of one sweep; the next begins at once
_CURRENT = select(spans).where(IS_CURRENT, spans.c.machine_uid == bindparam("uid"))
_DUE = select(spans).where(IS_CURRENT, spans.c.ends_by.is_not(None)).order_by(spans.c.ends_by)
_NOT_CLOSED = (
    select(openings)
    .where(IS_NOT_CLOSED, openings.c.machine_uid == bindparam("uid"))
    .order_by(openings.c.sequence)
)
_HERE = and_(
    IS_CURRENT,
    spans.c.machine_uid == bindparam("here_uid"),
    spans.c.kind == bindparam("here_kind"),
    spans.c.protocol == bindparam("here_protocol"),
    spans.c.number == bindparam("here_number"),
)
_BOUND = update(spans).where(_HERE).values(ends_by=bindparam("ends_by"))
_END = update(spans).where(_HERE).values(ended_at=bindparam("ended_at"))
_OPEN_HERE = (
    IS_NOT_CLOSED,
    openings.c.machine_uid == bindparam("here_uid"),
    openings.c.id == bindparam("here_id"),
)
_FIND_OPENING = select(openings.c.sequence, openings.c.opened_at).where(*_OPEN_HERE)
_STEP = (
    update(steps)
    .where(
        steps.c.scope_key == bindparam("here_scope"),
        steps.c.kind == bindparam("here_kind"),
        steps.c.hour == bindparam("here_hour", type_=steps.c.hour.type),
    )
    .values(
        change=steps.c.change + bindparam("more"),
        moment=steps.c.moment + bindparam("later", type_=steps.c.moment.type),
    )
)
_COUNT = (
    update(counts)
    .where(counts.c.scope_key == bindparam("here_scope"), counts.c.kind == bindparam("here_kind"))
    .values(number=counts.c.number + bindparam("more"))
)


class ExposureReads(Rows):
    __slots__ = ()

    def exposure_since(self) -> datetime | None:
        row = self._first(select(history.c.since))
        if row is None:
            row = self._first(select(t.installation.c.created_at.label("since")))
        return None if row is None else row.since

    def current_spans(self, machine_uid: str) -> Sequence[KeptSpan]:
        return [_span(row) for row in self._all(_CURRENT, {"uid": machine_uid})]

    def overdue_spans(self, now: datetime) -> Sequence[tuple[KnownMachine, KeptSpan]]:
        due = _DUE.where(spans.c.ends_by <= now).limit(_MOST_OVERDUE)
        return [(_machine(row), _span(row)) for row in self._all(due)]

    def next_overdue(self) -> datetime | None:
        row = self._first(_DUE.limit(1))
        return None if row is None else row.ends_by

    def current_openings(self, machine_uid: str) -> Sequence[Opening]:
        return [_opening(row) for row in self._all(_NOT_CLOSED, {"uid": machine_uid})]

    def count_told(
        self,
        machine: KnownMachine,
        since: datetime,
        most: int,
        kinds: Collection[str] = (),
        teller: str | None = None,
    ) -> int:
        of_machine = select(literal(1).label("one")).where(
            IS_OF_MACHINES, spans.c.machine_key == machine.id.key, spans.c.began_at >= since
        )
        by_root = select(literal(1).label("one")).where(
            openings.c.machine_uid == machine.uid,
            openings.c.opened_at >= since,
            openings.c.request_id == "",
        )
        on_record = select(literal(1).label("one")).where(
            t.events.c.resource_key == machine.id.key,
            t.events.c.at >= since,
            t.events.c.kind.in_(sorted(kinds)),
        )
        told = [of_machine, by_root, on_record]
        if teller is not None:
            told = [on_record.where(t.events.c.principal_id == teller)]
        few = [each.limit(most).subquery() for each in told]
        counts_ = [self._all(select(func.count().label("many")).select_from(each)) for each in few]
        return min(most, sum(int(rows[0].many) for rows in counts_))

    def exposed_machines(
        self, wanted: ExposureFilter, after: str = "", limit: int = 1000
    ) -> Sequence[KnownMachine]:
        found: dict[str, KnownMachine] = {}
        key = (openings if wanted.only is SpanKind.OPEN else spans).c.machine_key
        for statement in _exposed(wanted):
            page = statement.where(key > after.casefold()).order_by(key).limit(limit)
            found |= self._page(page, wanted.within, key, limit)
        return [found[key] for key in sorted(found)[:limit]]

    def _page(
        self, page: Select[Any], within: Reach | None, key: Column[str], limit: int
    ) -> dict[str, KnownMachine]:
        """Scopes in order: what a later one has comes after all of an earlier one."""
        found: dict[str, KnownMachine] = {}
        if key.table is openings:  # which go by their time: one sweep for all scopes
            anywhere = or_(false(), *(clause for clause, _ in _clauses(within, key)))
            return {row.machine_key: _machine(row) for row in self._all(page.where(anywhere))}
        for clause, is_wide in _clauses(within, key):
            if is_wide and len(found) >= limit:
                continue
            found.update({row.machine_key: _machine(row) for row in self._all(page.where(clause))})
        return found

    def closed_spans(
        self, machine_uids: Sequence[str], at: datetime
    ) -> Mapping[str, Sequence[KeptSpan]]:
        wanted = (spans.c.kind == SpanKind.CLOSED, spans.c.began_at <= at)
        found: defaultdict[str, list[KeptSpan]] = defaultdict(list)
        for some in slices(machine_uids):
            here = select(spans).where(spans.c.machine_uid.in_(some), *wanted)
            for row in self._all(here.order_by(spans.c.sequence)):
                found[row.machine_uid].append(_span(row))
        return found

    def openings_at(
        self, machine_uids: Sequence[str], at: datetime, *, is_now: bool = False
    ) -> Mapping[str, Sequence[Opening]]:
        rows: dict[int, Row[Any]] = {}
        for some in slices(machine_uids):
            for moment in _moments(at, is_now=is_now):
                here = select(openings).where(openings.c.machine_uid.in_(some), moment)
                rows.update({row.sequence: row for row in self._all(here)})
        found: defaultdict[str, list[Opening]] = defaultdict(list)
        for sequence in sorted(rows):
            found[rows[sequence].machine_uid].append(_opening(rows[sequence]))
        return found

    def spans_between(
        self, machine_keys: Collection[str], since: datetime, until: datetime
    ) -> Mapping[str, Sequence[KeptSpan]]:
        kinds = spans.c.kind.in_((SpanKind.CLOSED, SpanKind.OPEN))
        found: defaultdict[str, list[KeptSpan]] = defaultdict(list)
        for some in slices(sorted(machine_keys)):
            here = select(spans).where(
                spans.c.machine_key.in_(some), kinds, spans.c.began_at < until
            )
            # One after the other: joined by OR, each machine's whole past would be read.
            for reach in (spans.c.ended_at > since, IS_CURRENT):
                for row in self._all(here.where(reach)):
                    found[row.machine_uid].append(_span(row))
        return found

    def wanted_ports(self, machine_uids: Sequence[str]) -> Mapping[str, frozenset[PortKey]]:
        ports = t.closed_ports
        found: defaultdict[str, set[PortKey]] = defaultdict(set)
        for some in slices(machine_uids):
            here = select(ports).where(
                ports.c.machine_uid.in_(some), ports.c.is_released.is_(False)
            )
            for row in self._all(here):
                found[row.machine_uid].add(PortKey(TransportProtocol(row.protocol), row.number))
        return {uid: frozenset(some) for uid, some in found.items()}

    def count_let_in(self, within: Reach | None, now: datetime) -> tuple[int, int]:
        counted = select(
            func.count().label("openings"),
            func.count(openings.c.machine_key.distinct()).label("machines"),
        ).where(IS_NOT_CLOSED, not_(is_believed_over(now)))
        rows = self._each_within(counted, within, openings.c.machine_key)
        return sum(row.openings for row in rows), sum(row.machines for row in rows)

    def count_points(self, within: Reach | None) -> tuple[int, int]:
        number = select(func.count().label("number"))
        silent = number.select_from(listed_machines).where(IS_SILENT)
        if within is None:
            points = sum(row.number for row in self._all(number.select_from(t.agents)))
        else:
            has_point = listed_machines.c.traits.op("&")(Trait.POINT) != 0
            having = number.select_from(listed_machines).where(has_point)
            points = sum(
                row.number
                for clause in _listed_clauses(within)
                for row in self._all(having.where(clause))
            )
        # Those that were never heard of are silent there too.
        rows = self._each_within(silent, within, listed_machines.c.id_key)
        return points, sum(row.number for row in rows)

    def _each_within(
        self, counted: Select[*tuple[Any, ...]], within: Reach | None, key: Column[str]
    ) -> list[Row[Any]]:
        """One row of sums for each scope, of which none overlaps another."""
        clauses = _clauses(within, key)
        return [row for clause, _ in clauses for row in self._all(counted.where(clause))]

    def exposure_counts(self, scope_keys: Collection[str]) -> Mapping[SpanKind, int]:
        total = func.sum(counts.c.number).label("number")
        return self._by_kind(
            select(counts.c.kind, total).group_by(counts.c.kind), counts.c.scope_key, scope_keys
        )

    def count_current(self, machine_keys: Collection[str]) -> Mapping[SpanKind, int]:
        number = func.count().label("number")
        current = select(spans.c.kind, number).where(IS_CURRENT).group_by(spans.c.kind)
        known = select(literal(str(SpanKind.KNOWN)).label("kind"), number).select_from(t.machines)
        return {
            **self._by_kind(current, spans.c.machine_key, machine_keys),
            **self._by_kind(known, t.machines.c.id_key, machine_keys),
        }

    def exposure_changes(
        self, scope_keys: Collection[str], since: datetime
    ) -> Mapping[SpanKind, int]:
        total = func.sum(steps.c.change).label("number")
        found: dict[SpanKind, int] = {}
        for kind in SpanKind:  # each is a stretch of the primary key
            later = select(steps.c.kind, total).where(steps.c.hour >= since, steps.c.kind == kind)
            found |= self._by_kind(later.group_by(steps.c.kind), steps.c.scope_key, scope_keys)
        return found

    def _by_kind(
        self, counted: Select[*tuple[Any, ...]], key: Column[str], keys: Collection[str]
    ) -> dict[SpanKind, int]:
        found: Counter[SpanKind] = Counter()
        for some in slices(sorted(keys)):
            for row in self._all(counted.where(key.in_(some))):
                found[SpanKind(row.kind)] += row.number
        return dict(found)

    def exposure_steps(
        self, scope_keys: Collection[str], since: datetime, until: datetime
    ) -> Mapping[SpanKind, Sequence[HourStep]]:
        added = (func.sum(steps.c.change).label("change"), func.sum(steps.c.moment).label("moment"))
        found: dict[SpanKind, list[HourStep]] = {}
        for kind in (SpanKind.CLOSED, SpanKind.OPEN):  # each is a stretch of the primary key
            here = select(steps.c.hour, *added).where(
                steps.c.kind == kind, steps.c.hour >= since, steps.c.hour < until
            )
            found[kind] = [
                HourStep(row.hour, row.change, row.moment)
                for some in slices(sorted(scope_keys))
                for row in self._all(here.where(steps.c.scope_key.in_(some)).group_by(steps.c.hour))
            ]
        return found


class ExposureWrites(ExposureReads):
    __slots__ = ()

    def begin_span(self, machine: KnownMachine, span: KeptSpan) -> None:
        protocol, number = _port_columns(span.port)
        row = {
            **_machine_columns(machine),
            "kind": span.kind,
            "protocol": protocol,
            "number": number,
            "began_at": span.began_at,
            "ended_at": span.ended_at,
            "ends_by": span.ends_by,
        }
        self._run(spans.insert(), row)

    def bound_span(self, machine_uid: str, place: Place, ends_by: datetime | None) -> None:
        self._run(_BOUND, {**_here(machine_uid, place), "ends_by": ends_by})

    def end_span(self, machine_uid: str, place: Place, ended_at: datetime) -> None:
        self._run(_END, {**_here(machine_uid, place), "ended_at": ended_at})

    def add_opening(self, machine: KnownMachine, opening: Opening) -> None:
        row = {
            **_machine_columns(machine),
            "id": opening.id,
            "ports": [[str(port.protocol), port.number] for port in opening.ports],
            "sources": [str(source) for source in opening.sources],
            "request_id": opening.request_id,
            "requestor_id": opening.requestor_id,
            "requestor": opening.requestor,
            "opened_at": opening.opened_at,
            "ends_by": opening.ends_by,
            "closed_at": opening.closed_at,
            "is_long": False,
        }
        self._run(openings.insert(), row)

    def move_opening_end(self, machine_uid: str, opening_id: str, ends_by: datetime) -> None:
        here = {"here_uid": machine_uid, "here_id": opening_id}
        self._run(update(openings).where(*_OPEN_HERE).values(ends_by=ends_by), here)

    def end_opening(self, machine_uid: str, opening_id: str, closed_at: datetime) -> bool:
        row = self._first(_FIND_OPENING, {"here_uid": machine_uid, "here_id": opening_id})
        if row is None:
            return False
        is_long = closed_at - row.opened_at > DAY
        here = update(openings).where(openings.c.sequence == row.sequence)
        self._run(here.values(closed_at=closed_at, is_long=is_long))
        return True

    def add_steps(self, scope_key: str, kind: SpanKind, steps_: Sequence[HourStep]) -> None:
        for step in steps_:
            here = {"here_scope": scope_key, "here_kind": kind, "here_hour": step.hour}
            more = {"more": step.change, "later": step.moment}
            if not self._run(_STEP, {**here, **more}):
                row = {"scope_key": scope_key, "kind": kind, "hour": step.hour}
                row |= {"change": step.change, "moment": step.moment}
                self._run(steps.insert(), row)
        change = sum(step.change for step in steps_)
        here = {"here_scope": scope_key, "here_kind": kind, "more": change}
        if change and not self._run(_COUNT, here):
            first = {"scope_key": scope_key, "kind": kind, "number": change}
            self._run(counts.insert(), first)

    def prune_exposure(self, before: datetime) -> None:
        """By whole hours: the hour in which that instant lies stays whole."""
        since = hour_of(before)
        self._run(delete(spans).where(spans.c.ended_at < since))
        self._run(delete(openings).where(openings.c.closed_at < since))
        self._run(delete(steps).where(steps.c.hour < since))
        known = self.exposure_since()
        if known is None or known < since:
            self._put(history, {"id": 1}, {"since": since})


def is_believed_over(now: datetime) -> ColumnElement[bool]:
    """Of an opening: *ended, not confirmed* (EDGES E9)."""
    is_heard = exists().where(
        listed_machines.c.machine_uid == openings.c.machine_uid,
        listed_machines.c.traits.op("&")(Trait.POINT) != 0,
        listed_machines.c.is_silent.is_(False),
    )
    return and_(
        openings.c.ends_by.is_not(None),
        openings.c.ends_by <= now - END_BELIEVED_AFTER,
        not_(is_heard),
    )


def _exposed(wanted: ExposureFilter) -> Iterator[Select[Any]]:
    """The machines that are meant, each once, by several statements."""
    if wanted.only is SpanKind.OPEN:
        for moment in _moments(wanted.at, is_now=wanted.is_now):
            yield _each_once(openings).where(moment)
        return
    part = IS_BARE if wanted.only is SpanKind.BARE else IS_OF_MACHINES
    covers = or_(spans.c.ended_at.is_(None), spans.c.ended_at > wanted.at)
    yield _each_once(spans).where(part, spans.c.began_at <= wanted.at, covers)


def _each_once(table: Table) -> Select[Any]:
    key, uid, name = table.c.machine_key, table.c.machine_uid, table.c.machine_id
    least = func.max(uid).label("machine_uid"), func.max(name).label("machine_id")
    return select(key, *least).group_by(key)


def _clauses(within: Reach | None, key: Column[str]) -> Iterator[tuple[ColumnElement[bool], bool]]:
    """Conditions on keys of machines, and whether each is of a scope that machines lie below.

    Such a scope is a range and no more, since no machine has its key: a condition that allowed
    for one would lead to no index.
    """
    keys = frozenset(("",)) if within is None else within.keys
    wide = sorted(each for each in keys if each.count("/") <= _OF_GROUP)
    for each in wide:
        yield (and_(key > f"{each}/", key < f"{each}0") if each else true()), True
    for clause in clauses_within(Reach(keys.difference(wide)), key):
        yield clause, False


def _listed_clauses(within: Reach) -> Iterator[ColumnElement[bool]]:
    """Scopes as the narrow table of lists knows them: a group is looked up by its name."""
    key = listed_machines.c.id_key
    groups = [each for each in within.keys if each.count("/") == _OF_GROUP]
    if groups:
        yield listed_machines.c.group_key.in_([each.rpartition("/")[2] for each in groups])
    for clause, _ in _clauses(Reach(within.keys.difference(groups)), key):
        yield clause


def _moments(at: datetime, *, is_now: bool) -> Iterator[ColumnElement[bool]]:
    """Openings of that moment: not closed yet, begun within the day before, or long ones."""
    closed_later = openings.c.closed_at > at
    yield and_(IS_NOT_CLOSED, openings.c.opened_at <= at)
    if is_now:
        return
    yield and_(
        openings.c.opened_at > at - DAY - timedelta(seconds=1),
        openings.c.opened_at <= at,
        closed_later,
    )
    yield and_(IS_LONG, openings.c.opened_at <= at, closed_later)


def _here(machine_uid: str, place: Place) -> dict[str, Any]:
    kind, port = place
    protocol, number = _port_columns(port)
    return {
        "here_uid": machine_uid,
        "here_kind": kind,
        "here_protocol": protocol,
        "here_number": number,
    }


def _port_columns(port: PortKey | None) -> tuple[str, int]:
    return ("", 0) if port is None else (str(port.protocol), port.number)


def _machine_columns(machine: KnownMachine) -> dict[str, Any]:
    return {
        "machine_uid": machine.uid,
        "machine_key": machine.id.key,
        "machine_id": str(machine.id),
    }


def _machine(row: Row[Any]) -> KnownMachine:
    return KnownMachine(resource_id(row.machine_id), row.machine_uid)


def _span(row: Row[Any]) -> KeptSpan:
    port = PortKey(TransportProtocol(row.protocol), row.number) if row.protocol else None
    return KeptSpan(SpanKind(row.kind), port, row.began_at, row.ended_at, row.ends_by)


def _opening(row: Row[Any]) -> Opening:
    return Opening(
        id=row.id,
        ports=tuple(PortKey(TransportProtocol(each[0]), each[1]) for each in row.ports),
        sources=prefixes(row.sources),
        requestor_id=row.requestor_id,
        requestor=row.requestor,
        request_id=row.request_id,
        opened_at=row.opened_at,
        ends_by=row.ends_by,
        closed_at=row.closed_at,
    )
