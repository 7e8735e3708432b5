"""A filter of the activity log as SQL conditions, each part of which is read along one index.

A filter becomes branches. The database knows nothing of how the rows are spread and would now and
then read the whole record along another index, so whatever a branch does not enter its index by
is written as an expression, which no index is of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    type_coerce,
    union_all,
)

from bascule.interfaces.activity import ActivityFilter, Moment
from bascule.store import tables as t
from bascule.store.columns import Instant, from_microseconds
from bascule.store.spelling import each_of

_EVENTS = t.events.c
_BEGINNING = from_microseconds(0)
GROUP_DEPTH = 5  # parts of a resource group's key between slashes
JUDGED = (_EVENTS.kind, _EVENTS.principal_id, _EVENTS.resource_key)


@dataclass(frozen=True, slots=True)
class Branch:
    """A part of what is wanted, in an order that its index has or not."""

    conditions: tuple[ColumnElement[bool], ...]
    is_ordered: bool = True  # along the index it comes by time


def off_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same value, by which no index is entered."""
    if isinstance(column.type, Instant):
        return type_coerce(type_coerce(column, BigInteger) + 0, Instant)
    return column.concat("")


def by_number(wanted: ActivityFilter, sequence: int) -> Select[Any]:
    """What was written after that number, and is read by it, whatever else is asked."""
    conditions = [_EVENTS.sequence > sequence, *_span(wanted, off_index(_EVENTS.at))]
    places = places_of(wanted)
    if places is not None:
        here = below_any(places, off_index(_EVENTS.resource_key))
        if not all(map(is_wide, places)):  # as in branches
            here = or_(here, _EVENTS.sequence.in_(_refused_at(wanted, places)))
        conditions.append(here)
    return select(_EVENTS.sequence).where(*conditions, *rest_of(wanted, _EVENTS))


def branches(
    wanted: ActivityFilter, places: Sequence[str] | None, *, is_by_kind: bool = True
) -> Iterator[Branch]:
    """Parts that have no event in common and are all that is wanted."""
    rest = rest_of(wanted, _EVENTS)
    span = whole_span(wanted)
    are_wide = places is not None and all(map(is_wide, places))
    if wanted.principal_ids and (places is None or are_wide):
        inside = () if places is None else (below_any(places, off_index(_EVENTS.resource_key)),)
        for principal_id in dict.fromkeys(wanted.principal_ids):
            condition = _EVENTS.principal_id == principal_id
            yield Branch((condition, *span, *inside, *rest))
    elif places is not None:
        span = _span(wanted, off_index(_EVENTS.at))
        for condition in _at_or_below(places):
            yield Branch((condition, *span, *rest), is_ordered=False)
        if not are_wide:
            elsewhere = not_(_lies_in(places, off_index(_EVENTS.resource_key)))
            refused = _EVENTS.sequence.in_(_refused_at(wanted, places))
            yield Branch((refused, elsewhere, *span, *rest), is_ordered=False)
    elif wanted.sorts and is_by_kind:
        for sort in dict.fromkeys(wanted.sorts):
            yield Branch((_EVENTS.kind == sort, *span))
    else:
        yield Branch((*span, *rest))


def whole_span(wanted: ActivityFilter) -> tuple[ColumnElement[bool], ...]:
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


def rest_of(wanted: ActivityFilter, columns: Any) -> tuple[ColumnElement[bool], ...]:  # noqa: ANN401  # reason: a table's or a subquery's
    conditions: list[ColumnElement[bool]] = []
    if wanted.sorts:
        conditions.append(off_index(columns.kind).in_(wanted.sorts))
    if wanted.principal_ids:
        conditions.append(off_index(columns.principal_id).in_(wanted.principal_ids))
    return tuple(conditions)


def after_moment(
    after: Moment | None, time: ColumnElement[Any] = _EVENTS.at
) -> tuple[ColumnElement[bool], ...]:
    if after is None:
        return ()
    at, sequence = after
    return (
        time <= at,  # which an index can be entered by
        or_(off_index(_EVENTS.at) < at, _EVENTS.sequence < sequence),
    )


def places_of(wanted: ActivityFilter) -> list[str] | None:
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


def below_any(places: Iterable[str], column: Any) -> ColumnElement[bool]:  # noqa: ANN401  # reason: a table's or a subquery's
    """At or below one of them; each a range that an index can be entered at."""
    some = list(places)
    return or_(column.in_(some), *(and_(column > f"{key}/", column < f"{key}0") for key in some))


def _at_or_below(places: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """At one of them, and below one: the index of places is entered once for each, however many
    they are. They are one value of the statement; as alternatives they would be thousands.
    """
    if not places:
        return
    place = each_of(places, "places")
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
    place = each_of(places)
    key = t.event_places.c.resource_key
    return union_all(
        select(t.event_places).where(key == place),
        select(t.event_places).where(key > place.concat("/"), key < place.concat("0")),
    ).subquery()


def _lies_in(places: Sequence[str], column: ColumnElement[str]) -> ColumnElement[bool]:
    """Judged row by row: for a few rows and however many places."""
    place = each_of(places)
    below = and_(column > place.concat("/"), column < place.concat("0"))
    return select(place).where(or_(column == place, below)).exists()


def is_wide(place: str) -> bool:
    """Is it a resource group or above?"""
    return len(place.split("/")) <= GROUP_DEPTH
