"""Machines as lists show them: rows of ``listed_machines``, filtered and ordered.

``_is_in`` says in SQL what ``domain.machine_access.access_state`` says in Python; the store's
contract compares both. How the rows come to be is in ``store.listed``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.types import TypeEngine

from bascule.domain.machine import Machine
from bascule.domain.machine_access import AccessState
from bascule.interfaces.listing import ListedMachine, ListFilter, ListOrder, Place
from bascule.store import tables as t
from bascule.store.inventory import machine_of_row
from bascule.store.listed import NEVER, PLAN, POINT
from bascule.store.rows import Rows, slices
from bascule.store.tables.listing import listed_machines as listed
from bascule.store.tables.listing import recent_window
from bascule.store.within import clauses_within

_ORDERS: dict[ListOrder, Column[Any]] = {
    ListOrder.NAME: listed.c.name_key,
    ListOrder.LAST_ACCESS: listed.c.last_access_at,
    ListOrder.REQUESTS: listed.c.recent_requests,
    ListOrder.LAST_USER: listed.c.last_user_key,
}


def traits_code(groups_off: frozenset[str]) -> ColumnElement[int]:
    """``domain.classify.Traits.code`` of a row, the plan's bit with it."""
    if not groups_off:
        return listed.c.traits.op("|")(PLAN)
    is_on = listed.c.group_key.not_in(sorted(groups_off))
    return listed.c.traits.op("|")(case((is_on, PLAN), else_=0))


def _has(bit: int) -> ColumnElement[bool]:
    return listed.c.traits.op("&")(bit) != 0


def _grants_in(*states: str) -> ColumnElement[bool]:
    """Has the machine a grant in one of these states? Few have: the index holds only those."""
    # Written out, as IS_UNSETTLED is.
    words: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in states]
    uids = select(t.grants.c.machine_uid).where(t.IS_UNSETTLED, t.grants.c.state.in_(words))
    return listed.c.machine_uid.in_(uids)


def _is_in(state: AccessState) -> ColumnElement[bool]:
    """``domain.machine_access.access_state`` in SQL; the store's contract compares both."""
    heard = and_(_has(POINT), listed.c.is_silent.is_(False))
    unheard = and_(_has(POINT), listed.c.is_silent.is_(True))
    quiet = and_(heard, not_(_grants_in("opening", "open", "closing")))
    settled = and_(quiet, listed.c.is_behind.is_(False))
    no_point = not_(_has(POINT))
    return {
        AccessState.OPEN: and_(heard, _grants_in("open")),
        AccessState.OPENING: and_(heard, _grants_in("opening"), not_(_grants_in("open"))),
        AccessState.CLOSING: and_(
            heard, _grants_in("closing"), not_(_grants_in("opening", "open"))
        ),
        AccessState.NOT_CONFIRMED: and_(unheard, _grants_in("open", "closing")),
        AccessState.OFFLINE: and_(unheard, not_(_grants_in("open", "closing"))),
        AccessState.APPLYING: and_(quiet, listed.c.is_behind.is_(True)),
        AccessState.CLOSED: and_(settled, listed.c.is_shut.is_(True)),
        AccessState.NOTHING_SHUT: or_(no_point, and_(settled, listed.c.is_shut.is_(False))),
    }[state]


def _conditions(wanted: ListFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.traits is not None:
        found.append(traits_code(wanted.groups_off).in_(sorted(wanted.traits)))
    if wanted.name_part:
        part = wanted.name_part.casefold()
        found.append(listed.c.name_key.contains(part, autoescape=True))
    if wanted.resource_group:
        found.append(listed.c.group_key == wanted.resource_group.casefold())
    if wanted.os_type is not None:
        found.append(listed.c.os_type == wanted.os_type)
    if wanted.state is not None:
        found.append(_is_in(wanted.state))
    return found


class ListingReads(Rows):
    __slots__ = ()

    def listed_machines(
        self, wanted: ListFilter, after: Place | None = None, limit: int = 1000
    ) -> Sequence[ListedMachine]:
        column = type_coerce(_ORDERS[wanted.order], _plain_type(wanted.order))
        place = column.label("place")
        order = [column, listed.c.id_key]
        statement: Select[Any] = select(listed, place).where(*_conditions(wanted))
        if after is not None:
            here, there = tuple_(*order), (after.value, after.key)
            statement = statement.where(here < there if wanted.is_descending else here > there)
        if wanted.is_descending:
            order = [each.desc() for each in order]
        statement = statement.order_by(*order).limit(limit)
        rows = [
            row
            for clause in _within(wanted)
            for row in self._all(statement.where(clause) if clause is not None else statement)
        ]
        rows.sort(key=lambda row: (row.place, row.id_key), reverse=wanted.is_descending)
        return self._listed(rows[:limit])

    def listed_by_uid(self, machine_uids: Sequence[str]) -> Sequence[ListedMachine]:
        place = listed.c.name_key.label("place")
        rows = [
            row
            for some in slices(machine_uids)
            for row in self._all(select(listed, place).where(listed.c.machine_uid.in_(some)))
        ]
        places = {uid: number for number, uid in enumerate(machine_uids)}
        return self._listed(sorted(rows, key=lambda row: places[row.machine_uid]))

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


def _plain_type(order: ListOrder) -> TypeEngine[Any]:
    """An instant is compared as the number that it is stored as."""
    return BigInteger() if order is ListOrder.LAST_ACCESS else _ORDERS[order].type


def _within(wanted: ListFilter) -> Iterable[ColumnElement[bool] | None]:
    if wanted.within is None:
        return (None,)
    return clauses_within(wanted.within, listed.c.id_key)


def _of_row(row: Row[Any], machine: Machine) -> ListedMachine:
    return ListedMachine(
        machine=machine,
        traits=row.traits,
        is_shut=row.is_shut,
        is_behind=row.is_behind,
        recent_requests=row.recent_requests,
        last_access_at=None if row.last_access_at == NEVER else row.last_access_at,
        last_user_id=row.last_user_id,
        last_user=row.last_user,
        place=Place(row.place, row.id_key),
    )


class ListingWrites(ListingReads):
    __slots__ = ()

    def note_access(self, machine_uid: str, at: datetime, user_id: str, user: str) -> None:
        here = update(listed).where(listed.c.machine_uid == machine_uid)
        self._run(
            here.values(
                last_access_at=at,
                last_user_id=user_id,
                last_user=user,
                last_user_key=user.casefold(),
            )
        )

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
