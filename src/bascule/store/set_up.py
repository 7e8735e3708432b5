"""The row of the set-up link."""

from __future__ import annotations

from sqlalchemy import delete, select

from bascule.domain.set_up import SetUpLink
from bascule.store.rows import Rows
from bascule.store.tables.set_up import set_up_link as table


class SetUpReads(Rows):
    __slots__ = ()

    def set_up_link(self, link_hash: str) -> SetUpLink | None:
        row = self._first(select(table).where(table.c.hash == link_hash))
        return None if row is None else SetUpLink(row.hash, row.made_at)


class SetUpWrites(SetUpReads):
    __slots__ = ()

    def put_set_up_link(self, link: SetUpLink) -> None:
        self._put(table, {"id": 1}, {"hash": link.hash, "made_at": link.made_at})

    def take_set_up_link(self, link_hash: str) -> bool:
        return self._run(delete(table).where(table.c.hash == link_hash)) == 1
