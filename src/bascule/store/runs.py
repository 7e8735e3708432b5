"""Rows of runs of ``bascule ssh --close``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, or_, select, update

from bascule.domain.runs import BOUND, Run
from bascule.store.rows import Rows, slices
from bascule.store.tables.runs import runs as table

_IS_THIS = (table.c.request_id == bindparam("request"), table.c.id == bindparam("run"))
_OF = select(table).where(table.c.request_id == bindparam("request")).order_by(table.c.id)
_WITH_RUNS = (
    select(table.c.request_id)
    .where(table.c.request_id.in_(bindparam("wanted", expanding=True)))
    .distinct()
)
_ENDS = table.c.until.type
_DUE = (
    select(table)
    .where(
        or_(
            table.c.until <= bindparam("now", type_=_ENDS),
            table.c.until > bindparam("beyond", type_=_ENDS),
        )
    )
    .order_by(table.c.until, table.c.request_id, table.c.id)
)
_HEAR = (
    update(table)
    .where(*_IS_THIS, table.c.until < bindparam("heard", type_=_ENDS))
    .values(until=bindparam("heard", type_=_ENDS))
)
_BEGIN = (
    update(table)
    .where(table.c.request_id == bindparam("request"), table.c.until.is_(None))
    .values(until=bindparam("heard", type_=_ENDS))
)


class RunReads(Rows):
    __slots__ = ()

    def run(self, request_id: str, run_id: str) -> Run | None:
        row = self._first(select(table).where(*_IS_THIS), {"request": request_id, "run": run_id})
        return None if row is None else _run_of(row)

    def runs_of(self, request_id: str) -> Sequence[Run]:
        return [_run_of(row) for row in self._all(_OF, {"request": request_id})]

    def requests_with_runs(self, request_ids: Collection[str]) -> frozenset[str]:
        return frozenset(
            row.request_id
            for some in slices(sorted(request_ids))
            for row in self._all(_WITH_RUNS, {"wanted": some})
        )

    def due_runs(self, now: datetime, limit: int) -> Sequence[Run]:
        wanted = {"now": now, "beyond": now + 2 * BOUND}
        return [_run_of(row) for row in self._all(_DUE.limit(limit), wanted)]

    def next_run_end(self, now: datetime) -> datetime | None:
        ends = select(func.min(table.c.until).label("first"), func.max(table.c.until).label("last"))
        row = self._first(ends)
        if row is None or row.first is None:
            return None
        first, last = row.first, row.last
        return now if last > now + 2 * BOUND else first


class RunWrites(RunReads):
    __slots__ = ()

    def put_run(self, run: Run) -> None:
        key = {"request_id": run.request_id, "id": run.id}
        self._put(table, key, {"principal_id": run.principal_id, "until": run.until})

    def hear_runs(self, runs: Collection[Run]) -> None:
        for run in sorted(runs, key=lambda each: (each.request_id, each.id)):
            self._run(_HEAR, {"request": run.request_id, "run": run.id, "heard": run.until})

    def begin_runs(self, request_id: str, until: datetime) -> None:
        self._run(_BEGIN, {"request": request_id, "heard": until})

    def remove_run(self, request_id: str, run_id: str) -> bool:
        gone = self._run(delete(table).where(*_IS_THIS), {"request": request_id, "run": run_id})
        return gone == 1

    def remove_runs(self, request_id: str) -> None:
        self._run(delete(table).where(table.c.request_id == request_id))


def _run_of(row: Row[Any]) -> Run:
    return Run(row.request_id, row.id, row.principal_id, row.until)
