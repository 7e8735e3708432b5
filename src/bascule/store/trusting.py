"""Rows of what agents trust."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from bascule.store.rows import Rows
from bascule.store.tables.trusting import trusting as table


class TrustingReads(Rows):
    __slots__ = ()

    def trusting(self) -> Mapping[tuple[str, str], int]:
        return {(row.point_uid, row.public_key): row.number for row in self._all(select(table))}

    def trusting_of(self, point_uid: str) -> tuple[str, int] | None:
        row = self._first(select(table).where(table.c.point_uid == point_uid))
        return None if row is None else (row.public_key, row.number)


class TrustingWrites(TrustingReads):
    __slots__ = ()

    def put_trusting(self, point_uid: str, public_key: str, number: int) -> None:
        self._run(delete(table).where(table.c.point_uid == point_uid))
        self._run(
            insert(table), {"point_uid": point_uid, "public_key": public_key, "number": number}
        )
