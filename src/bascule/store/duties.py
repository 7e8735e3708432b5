"""Rows of duties."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from bascule.interfaces.duties import Held
from bascule.store.rows import Rows
from bascule.store.tables.duties import duties

_ONE = select(duties).where(duties.c.name == bindparam("wanted"))


class DutyReads(Rows):
    __slots__ = ()

    def duty(self, name: str) -> Held | None:
        row = self._first(_ONE, {"wanted": name})
        return None if row is None else Held(row.holder, row.epoch, row.until)


class DutyWrites(DutyReads):
    __slots__ = ()

    def put_duty(self, name: str, held: Held) -> None:
        values = {"holder": held.holder, "epoch": held.epoch, "until": held.until}
        self._put(duties, {"name": name}, values)
