"""Rows of audit events: each is its whole JSON record, with columns beside it to find it by.

The numbers grow with every event and are never used again. A fact is built again from its
type's name: a type that was ever recorded may gain fields with defaults, and never goes.

A row may have been damaged by hand. It is read as bytes and decoded by itself, so that it
keeps none of the others from being read; what is no event is in no list of events, and the
reading of the chain names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, or_, select

from bascule.domain.event import Actor, Event, has_form
from bascule.domain.facts.fact import Fact, Unknown
from bascule.domain.facts.kinds import FACTS, places_of, sort_of
from bascule.domain.times import parse_instant
from bascule.errors import InvalidInput
from bascule.interfaces.record import EventFilter
from bascule.store import tables as t
from bascule.store.rows import Rows
from bascule.store.spelling import can_look_into, raw_of

_INSERT = t.events.insert()
_RECORD = t.events.c.record
RAW = raw_of(_RECORD).label("raw")  # as it lies there, whatever it is
_AFTER_SLASH = chr(ord("/") + 1)  # ends the range of all that begins with "<id>/"
_AFTER_DOT = chr(ord(".") + 1)


class RecordReads(Rows):
    __slots__ = ()

    def events(
        self, wanted: EventFilter, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> Sequence[tuple[int, Event]]:
        sequence = t.events.c.sequence
        order = sequence.desc() if newest_first else sequence
        asked: Select[Any] = select(sequence, RAW).where(*_conditions(wanted)).order_by(order)
        events: list[tuple[int, Event]] = []
        is_more = True
        while is_more:  # once, unless there are damaged rows: a page is full or the last
            missing = limit - len(events)
            found = asked
            if after:
                found = asked.where(sequence < after if newest_first else sequence > after)
            rows = self._all(found.limit(missing))
            events += events_in(rows)
            is_more = len(rows) == missing and len(events) < limit
            after = rows[-1].sequence if rows else after
        return events

    def events_page(
        self, wanted: EventFilter, after: int, limit: int, most: int
    ) -> tuple[Sequence[tuple[int, Event]], int]:
        if not (wanted.caller or wanted.correlation_id):
            found = self.events(wanted, after, limit)
            return found, found[-1][0] if len(found) == limit else 0
        # A subquery with a bound is read as it is: no condition is moved into it.
        few = next((way for way in _ways(wanted) if self._finds_few(way, most)), None)
        near = _newest(after) if few is None else _of_few(few, after)
        near_rows = near.with_only_columns(t.events).limit(most).subquery()
        raw = raw_of(near_rows.c.record).label("raw")
        fitting = select(near_rows.c.sequence, raw).where(*_conditions(wanted, near_rows.c))
        rows = self._all(fitting.order_by(near_rows.c.sequence.desc()).limit(limit))
        if len(rows) == limit:
            return events_in(rows), rows[-1].sequence
        return events_in(rows), self._place_after(wanted, after, most) if few is None else 0

    def _finds_few(self, way: Sequence[ColumnElement[bool]], most: int) -> bool:
        return not self._all(select(t.events.c.sequence).where(*way).offset(most).limit(1))

    def _place_after(self, wanted: EventFilter, after: int, most: int) -> int:
        """Where to look on when the newest of all were looked through; 0: nothing is in time."""
        last = self._first(_newest(after).offset(most - 1).limit(1))
        if last is None or wanted.since is None:
            return last.sequence if last is not None else 0
        # The oldest in time is met first; the numbers follow the times, if not strictly.
        older = (t.events.c.at >= wanted.since, _bare_number() < last.sequence)
        return last.sequence if self._all(select(t.events.c.at).where(*older).limit(1)) else 0


class RecordWrites(RecordReads):
    __slots__ = ()

    def record(self, event: Event) -> None:
        self._unwritten.append(event)

    def finish(self) -> None:
        """Write what was recorded: to be called when the unit of work is done."""
        if self._unwritten:
            self._write_recorded()

    def _write_recorded(self) -> None:
        """In one statement, in the order in which they were recorded."""
        events, self._unwritten = self._unwritten, []
        together: list[dict[str, Any]] = []
        for event in events:
            together.append(_row(event))
            if places_of(event.fact)[0]:  # of these the number is asked for
                self._run(_INSERT, together)
                together = []
                self._place(event)
        if together:
            self._run(_INSERT, together)

    def _place(self, event: Event) -> None:
        """Of the event that was written last."""
        places, among = places_of(event.fact)
        if places:
            last = self._all(select(func.max(t.events.c.sequence).label("sequence")))[0].sequence
            self._run(
                t.event_places.insert(),
                [
                    {"sequence": last, "resource_key": key, "among": among}
                    for key in {each.casefold() for each in places}
                ],
            )


def _row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": event.at,
        "kind": sort_of(event.fact),
        "principal_id": event.actor.principal_id,
        "resource_key": event.resource_id.casefold(),
        "record": event.record(),
    }


def _newest(after: int) -> Select[Any]:
    sequence = t.events.c.sequence
    older = select(sequence).order_by(sequence.desc())
    return older.where(sequence < after) if after else older


def _bare_number() -> ColumnElement[int]:
    """The sequence, by which no index is entered."""
    return t.events.c.sequence + 0


def _of_few(way: Sequence[ColumnElement[bool]], after: int) -> Select[Any]:
    found = select(t.events.c.sequence).where(*way)
    return found.where(_bare_number() < after) if after else found


def _ways(wanted: EventFilter) -> Iterator[list[ColumnElement[bool]]]:
    """What each index finds of it. All of a way is read from its index, so that to see whether
    it finds few costs no more than those few.
    """
    events = t.events.c
    span = _span(wanted, events.at)
    if wanted.resource_id and wanted.is_exact:
        yield [events.resource_key == _key(wanted), *span]
    elif wanted.resource_id:
        at, below = _at_and_below(_key(wanted), events.resource_key)
        yield [or_(and_(at, *span), below, found_at(_key(wanted), events.sequence))]
    if wanted.principal_id:
        yield [events.principal_id == wanted.principal_id, *span]
    if wanted.kinds:
        exact = and_(events.kind.in_(wanted.kinds), *span)
        yield [or_(exact, *_varied(wanted.kinds, events.kind))]
    if span:
        yield span


def events_in(rows: Sequence[Row[Any]]) -> list[tuple[int, Event]]:
    """Damaged ones are left out."""
    return [(row.sequence, event) for row in rows if (event := _event_in(row.raw))]


def _conditions(wanted: EventFilter, events: Any = t.events.c) -> list[ColumnElement[bool]]:  # noqa: ANN401  # reason: columns, of the table or of a subquery
    conditions: list[ColumnElement[bool]] = []
    if wanted.resource_id and wanted.is_exact:
        conditions.append(events.resource_key == _key(wanted))
    elif wanted.resource_id:
        near = _at_and_below(_key(wanted), events.resource_key)
        conditions.append(or_(*near, found_at(_key(wanted), events.sequence)))
    if wanted.kinds:
        conditions.append(_of_kinds(wanted.kinds, events.kind))
    conditions += _span(wanted, events.at)
    if wanted.principal_id:
        conditions.append(events.principal_id == wanted.principal_id)
    if wanted.caller:
        name = _said(events.record, events.record["actor"]["name"].as_string())
        conditions.append(
            or_(
                func.lower(events.principal_id) == wanted.caller.lower(),
                func.lower(name) == wanted.caller.lower(),
            )
        )
    if wanted.correlation_id:
        found = _said(events.record, events.record["correlationId"].as_string())
        conditions.append(func.lower(found) == wanted.correlation_id.lower())
    return conditions


def _said(record: ColumnElement[Any], part: ColumnElement[str]) -> ColumnElement[str]:
    """A part of a record, which may be damaged: to look into what is no JSON fails the whole
    statement, and of conditions beside each other any may come first.
    """
    return case((can_look_into(record), part), else_=None)


def _span(wanted: EventFilter, time: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        conditions.append(time >= wanted.since)
    if wanted.until is not None:
        conditions.append(time < wanted.until)
    return conditions


def _key(wanted: EventFilter) -> str:
    return wanted.resource_id.casefold().rstrip("/")


def _of_kinds(kinds: Sequence[str], column: ColumnElement[str]) -> ColumnElement[bool]:
    """The column holds sorts: of some kinds with what tells their events apart."""
    return or_(column.in_(kinds), *_varied(kinds, column))


def _varied(kinds: Sequence[str], column: ColumnElement[str]) -> Iterator[ColumnElement[bool]]:
    for kind in kinds:
        if kind in FACTS and FACTS[kind].described.varies_by:
            yield and_(column > f"{kind}.", column < f"{kind}{_AFTER_DOT}")


def _at_and_below(
    key: str, column: ColumnElement[str]
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The resource itself, and those whose id goes on after a slash; never ``web-1`` for ``web``."""
    return column == key, and_(column > f"{key}/", column < f"{key}{_AFTER_SLASH}")


def found_at(key: str, sequence: ColumnElement[int]) -> ColumnElement[bool]:
    """Is it a refusal at that machine, or at one below that place?"""
    places = t.event_places.c
    return sequence.in_(
        select(places.sequence).where(or_(*_at_and_below(key, places.resource_key)))
    )


def _no_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        _no_json(text)
    return value


# What Python reads beyond JSON has no canonical form, and would end what writes it.
_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_no_json)


def record_of(raw: bytes | None) -> dict[str, Any]:
    """An event as it was written; empty when it cannot be read."""
    try:
        record = _DECODER.decode((raw or b"").decode())
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _event_in(raw: bytes | None) -> Event | None:
    """None: it is no event, or none any more."""
    record = record_of(raw)
    try:
        return event_of(record) if has_form(record) else None
    except (InvalidInput, KeyError, TypeError, ValueError):
        return None


def event_of(record: dict[str, Any]) -> Event:
    return Event(
        id=record["id"],
        at=parse_instant(record["at"]),
        actor=Actor(**record["actor"]),
        resource_id=record["resourceId"],
        fact=_fact(record["kind"], record["data"]),
        correlation_id=record["correlationId"],
    )


def _fact(kind: str, data: dict[str, Any]) -> Fact:
    """JSON has lists where facts have tuples, and nothing else differs."""
    if kind not in FACTS:
        return Unknown(kind, data)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return FACTS[kind](**values)
