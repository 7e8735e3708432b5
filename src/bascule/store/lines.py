"""Rows of the points' connections. In the turn of a transaction, numbers are given in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, select, update

from bascule.interfaces.lines import ClaimedLine
from bascule.store.rows import Rows
from bascule.store.tables.lines import point_lines as table

_C = table.c
_NUMBER = select(_C.number).where(_C.point_uid == bindparam("wanted"))
_AFTER = (
    select(_C.number, _C.point_uid)
    .where(_C.number > bindparam("after"))
    .order_by(_C.number)
    .limit(bindparam("most"))
)
_LAST = select(func.max(_C.number).label("last"))
_PASS_OVER = (
    update(table).where(_C.point_uid == bindparam("wanted")).values(number=bindparam("next"))
)


class LineReads(Rows):
    __slots__ = ()

    def line_number(self, point_uid: str) -> int:
        row = self._first(_NUMBER, {"wanted": point_uid})
        return 0 if row is None else int(row.number)

    def lines_after(self, number: int, limit: int) -> Sequence[ClaimedLine]:
        rows = self._all(_AFTER, {"after": number, "most": limit})
        return [ClaimedLine(int(row.number), row.point_uid) for row in rows]


class LineWrites(LineReads):
    __slots__ = ()

    def claim_lines(self, point_uids: Sequence[str]) -> Mapping[str, int]:
        last = self._last_line()
        numbers = {uid: last + place for place, uid in enumerate(point_uids, 1)}
        for uid, number in numbers.items():
            self._put(table, {"point_uid": uid}, {"number": number})
        return numbers

    def pass_line_over(self, point_uid: str) -> None:
        if self.line_number(point_uid):
            self._run(_PASS_OVER, {"wanted": point_uid, "next": self._last_line() + 1})

    def _last_line(self) -> int:
        return int(self._all(_LAST)[0].last or 0)
