"""Rows of audit events: each is its whole JSON record, with columns beside it to find it by.

The numbers grow with every event and are never used again. A fact is built again from its
type's name: a type that was ever recorded may gain fields with defaults, and never goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from bascule.domain import events as facts
from bascule.domain.events import Actor, Event, Fact, GrantEnded, sort_of
from bascule.domain.times import parse_instant
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
_AFTER_SLASH = chr(ord("/") + 1)  # ends the range of all that begins with "<id>/"
_AFTER_DOT = chr(ord(".") + 1)
_ENDED = GrantEnded.__name__


class RecordReads(Rows):
    __slots__ = ()

    def events(
        self, wanted: EventFilter, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> Sequence[tuple[int, Event]]:
        sequence = t.events.c.sequence
        found: Select[Any] = select(sequence, t.events.c.record).where(*_conditions(wanted))
        if after:
            found = found.where(sequence < after if newest_first else sequence > after)
        order = sequence.desc() if newest_first else sequence
        rows = self._all(found.order_by(order).limit(limit))
        return [(row.sequence, event_of(row.record)) for row in rows]


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


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.resource_id:
        conditions.append(_at_or_below(wanted.resource_id.casefold().rstrip("/")))
    if wanted.kinds:
        conditions.append(_of_kinds(wanted.kinds))
    if wanted.since is not None:
        conditions.append(t.events.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(t.events.c.at < wanted.until)
    if wanted.principal_id:
        conditions.append(t.events.c.principal_id == wanted.principal_id)
    if wanted.caller:
        conditions.append(
            or_(
                func.lower(t.events.c.principal_id) == wanted.caller.lower(),
                func.lower(_RECORD["actor"]["name"].as_string()) == wanted.caller.lower(),
            )
        )
    if wanted.correlation_id:
        found = func.lower(_RECORD["correlationId"].as_string())
        conditions.append(found == wanted.correlation_id.lower())
    return conditions


def _of_kinds(kinds: Sequence[str]) -> ColumnElement[bool]:
    """The column tells ends apart by their reasons, which the kind does not."""
    column = t.events.c.kind
    if _ENDED not in kinds:
        return column.in_(kinds)
    return or_(column.in_(kinds), and_(column > f"{_ENDED}.", column < f"{_ENDED}{_AFTER_DOT}"))


def _at_or_below(key: str) -> ColumnElement[bool]:
    """The resource itself, or one whose id goes on after a slash; never ``web-1`` for ``web``."""
    column = t.events.c.resource_key
    return or_(column == key, and_(column > f"{key}/", column < f"{key}{_AFTER_SLASH}"))


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
