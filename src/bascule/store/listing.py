"""Machines as lists show them: rows of ``listed_machines``, filtered and ordered.

How the rows come to be is in ``store.listed``, what is left out in ``store.list_filters``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    func,
    select,
    tuple_,
    type_coerce,
    update,
)

from bascule.domain.machine import Machine
from bascule.interfaces.listing import KEPT, ListedMachine, ListFilter, ListKind, ListOrder, Place
from bascule.store import tables as t
from bascule.store.inventory import machine_of_row
from bascule.store.list_filters import ListScopes, conditions
from bascule.store.listed import NEVER, Listed
from bascule.store.rows import slices
from bascule.store.tables.listing import listed_machines as listed
from bascule.store.tables.listing import recent_window

_NEAR = 400  # rows that are walked in an order before the whole table is swept


class ListingReads(ListScopes):
    __slots__ = ()

    def listed_machines(
        self, wanted: ListFilter, after: Place | None = None, limit: int = 1000
    ) -> Sequence[ListedMachine]:
        if wanted.within is not None:
            rows = [
                row
                for clause in self._within_listed(wanted.within)
                for row in self._all(_sweep(wanted, after, limit).where(clause))
            ]
            rows.sort(key=lambda row: (row.place, row.id_key), reverse=wanted.is_descending)
            return self._listed(rows[:limit])
        found = self._all(_walk(wanted, after, limit))
        if len(found) < limit:  # what is wanted is rare, or not near
            found = self._all(_sweep(wanted, after, limit))
        return self._listed(found)

    def agent_versions(self) -> frozenset[str]:
        rows = self._all(select(t.agents.c.agent_version).distinct())
        return frozenset(row.agent_version for row in rows)

    def count_listed(self, wanted: ListFilter) -> int:
        counted = select(func.count().label("many")).select_from(listed).where(*conditions(wanted))
        each = (
            [counted]
            if wanted.within is None
            else [counted.where(clause) for clause in self._within_listed(wanted.within)]
        )
        return sum(int(row.many) for one in each for row in self._all(one))

    def _listed(self, rows: Sequence[Row[Any]]) -> list[ListedMachine]:
        uids = [row.machine_uid for row in rows]
        machines = {
            row.uid: machine_of_row(row)
            for some in slices(uids)
            for row in self._all(select(t.machines).where(t.machines.c.uid.in_(some)))
        }
        return [_of_row(row, machines[row.machine_uid]) for row in rows]

    def has_old_requests(self, before: datetime) -> bool:
        begins_at = self._window_begins()
        old = select(t.requests.c.id).where(
            t.requests.c.started_at >= begins_at, t.requests.c.started_at < before
        )
        return self._first(old.limit(1)) is not None

    def _window_begins(self) -> datetime:
        row = self._first(select(recent_window.c.begins_at))
        return NEVER if row is None else row.begins_at


def _walk(wanted: ListFilter, after: Place | None, limit: int) -> Select[Any]:
    """The next rows by the order's index, those that are wanted of them: enough where most are."""
    order: list[ColumnElement[Any]] = [_value(wanted.order), listed.c.id_key]
    near = select(listed, order[0].label("place"))
    if after is not None:
        near = near.where(_beyond(order, after, wanted))
    near = near.order_by(*_directed(order, wanted)).limit(max(_NEAR, limit))
    rows = near.subquery("near")
    return (
        select(rows)
        .where(*conditions(wanted, rows))
        .order_by(*_directed([rows.c.place, rows.c.id_key], wanted))
        .limit(limit)
    )


def _sweep(wanted: ListFilter, after: Place | None, limit: int) -> Select[Any]:
    """All rows once, in the order in which they are stored, the first of what is wanted kept.

    An order's index would lead through the whole table at random, which takes five times as
    long: so none is offered to the database here.
    """
    column = _value(wanted.order)
    bare: ColumnElement[Any] = column + 0 if wanted.order.is_number else column.concat("")
    order: list[ColumnElement[Any]] = [bare, listed.c.id_key.concat("")]
    rows = select(listed, column.label("place")).where(*conditions(wanted))
    if after is not None:
        rows = rows.where(_beyond(order, after, wanted))
    return rows.order_by(*_directed(order, wanted)).limit(limit)


def _beyond(
    order: Sequence[ColumnElement[Any]], after: Place, wanted: ListFilter
) -> ColumnElement[bool]:
    here, there = tuple_(*order), (after.value, after.key)
    return here < there if wanted.is_descending else here > there


def _directed(
    order: Sequence[ColumnElement[Any]], wanted: ListFilter
) -> Sequence[ColumnElement[Any]]:
    return [each.desc() for each in order] if wanted.is_descending else order


def _value(order: ListOrder) -> ColumnElement[Any]:
    """What rows are ordered by; an instant is compared as the number that it is stored as."""
    column = listed.c[order.ordered_by]
    return type_coerce(column, BigInteger() if order.kind is ListKind.INSTANT else column.type)


def _of_row(row: Row[Any], machine: Machine) -> ListedMachine:
    found = {each.kept: getattr(row, each.kept) for each in KEPT}
    kept: dict[str, Any] = {k: None if value == NEVER else value for k, value in found.items()}
    return ListedMachine(
        machine=machine,
        traits=row.traits,
        is_closed=row.is_closed,
        is_behind=row.is_behind,
        last_user_id=row.last_user_id,
        place=Place(row.place, row.id_key),
        **kept,
    )


class ListingWrites(ListingReads, Listed):
    __slots__ = ()

    def mark_silent(self, machine_uids: Collection[str]) -> None:
        for some in slices(sorted(machine_uids)):
            heard = (listed.c.machine_uid.in_(some), listed.c.is_silent.is_(False))
            self._run(update(listed).where(*heard).values(is_silent=True))

    def forget_requests(self, before: datetime, limit: int = 1000) -> bool:
        begins_at = self._window_begins()
        started_at = t.requests.c.started_at
        old = select(started_at).where(started_at >= begins_at, started_at < before)
        rows = self._all(old.order_by(started_at).limit(limit + 1))
        if not rows:
            return False
        has_more = len(rows) > limit
        # All that began at one instant go together, be they more than the limit.
        end = rows[-1].started_at + timedelta(microseconds=1) if has_more else before
        counted = (
            select(
                t.grants.c.machine_uid, func.count(t.grants.c.request_id.distinct()).label("number")
            )
            .join(t.requests, t.requests.c.id == t.grants.c.request_id)
            .where(started_at >= begins_at, started_at < end)
            .group_by(t.grants.c.machine_uid)
        )
        for row in self._all(counted):
            left = listed.c.recent_requests - row.number
            self._run(
                update(listed)
                .where(listed.c.machine_uid == row.machine_uid)
                .values(recent_requests=left)
            )
        if not self._run(update(recent_window).values(begins_at=end)):
            self._run(recent_window.insert(), {"id": 1, "begins_at": end})
        return has_more
