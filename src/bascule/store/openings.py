"""Grants that are open now, by person or by machine.

They are few beside all that ever were, and an index holds only those; ordering them needs
none of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, func, not_, or_, select, tuple_

from bascule.domain.classify import Trait
from bascule.domain.exposure import END_BELIEVED_AFTER
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.interfaces.openings import OpenFilter, OpenOrder, OpenPlace
from bascule.store import tables as t
from bascule.store.grants import GrantRows
from bascule.store.rows import slices
from bascule.store.tables.listing import listed_machines as listed
from bascule.store.within import clauses_within

_ORDERS: Mapping[OpenOrder, tuple[Column[Any], Column[Any]]] = {
    OpenOrder.PERSON: (t.grants.c.requestor, t.grants.c.requestor_id),
    OpenOrder.MACHINE: (listed.c.id_key, t.grants.c.machine_uid),
}
_AT_MACHINES = t.grants.join(listed, listed.c.machine_uid == t.grants.c.machine_uid)


class OpeningReads(GrantRows):
    __slots__ = ()

    def open_grants(
        self, wanted: OpenFilter, after: OpenPlace | None = None, limit: int = 1000
    ) -> Sequence[tuple[OpenPlace, Grant]]:
        name, of = _ORDERS[wanted.order]
        order = (name, of, t.grants.c.ends_at, t.grants.c.sequence)
        # Whole rows of some only: sorting all of them with all their columns costs double.
        places = select(name.label("name"), of.label("whose"), *order[2:]).select_from(_AT_MACHINES)
        found = _meant(places, wanted)
        if after is not None:
            place = (after.name, after.of, after.ends_at, after.sequence)
            here = tuple_(*order)
            found = found.where(here < place if wanted.is_descending else here > place)
        directed = [each.desc() for each in order] if wanted.is_descending else order
        rows = self._all(found.order_by(*directed).limit(limit))
        places_of = {
            row.sequence: OpenPlace(row.name, row.whose, row.ends_at, row.sequence) for row in rows
        }
        grants = dict(self._whole_rows(list(places_of)))
        page = [(place, grants[each]) for each, place in places_of.items() if each in grants]
        if len(rows) < limit or len(page) == limit:
            return page
        # Some cannot be read: a page that ended early would be taken for the last.
        last = places_of[rows[-1].sequence]
        return [*page, *self.open_grants(wanted, last, limit - len(page))]

    def _whole_rows(self, sequences: Sequence[int]) -> Iterable[tuple[int, Grant]]:
        for some in slices(sequences):
            yield from self._grants(select(t.grants).where(t.grants.c.sequence.in_(some)))

    def open_counts(self, wanted: OpenFilter) -> Mapping[str, int]:
        _, of = _ORDERS[wanted.order]
        counted = select(of.label("whose"), func.count().label("many"))
        found = _meant(counted.select_from(_AT_MACHINES).group_by(of), wanted)
        return {str(row.whose): int(row.many) for row in self._all(found)}


def _is_believed_over(now: datetime) -> ColumnElement[bool]:
    """Of a grant at a listed machine: ended, at a point that is silent or is none (EDGES E9)."""
    is_heard = and_(listed.c.traits.op("&")(Trait.POINT) != 0, listed.c.is_silent.is_(False))
    return and_(
        t.is_in_state([GrantState.CLOSING]),
        t.grants.c.ends_at <= now - END_BELIEVED_AFTER,
        not_(is_heard),
    )


def _meant(found: Select[Any], wanted: OpenFilter) -> Select[Any]:
    found = found.where(t.IS_UNSETTLED)
    if wanted.now is not None:
        over = _is_believed_over(wanted.now)
        found = found.where(over if wanted.is_believed_over else not_(over))
    if wanted.within is not None:
        shown: list[ColumnElement[bool]] = [t.grants.c.requestor_id == wanted.own_id]
        shown += clauses_within(wanted.within, listed.c.id_key)
        found = found.where(or_(*shown))
    if wanted.requestor_id:
        found = found.where(t.grants.c.requestor_id == wanted.requestor_id)
    if wanted.apart_from_id:
        found = found.where(t.grants.c.requestor_id != wanted.apart_from_id)
    if wanted.machine_uid:
        found = found.where(t.grants.c.machine_uid == wanted.machine_uid)
    if wanted.text:
        part = wanted.text.casefold()
        found = found.where(
            or_(
                func.lower(t.grants.c.requestor).contains(part, autoescape=True),
                listed.c.name_key.contains(part, autoescape=True),
            )
        )
    return found
