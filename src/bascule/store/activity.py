"""The activity log: events by their own time, found and counted by index alone.

A filter becomes branches, each read along one index. The database knows nothing of how the
rows are spread and would now and then read the whole record along another, so whatever a
branch does not enter its index by is written as an expression, which no index is of. A page
is first found as (time, number) pairs, then read.

Counts by day: kept ones for whole days (``tables.activity``), the rest one by one: the days
that a span cuts, and what is not sealed yet.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    and_,
    func,
    not_,
    or_,
    select,
    text,
    type_coerce,
    union_all,
)

from bascule.domain.event import Event
from bascule.interfaces.activity import ActivityFilter, Counts, Moment
from bascule.store import tables as t
from bascule.store.columns import Instant, from_microseconds, to_microseconds
from bascule.store.record import RAW, events_in
from bascule.store.rows import Rows, slices
from bascule.store.tables.activity import event_counts as kept

_EVENTS = t.events.c
_NEAR = 2000  # newest events looked through before an index of places is read whole
_HOUR = 3_600_000_000  # microseconds
_DAY = 24 * _HOUR
_ONE_DAY = timedelta(days=1)
_BEGINNING = from_microseconds(0)
_GROUP_DEPTH = 5  # parts of a resource group's key between slashes
_LAST_SEALED = select(func.max(t.event_seals.c.sequence).label("sequence"))
_ADD = text(
    "INSERT INTO event_counts (scope_key, principal_id, day, kind, events) "
    "VALUES (:scope_key, :principal_id, :day, :kind, :events) "
    "ON CONFLICT (scope_key, principal_id, day, kind) "
    "DO UPDATE SET events = event_counts.events + excluded.events"
)
_OF_SEQUENCES = select(_EVENTS.at, _EVENTS.kind, _EVENTS.principal_id, _EVENTS.resource_key)


@dataclass(frozen=True, slots=True)
class _Branch:
    """A part of what is wanted, in an order that its index has or not."""

    conditions: tuple[ColumnElement[bool], ...]
    is_ordered: bool = True  # along the index it comes by time


class ActivityReads(Rows):
    __slots__ = ()

    def activity(
        self, wanted: ActivityFilter, after: Moment | None = None, limit: int = 1000
    ) -> Sequence[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        is_more = True
        while is_more:  # once, unless there are damaged rows: a page is full or the last
            missing = limit - len(events)
            found = self._newest(wanted, after, missing)
            readable = dict(
                each
                for piece in slices([sequence for _, sequence in found])
                for each in self._events(piece)
            )
            events += [(each, readable[each]) for _, each in found if each in readable]
            is_more = len(found) == missing and len(events) < limit
            after = (from_microseconds(found[-1][0]), found[-1][1]) if found else after
        return events

    def _newest(
        self, wanted: ActivityFilter, after: Moment | None, limit: int
    ) -> list[tuple[int, int]]:
        places = _places(wanted)
        found = None if places is None else self._near(wanted, places, after, limit)
        if found is not None:
            return found
        return heapq.nlargest(
            limit,
            (
                moment
                for branch in _branches(wanted, places)
                for moment in self._moments(branch, after, limit)
            ),
        )

    def _events(self, sequences: Sequence[int]) -> list[tuple[int, Event]]:
        wanted = select(_EVENTS.sequence, RAW).where(_EVENTS.sequence.in_(sequences))
        return events_in(self._all(wanted))

    def activity_since(self, wanted: ActivityFilter, sequence: int, limit: int) -> int:
        found = _by_number(wanted, sequence).with_only_columns(_EVENTS.sequence).limit(limit)
        return len(self._all(found))

    def activity_by_hour(self, wanted: ActivityFilter) -> Counts:
        return _told(self._counted(wanted, _HOUR), _HOUR)

    def activity_by_day(self, wanted: ActivityFilter) -> Counts:
        keys = _kept_keys(wanted)
        first, end = _whole_days(wanted)
        if keys is None or (first is not None and end is not None and first >= end):
            return _told(self._counted(wanted, _DAY), _DAY)
        counts: Counter[tuple[int, str]] = Counter()
        if first is not None and wanted.since is not None and wanted.since < first:
            counts += self._counted(replace(wanted, until=first), _DAY)
        if end is not None and wanted.until is not None and end < wanted.until:
            counts += self._counted(replace(wanted, since=end), _DAY)
        counts += self._kept(wanted, keys, first, end)
        counts += self._unsealed(replace(wanted, since=first, until=end))
        return _told(counts, _DAY)

    def _near(
        self, wanted: ActivityFilter, places: Sequence[str], after: Moment | None, limit: int
    ) -> list[tuple[int, int]] | None:
        """A full page among the newest events, where the places are wide; None: look elsewhere."""
        if not places or not all(map(_is_wide, places)):
            return None
        near = (
            select(_EVENTS.at, _EVENTS.sequence, *_JUDGED)
            .where(*_whole_span(wanted), *_after(after))
            .order_by(_EVENTS.at.desc(), _EVENTS.sequence.desc())
            .limit(_NEAR)
            .subquery()
        )
        rows = self._all(
            select(near.c.at, near.c.sequence)
            .where(*_rest(wanted, near.c), _below_any(places, near.c.resource_key))
            .order_by(near.c.at.desc(), near.c.sequence.desc())
            .limit(limit)
        )
        if len(rows) < limit:
            return None
        return [(to_microseconds(row.at), row.sequence) for row in rows]

    def _moments(
        self, branch: _Branch, after: Moment | None, limit: int
    ) -> Iterator[tuple[int, int]]:
        time = _EVENTS.at if branch.is_ordered else _off(_EVENTS.at)
        found = (
            select(_EVENTS.at, _EVENTS.sequence)
            .where(*branch.conditions, *_after(after, time))
            .order_by(time.desc(), _EVENTS.sequence.desc())
            .limit(limit)
        )
        for row in self._all(found):
            yield to_microseconds(row.at), row.sequence

    def _counted(self, wanted: ActivityFilter, length: int) -> Counter[tuple[int, str]]:
        """One by one, by (day or hour since 1970, sort)."""
        counts: Counter[tuple[int, str]] = Counter()
        places = _places(wanted)
        for branch in _branches(wanted, places, is_by_kind=False):
            counts.update(self._grouped(select().where(*branch.conditions), length))
        return counts

    def _unsealed(self, wanted: ActivityFilter) -> Counter[tuple[int, str]]:
        last = self._first(_LAST_SEALED)
        sealed = 0 if last is None or last.sequence is None else last.sequence
        return self._grouped(_by_number(wanted, sealed), _DAY)

    def _grouped(self, found: Select[Any], length: int) -> Counter[tuple[int, str]]:
        part = type_coerce(_EVENTS.at, BigInteger).op("/")(length).label("part")
        rows = self._all(
            found.with_only_columns(part, _EVENTS.kind, func.count().label("n")).group_by(
                part, _EVENTS.kind
            )
        )
        return Counter({(row.part, row.kind): row.n for row in rows})

    def _kept(
        self,
        wanted: ActivityFilter,
        keys: Sequence[tuple[str, str]],
        first: datetime | None,
        end: datetime | None,
    ) -> Counter[tuple[int, str]]:
        conditions: list[ColumnElement[bool]] = []
        if first is not None:
            conditions.append(kept.c.day >= to_microseconds(first) // _DAY)
        if end is not None:
            conditions.append(kept.c.day < to_microseconds(end) // _DAY)
        if wanted.sorts:
            conditions.append(kept.c.kind.in_(wanted.sorts))
        counts: Counter[tuple[int, str]] = Counter()
        for scope_key, principal_id in keys:
            found = select(kept.c.day, kept.c.kind, kept.c.events).where(
                kept.c.scope_key == scope_key, kept.c.principal_id == principal_id, *conditions
            )
            for row in self._all(found):
                counts[row.day, row.kind] += row.events
        return counts


class ActivityWrites(ActivityReads):
    __slots__ = ()

    def count(self, sequences: Sequence[int]) -> None:
        """Add events that are being sealed to the kept counts."""
        counts: Counter[tuple[str, str, int, str]] = Counter()
        for piece in slices(sequences):
            for row in self._all(_OF_SEQUENCES.where(_EVENTS.sequence.in_(piece))):
                day = to_microseconds(row.at) // _DAY
                for scope_key, principal_id in kept_under(row.principal_id, row.resource_key):
                    counts[scope_key, principal_id, day, row.kind] += 1
        self._add(counts)

    def count_again(self, since: datetime, until: datetime) -> None:
        """Make the kept counts of these days anew, after something of them was deleted."""
        first, last = to_microseconds(since) // _DAY, to_microseconds(until) // _DAY
        self._run(kept.delete().where(kept.c.day >= first, kept.c.day <= last))
        sealed = select(t.event_seals.c.sequence)
        begin, end = from_microseconds(first * _DAY), from_microseconds((last + 1) * _DAY)
        found = select(_EVENTS.sequence).where(
            _EVENTS.at >= begin, _EVENTS.at < end, _EVENTS.sequence.in_(sealed)
        )
        self.count([row.sequence for row in self._all(found)])

    def _add(self, counts: Counter[tuple[str, str, int, str]]) -> None:
        if counts:
            self._run(
                _ADD,
                [
                    dict(
                        zip(
                            ("scope_key", "principal_id", "day", "kind", "events"),
                            (*key, number),
                            strict=True,
                        )
                    )
                    for key, number in counts.items()
                ],
            )


def kept_under(principal_id: str, resource_key: str) -> Iterator[tuple[str, str]]:
    """Under which (scope, principal) an event is counted; not of one in a scope, which would be
    as many counts as events.
    """
    yield "", ""
    if principal_id:
        yield "", principal_id
    parts = resource_key.split("/")
    if parts[1:2] == ["subscriptions"]:
        yield "/".join(parts[:3]), ""
        if len(parts) >= _GROUP_DEPTH and parts[3] == "resourcegroups":
            yield "/".join(parts[:_GROUP_DEPTH]), ""


_JUDGED = (_EVENTS.kind, _EVENTS.principal_id, _EVENTS.resource_key)


def _off(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same value, by which no index is entered."""
    if isinstance(column.type, Instant):
        return type_coerce(type_coerce(column, BigInteger) + 0, Instant)
    return column.concat("")


def _by_number(wanted: ActivityFilter, sequence: int) -> Select[Any]:
    """What was written after that number, and is read by it, whatever else is asked."""
    conditions = [_EVENTS.sequence > sequence, *_span(wanted, _off(_EVENTS.at))]
    places = _places(wanted)
    if places is not None:
        here = _below_any(places, _off(_EVENTS.resource_key))
        if not all(map(_is_wide, places)):  # as in _branches
            here = or_(here, _EVENTS.sequence.in_(_refused_at(wanted, places)))
        conditions.append(here)
    return select(_EVENTS.sequence).where(*conditions, *_rest(wanted, _EVENTS))


def _branches(
    wanted: ActivityFilter, places: Sequence[str] | None, *, is_by_kind: bool = True
) -> Iterator[_Branch]:
    """Parts that have no event in common and are all that is wanted."""
    rest = _rest(wanted, _EVENTS)
    span = _whole_span(wanted)
    are_wide = places is not None and all(map(_is_wide, places))
    if wanted.principal_ids and (places is None or are_wide):
        inside = () if places is None else (_below_any(places, _off(_EVENTS.resource_key)),)
        for principal_id in dict.fromkeys(wanted.principal_ids):
            condition = _EVENTS.principal_id == principal_id
            yield _Branch((condition, *span, *inside, *rest))
    elif places is not None:
        span = _span(wanted, _off(_EVENTS.at))
        for condition in _at_or_below(places):
            yield _Branch((condition, *span, *rest), is_ordered=False)
        if not are_wide:
            elsewhere = not_(_lies_in(places, _off(_EVENTS.resource_key)))
            refused = _EVENTS.sequence.in_(_refused_at(wanted, places))
            yield _Branch((refused, elsewhere, *span, *rest), is_ordered=False)
    elif wanted.sorts and is_by_kind:
        for sort in dict.fromkeys(wanted.sorts):
            yield _Branch((_EVENTS.kind == sort, *span))
    else:
        yield _Branch((*span, *rest))


def _whole_span(wanted: ActivityFilter) -> tuple[ColumnElement[bool], ...]:
    """Never empty: it says that time is what to go along."""
    return _span(wanted) or (_EVENTS.at >= _BEGINNING,)


def _span(
    wanted: ActivityFilter, time: ColumnElement[Any] = _EVENTS.at
) -> tuple[ColumnElement[bool], ...]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        conditions.append(time >= wanted.since)
    if wanted.until is not None:
        conditions.append(time < wanted.until)
    return tuple(conditions)


def _rest(wanted: ActivityFilter, columns: Any) -> tuple[ColumnElement[bool], ...]:  # noqa: ANN401  # reason: a table's or a subquery's
    conditions: list[ColumnElement[bool]] = []
    if wanted.sorts:
        conditions.append(_off(columns.kind).in_(wanted.sorts))
    if wanted.principal_ids:
        conditions.append(_off(columns.principal_id).in_(wanted.principal_ids))
    return tuple(conditions)


def _after(
    after: Moment | None, time: ColumnElement[Any] = _EVENTS.at
) -> tuple[ColumnElement[bool], ...]:
    if after is None:
        return ()
    at, sequence = after
    return (
        time <= at,  # which an index can be entered by
        or_(_off(_EVENTS.at) < at, _EVENTS.sequence < sequence),
    )


def _places(wanted: ActivityFilter) -> list[str] | None:
    """Keys, none below another, that all of it lies at or below; None: anywhere."""
    asked = {key.casefold().rstrip("/") for key in wanted.resources}
    if wanted.within is None:
        return sorted(_outermost(asked)) if wanted.resources else None
    if not wanted.resources:
        return sorted(wanted.within.keys)
    inside = {key for key in asked if wanted.within.covers(key)}
    inside |= {
        key for key in wanted.within.keys if any(key.startswith(f"{each}/") for each in asked)
    }
    return sorted(_outermost(inside))


def _outermost(keys: set[str]) -> Iterator[str]:
    for key in keys:
        if not any(key.startswith(f"{other}/") for other in keys):
            yield key


def _below_any(places: Iterable[str], column: Any) -> ColumnElement[bool]:  # noqa: ANN401  # reason: a table's or a subquery's
    """At or below one of them; each a range that an index can be entered at."""
    some = list(places)
    return or_(column.in_(some), *(and_(column > f"{key}/", column < f"{key}0") for key in some))


def _at_or_below(places: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """At one of them, and below one: the index of places is entered once for each, however many
    they are. They are one value of the statement; as alternatives they would be thousands.
    """
    if not places:
        return
    place = func.json_each(json.dumps(places)).table_valued("value", name="places").c.value
    yield _EVENTS.resource_key == place
    yield and_(_EVENTS.resource_key > place.concat("/"), _EVENTS.resource_key < place.concat("0"))


def _refused_at(wanted: ActivityFilter, places: Sequence[str]) -> Select[Any]:
    """Numbers of the refusals at these places; for who may read a part alone, of those of which
    every machine lies in that part: the event names them all.
    """
    here = _refusals(places)
    numbers = select(here.c.sequence)
    if wanted.within is None:
        return numbers
    seen = _refusals(sorted(wanted.within.keys))
    whole = (
        select(seen.c.sequence)
        .group_by(seen.c.sequence)
        .having(func.count(seen.c.resource_key.distinct()) == func.max(seen.c.among))
    )
    return numbers.where(here.c.sequence.in_(whole))


def _refusals(places: Sequence[str]) -> Subquery:
    """At one of them, and below one: the index is entered once for each, as in _at_or_below."""
    place = func.json_each(json.dumps(list(places))).table_valued("value").c.value
    key = t.event_places.c.resource_key
    return union_all(
        select(t.event_places).where(key == place),
        select(t.event_places).where(key > place.concat("/"), key < place.concat("0")),
    ).subquery()


def _lies_in(places: Sequence[str], column: ColumnElement[str]) -> ColumnElement[bool]:
    """Judged row by row: for a few rows and however many places."""
    place = func.json_each(json.dumps(list(places))).table_valued("value").c.value
    below = and_(column > place.concat("/"), column < place.concat("0"))
    return select(place).where(or_(column == place, below)).exists()


def _kept_keys(wanted: ActivityFilter) -> list[tuple[str, str]] | None:
    """Under which (scope, principal) the kept counts are; None: there are none for this."""
    if "" in wanted.principal_ids:  # of nobody in particular: not kept
        return None
    places = _places(wanted)
    if places is not None and not all(map(_is_wide, places)):
        return None
    if places is None:
        return [("", each) for each in dict.fromkeys(wanted.principal_ids)] or [("", "")]
    return None if wanted.principal_ids else [(place, "") for place in places]


def _is_wide(place: str) -> bool:
    """Is it a resource group or above?"""
    return len(place.split("/")) <= _GROUP_DEPTH


def _whole_days(wanted: ActivityFilter) -> tuple[datetime | None, datetime | None]:
    """The whole days within the span, from and before; None: it has no end there."""
    first = end = None
    if wanted.since is not None:
        first = _midnight(wanted.since)
        first = first if first == wanted.since else first + _ONE_DAY
    if wanted.until is not None:
        end = _midnight(wanted.until)
    return first, end


def _midnight(at: datetime) -> datetime:
    return from_microseconds(to_microseconds(at) // _DAY * _DAY)


def _told(counts: Counter[tuple[int, str]], length: int) -> Counts:
    return {
        (from_microseconds(part * length), sort): number
        for (part, sort), number in counts.items()
        if number
    }
