"""Rows of audit events: each is its whole JSON record, with columns beside it to find it by.

The numbers grow with every event and are never used again. A fact is built again from its
type's name: a type that was ever recorded may gain fields with defaults, and never goes.

A row may have been damaged by hand. It is read as bytes and decoded by itself, so that it
keeps none of the others from being read; what is no event is in no list of events, and the
reading of the chain names it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, LargeBinary, Row, Select, and_, cast, func, or_, select

from bascule.domain import events as facts
from bascule.domain.events import Actor, Event, Fact, GrantEnded, has_form, sort_of
from bascule.domain.times import parse_instant
from bascule.errors import InvalidInput
from bascule.interfaces import EventFilter
from bascule.store import tables as t
from bascule.store.rows import Rows

FACTS: dict[str, type[Fact]] = {
    name: kind
    for name, kind in vars(facts).items()
    if isinstance(kind, type) and issubclass(kind, Fact) and kind is not Fact
}

_INSERT = t.events.insert()
_RECORD = t.events.c.record
RAW = cast(_RECORD, LargeBinary).label("raw")  # as it lies there, whatever it is
_AFTER_SLASH = chr(ord("/") + 1)  # ends the range of all that begins with "<id>/"
_AFTER_DOT = chr(ord(".") + 1)
_ENDED = GrantEnded.__name__


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
        near = _newest(after).with_only_columns(t.events).limit(most).subquery()
        raw = cast(near.c.record, LargeBinary).label("raw")
        fitting = select(near.c.sequence, raw).where(*_conditions(wanted, near.c))
        rows = self._all(fitting.order_by(near.c.sequence.desc()).limit(limit))
        if len(rows) == limit:
            return events_in(rows), rows[-1].sequence
        last = self._first(_newest(after).offset(most - 1).limit(1))
        return events_in(rows), last.sequence if last is not None else 0


class RecordWrites(RecordReads):
    __slots__ = ()

    def record(self, event: Event) -> None:
        self._run(
            _INSERT,
            {
                "id": event.id,
                "at": event.at,
                "kind": sort_of(event.fact),
                "principal_id": event.actor.principal_id,
                "resource_key": event.resource_id.casefold(),
                "record": event.record(),
            },
        )


def _newest(after: int) -> Select[Any]:
    sequence = t.events.c.sequence
    older = select(sequence).order_by(sequence.desc())
    return older.where(sequence < after) if after else older


def events_in(rows: Sequence[Row[Any]]) -> list[tuple[int, Event]]:
    """Damaged ones are left out."""
    return [(row.sequence, event) for row in rows if (event := _event_in(row.raw))]


def _conditions(wanted: EventFilter, events: Any = t.events.c) -> list[ColumnElement[bool]]:  # noqa: ANN401  # reason: columns, of the table or of a subquery
    conditions: list[ColumnElement[bool]] = []
    if wanted.resource_id:
        key = wanted.resource_id.casefold().rstrip("/")
        conditions.append(_at_or_below(key, events.resource_key))
    if wanted.kinds:
        conditions.append(_of_kinds(wanted.kinds, events.kind))
    if wanted.since is not None:
        conditions.append(events.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.at < wanted.until)
    if wanted.principal_id:
        conditions.append(events.principal_id == wanted.principal_id)
    if wanted.caller:
        conditions.append(
            or_(
                func.lower(events.principal_id) == wanted.caller.lower(),
                func.lower(events.record["actor"]["name"].as_string()) == wanted.caller.lower(),
            )
        )
    if wanted.correlation_id:
        found = func.lower(events.record["correlationId"].as_string())
        conditions.append(found == wanted.correlation_id.lower())
    return conditions


def _of_kinds(kinds: Sequence[str], column: ColumnElement[str]) -> ColumnElement[bool]:
    """The column tells ends apart by their reasons, which the kind does not."""
    if _ENDED not in kinds:
        return column.in_(kinds)
    return or_(column.in_(kinds), and_(column > f"{_ENDED}.", column < f"{_ENDED}{_AFTER_DOT}"))


def _at_or_below(key: str, column: ColumnElement[str]) -> ColumnElement[bool]:
    """The resource itself, or one whose id goes on after a slash; never ``web-1`` for ``web``."""
    return or_(column == key, and_(column > f"{key}/", column < f"{key}{_AFTER_SLASH}"))


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
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return FACTS[kind](**values)
