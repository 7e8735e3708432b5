"""The activity log: events by their own time, found and counted by index alone.

A filter becomes branches, each read along one index (``activity_conditions``). A page is first
found as (time, number) pairs, then read.

Counts by day: kept ones for whole days (``tables.activity``), the rest one by one: the days
that a span cuts, and what is not sealed yet.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, func, select, type_coerce

from bascule.domain.event import Event
from bascule.interfaces.activity import ActivityFilter, Counts, Moment
from bascule.store import tables as t
from bascule.store.activity_conditions import (
    GROUP_DEPTH,
    JUDGED,
    Branch,
    after_moment,
    below_any,
    branches,
    by_number,
    is_wide,
    off_index,
    places_of,
    rest_of,
    whole_span,
)
from bascule.store.columns import from_microseconds, to_microseconds
from bascule.store.record import RAW, events_in
from bascule.store.rows import Rows, slices
from bascule.store.tables.activity import event_counts as kept
from bascule.store.upsert import insert_or_add

_EVENTS = t.events.c
_NEAR = 2000  # newest events looked through before an index of places is read whole
_HOUR = 3_600_000_000  # microseconds
_DAY = 24 * _HOUR
_ONE_DAY = timedelta(days=1)
_LAST_SEALED = select(func.max(t.event_seals.c.sequence).label("sequence"))
_ADD = insert_or_add(kept, "events")
_OF_SEQUENCES = select(_EVENTS.at, _EVENTS.kind, _EVENTS.principal_id, _EVENTS.resource_key)


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
        places = places_of(wanted)
        found = None if places is None else self._near(wanted, places, after, limit)
        if found is not None:
            return found
        return heapq.nlargest(
            limit,
            (
                moment
                for branch in branches(wanted, places)
                for moment in self._moments(branch, after, limit)
            ),
        )

    def _events(self, sequences: Sequence[int]) -> list[tuple[int, Event]]:
        wanted = select(_EVENTS.sequence, RAW).where(_EVENTS.sequence.in_(sequences))
        return events_in(self._all(wanted))

    def activity_since(self, wanted: ActivityFilter, sequence: int, limit: int) -> int:
        found = by_number(wanted, sequence).with_only_columns(_EVENTS.sequence).limit(limit)
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
        if not places or not all(map(is_wide, places)):
            return None
        near = (
            select(_EVENTS.at, _EVENTS.sequence, *JUDGED)
            .where(*whole_span(wanted), *after_moment(after))
            .order_by(_EVENTS.at.desc(), _EVENTS.sequence.desc())
            .limit(_NEAR)
            .subquery()
        )
        rows = self._all(
            select(near.c.at, near.c.sequence)
            .where(*rest_of(wanted, near.c), below_any(places, near.c.resource_key))
            .order_by(near.c.at.desc(), near.c.sequence.desc())
            .limit(limit)
        )
        if len(rows) < limit:
            return None
        return [(to_microseconds(row.at), row.sequence) for row in rows]

    def _moments(
        self, branch: Branch, after: Moment | None, limit: int
    ) -> Iterator[tuple[int, int]]:
        time = _EVENTS.at if branch.is_ordered else off_index(_EVENTS.at)
        found = (
            select(_EVENTS.at, _EVENTS.sequence)
            .where(*branch.conditions, *after_moment(after, time))
            .order_by(time.desc(), _EVENTS.sequence.desc())
            .limit(limit)
        )
        for row in self._all(found):
            yield to_microseconds(row.at), row.sequence

    def _counted(self, wanted: ActivityFilter, length: int) -> Counter[tuple[int, str]]:
        """One by one, by (day or hour since 1970, sort)."""
        counts: Counter[tuple[int, str]] = Counter()
        places = places_of(wanted)
        for branch in branches(wanted, places, is_by_kind=False):
            counts.update(self._grouped(select().where(*branch.conditions), length))
        return counts

    def _unsealed(self, wanted: ActivityFilter) -> Counter[tuple[int, str]]:
        last = self._first(_LAST_SEALED)
        sealed = 0 if last is None or last.sequence is None else last.sequence
        return self._grouped(by_number(wanted, sealed), _DAY)

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
        if len(parts) >= GROUP_DEPTH and parts[3] == "resourcegroups":
            yield "/".join(parts[:GROUP_DEPTH]), ""


def _kept_keys(wanted: ActivityFilter) -> list[tuple[str, str]] | None:
    """Under which (scope, principal) the kept counts are; None: there are none for this."""
    if "" in wanted.principal_ids:  # of nobody in particular: not kept
        return None
    places = places_of(wanted)
    if places is not None and not all(map(is_wide, places)):
        return None
    if places is None:
        return [("", each) for each in dict.fromkeys(wanted.principal_ids)] or [("", "")]
    return None if wanted.principal_ids else [(place, "") for place in places]


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
