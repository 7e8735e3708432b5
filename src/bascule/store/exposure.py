"""The history behind exposure: spans of what was closed, and openings.

What is not here: numbers (``exposure_counts``) and what is written (``exposure_writes``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
)

from bascule.domain.exposure import DAY, KeptSpan, Opening, SpanKind
from bascule.domain.net import PortKey, TransportProtocol
from bascule.interfaces.exposure import ExposureFilter, KnownMachine
from bascule.store import tables as t
from bascule.store.exposure_counts import ExposureCounts, ranges_within
from bascule.store.rows import prefixes, resource_id, slices
from bascule.store.tables.exposure import (
    IS_BARE,
    IS_CLOSED,
    IS_CURRENT,
    IS_LONG,
    IS_NO_OPENING,
    IS_NOT_CLOSED,
    IS_OF_MACHINES,
    IS_OPEN,
    IS_OPENING,
    history,
    spans,
)
from bascule.store.told import ToldReads

_MOST_OVERDUE = 500  # of one sweep; the next begins at once
_CURRENT = select(spans).where(IS_CURRENT, spans.c.machine_uid == bindparam("uid"))
_DUE = (
    select(spans).where(IS_CURRENT, IS_OPEN, spans.c.ends_by.is_not(None)).order_by(spans.c.ends_by)
)
OPEN_NOW = select(spans).where(IS_CURRENT, IS_OPEN, spans.c.machine_uid == bindparam("uid"))
NOT_CLOSED = (
    select(spans)
    .where(IS_NOT_CLOSED, spans.c.machine_uid == bindparam("uid"))
    .order_by(spans.c.sequence)
)


_EACH_ONCE: Select[Any] = select(
    spans.c.machine_key,
    func.max(spans.c.machine_uid).label("machine_uid"),
    func.max(spans.c.machine_id).label("machine_id"),
).group_by(spans.c.machine_key)


class ExposureReads(ExposureCounts, ToldReads):
    __slots__ = ()

    def exposure_since(self) -> datetime | None:
        row = self._first(select(history.c.since))
        if row is None:
            row = self._first(select(t.installation.c.created_at.label("since")))
        return None if row is None else row.since

    def current_spans(self, machine_uid: str) -> Sequence[KeptSpan]:
        return [span_of_row(row) for row in self._all(_CURRENT, {"uid": machine_uid})]

    def overdue_spans(self, now: datetime) -> Sequence[tuple[KnownMachine, KeptSpan]]:
        due = _DUE.where(spans.c.ends_by <= now).limit(_MOST_OVERDUE)
        return [(_machine(row), span_of_row(row)) for row in self._all(due)]

    def next_overdue(self) -> datetime | None:
        row = self._first(_DUE.limit(1))
        return None if row is None else row.ends_by

    def current_openings(self, machine_uid: str) -> Sequence[Opening]:
        return [opening_of_row(row) for row in self._all(NOT_CLOSED, {"uid": machine_uid})]

    def exposed_machines(
        self, wanted: ExposureFilter, after: str = "", limit: int = 1000
    ) -> Sequence[KnownMachine]:
        found: dict[str, KnownMachine] = {}
        key = spans.c.machine_key
        for statement in _exposed(wanted):
            page = statement.where(key > after.casefold()).order_by(key).limit(limit)
            found |= self._page(page, wanted, limit)
        return [found[key] for key in sorted(found)[:limit]]

    def _page(
        self, page: Select[Any], wanted: ExposureFilter, limit: int
    ) -> dict[str, KnownMachine]:
        """Scopes in order: what a later one has comes after all of an earlier one."""
        found: dict[str, KnownMachine] = {}
        scopes = ranges_within(wanted.within, spans.c.machine_key)
        if wanted.only is SpanKind.OPEN:  # openings go by their time: one sweep for all scopes
            anywhere = or_(false(), *(clause for clause, _ in scopes))
            return {row.machine_key: _machine(row) for row in self._all(page.where(anywhere))}
        for clause, is_wide in scopes:
            if is_wide and len(found) >= limit:
                continue
            found.update({row.machine_key: _machine(row) for row in self._all(page.where(clause))})
        return found

    def closed_spans(
        self, machine_uids: Sequence[str], at: datetime
    ) -> Mapping[str, Sequence[KeptSpan]]:
        wanted = (IS_CLOSED, spans.c.began_at <= at)
        found: defaultdict[str, list[KeptSpan]] = defaultdict(list)
        for some in slices(machine_uids):
            here = select(spans).where(spans.c.machine_uid.in_(some), *wanted)
            for row in self._all(here.order_by(spans.c.sequence)):
                found[row.machine_uid].append(span_of_row(row))
        return found

    def openings_at(
        self, machine_uids: Sequence[str], at: datetime, *, is_now: bool = False
    ) -> Mapping[str, Sequence[Opening]]:
        rows: dict[int, Row[Any]] = {}
        for some in slices(machine_uids):
            for moment in _moments(at, is_now=is_now):
                here = select(spans).where(spans.c.machine_uid.in_(some), moment)
                rows.update({row.sequence: row for row in self._all(here)})
        found: defaultdict[str, list[Opening]] = defaultdict(list)
        for sequence in sorted(rows):
            found[rows[sequence].machine_uid].append(opening_of_row(rows[sequence]))
        return found

    def spans_between(
        self, machine_keys: Collection[str], since: datetime, until: datetime
    ) -> Mapping[str, Sequence[KeptSpan]]:
        kinds = spans.c.kind.in_((SpanKind.CLOSED, SpanKind.OPEN))
        found: defaultdict[str, list[KeptSpan]] = defaultdict(list)
        for some in slices(sorted(machine_keys)):
            here = select(spans).where(
                IS_NO_OPENING, spans.c.machine_key.in_(some), kinds, spans.c.began_at < until
            )
            # One after the other: joined by OR, each machine's whole past would be read.
            for reach in (spans.c.ended_at > since, IS_CURRENT):
                for row in self._all(here.where(reach)):
                    found[row.machine_uid].append(span_of_row(row))
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


def _exposed(wanted: ExposureFilter) -> Iterator[Select[Any]]:
    """The machines that are meant, each once, by several statements."""
    if wanted.only is SpanKind.OPEN:
        for moment in _moments(wanted.at, is_now=wanted.is_now):
            yield _EACH_ONCE.where(moment)
        return
    part = IS_BARE if wanted.only is SpanKind.BARE else IS_OF_MACHINES
    covers = or_(spans.c.ended_at.is_(None), spans.c.ended_at > wanted.at)
    yield _EACH_ONCE.where(part, spans.c.began_at <= wanted.at, covers)


def _moments(at: datetime, *, is_now: bool) -> Iterator[ColumnElement[bool]]:
    """Openings of that moment: not closed yet, begun within the day before, or long ones."""
    closed_later = spans.c.ended_at > at
    yield and_(IS_NOT_CLOSED, spans.c.began_at <= at)
    if is_now:
        return
    yield and_(
        IS_OPENING,
        spans.c.began_at > at - DAY - timedelta(seconds=1),
        spans.c.began_at <= at,
        closed_later,
    )
    yield and_(IS_LONG, spans.c.began_at <= at, closed_later)


def _machine(row: Row[Any]) -> KnownMachine:
    return KnownMachine(resource_id(row.machine_id), row.machine_uid)


def span_of_row(row: Row[Any]) -> KeptSpan:
    port = PortKey(TransportProtocol(row.protocol), row.number) if row.protocol else None
    return KeptSpan(SpanKind(row.kind), port, row.began_at, row.ended_at, row.ends_by)


def opening_of_row(row: Row[Any]) -> Opening:
    return Opening(
        id=row.id,
        ports=tuple(PortKey(TransportProtocol(each[0]), each[1]) for each in row.ports),
        sources=prefixes(row.sources),
        requestor_id=row.requestor_id,
        requestor=row.requestor,
        request_id=row.request_id,
        opened_at=row.began_at,
        ends_by=row.ends_by,
        closed_at=row.ended_at,
    )
