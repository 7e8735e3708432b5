"""Rows that bound retention: the clock's mark, and events held for sinks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, select

from bascule.domain.retention import ClockMark
from bascule.interfaces.retention import Untaken
from bascule.store import tables as t
from bascule.store.rows import Rows
from bascule.store.tables.delivery import sink_progress, sinks
from bascule.store.tables.retention import record_clock, record_holds

_SEALS, _HOLDS = t.event_seals.c, record_holds.c
_SEALED = t.event_seals.join(t.events, t.events.c.sequence == _SEALS.sequence)


class RetentionReads(Rows):
    __slots__ = ()

    def clock_mark(self) -> ClockMark | None:
        row = self._first(select(record_clock))
        if row is None:
            return None
        return ClockMark(row.at, row.boottime, row.stepped, row.has_leapt, row.boot)

    def first_untaken(self, since: datetime) -> Untaken | None:
        found = [*self._untaken_by_sinks(since), *self._held(since)]
        return min(found, key=lambda each: each.position, default=None)

    def _untaken_by_sinks(self, since: datetime) -> list[Untaken]:
        of_sinks = sinks.join(sink_progress, sink_progress.c.sink_id == sinks.c.id)
        first = (
            select(func.min(_SEALS.position))
            .select_from(_SEALED)
            .where(
                _SEALS.position > sink_progress.c.position,
                t.events.c.at >= since,
                t.events.c.at >= sinks.c.created_at,
            )
            .correlate(sinks, sink_progress)
            .scalar_subquery()
        )
        rows = self._all(select(sinks.c.name, first.label("position")).select_from(of_sinks))
        return [Untaken(row.position, row.name) for row in rows if row.position is not None]

    def _held(self, since: datetime) -> list[Untaken]:
        held = _SEALS.position.between(_HOLDS.first, _HOLDS.last)
        row = self._first(
            select(func.min(_SEALS.position).label("position"))
            .select_from(_SEALED.join(record_holds, held))
            .where(t.events.c.at >= since)
        )
        return [Untaken(row.position, "")] if row is not None and row.position is not None else []


class RetentionWrites(RetentionReads):
    __slots__ = ()

    def put_clock_mark(self, mark: ClockMark) -> None:
        self._put(
            record_clock,
            {"id": 1},
            {
                "at": mark.at,
                "boottime": mark.boottime,
                "stepped": mark.stepped,
                "has_leapt": mark.has_leapt,
                "boot": mark.boot,
            },
        )

    def hold(self, positions: Collection[int]) -> None:
        first, last = min(positions), max(positions)
        near = (_HOLDS.first <= last + 1, _HOLDS.last >= first - 1)
        for row in self._all(select(record_holds).where(*near)):
            first, last = min(first, row.first), max(last, row.last)
        self._run(delete(record_holds).where(*near))
        self._run(record_holds.insert(), {"first": first, "last": last})

    def forget_holds(self, through: int) -> None:
        self._run(delete(record_holds).where(_HOLDS.last <= through))
