"""How much an agent told lately: rows of the history of exposure, and events, counted up to a bound."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    ScalarSelect,
    bindparam,
    func,
    literal,
    select,
)

from bascule.interfaces.exposure import KnownMachine
from bascule.store import tables as t
from bascule.store.rows import Rows
from bascule.store.tables.exposure import IS_OF_MACHINES, IS_OPENING, spans


def _count_few(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many rows there are, not counted beyond ``most``."""
    few = select(literal(1).label("one")).where(*conditions).limit(bindparam("most")).subquery()
    return select(func.count()).select_from(few).scalar_subquery()


_SINCE: BindParameter[datetime] = bindparam("since", type_=spans.c.began_at.type)
_TOLD_ON_RECORD = (
    t.events.c.resource_key == bindparam("key"),
    t.events.c.at >= _SINCE,
    t.events.c.kind.in_(bindparam("kinds", expanding=True)),
)
_TOLD = select(
    (
        _count_few(
            IS_OF_MACHINES, spans.c.machine_key == bindparam("key"), spans.c.began_at >= _SINCE
        )
        + _count_few(
            IS_OPENING,
            spans.c.machine_uid == bindparam("uid"),
            spans.c.began_at >= _SINCE,
            spans.c.request_id == "",
        )
        + _count_few(*_TOLD_ON_RECORD)
    ).label("many")
)
_TOLD_BY = select(
    _count_few(*_TOLD_ON_RECORD, t.events.c.principal_id == bindparam("teller")).label("many")
)


class ToldReads(Rows):
    __slots__ = ()

    def count_told(
        self,
        machine: KnownMachine,
        since: datetime,
        most: int,
        kinds: Collection[str] = (),
        teller: str | None = None,
    ) -> int:
        wanted = {
            "key": machine.id.key,
            "uid": machine.uid,
            "since": since,
            "kinds": sorted(kinds),
            "most": most,
        }
        if teller is None:
            (row,) = self._all(_TOLD, wanted)
        else:
            (row,) = self._all(_TOLD_BY, {**wanted, "teller": teller})
        return min(most, int(row.many))
