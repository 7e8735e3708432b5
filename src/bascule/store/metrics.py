"""Counts for metrics. Each is one statement over whole tables of narrow rows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Column, Select, exists, func, select

from bascule.domain.classify import Trait
from bascule.domain.lifecycle import GrantState
from bascule.interfaces.metrics import Behind
from bascule.store import tables as t
from bascule.store.rows import Rows
from bascule.store.tables.listing import listed_machines

_WANTED = t.machine_generations.c
_MACHINES = select(func.count().label("many")).select_from(t.machines)
_GUARDED = (
    select(listed_machines.c.is_silent, func.count().label("many"))
    .where(listed_machines.c.traits.op("&")(Trait.POINT) != 0)
    .group_by(listed_machines.c.is_silent)
)
_GRANTS = (
    select(t.grants.c.state, func.count().label("many"))
    .where(t.IS_UNSETTLED)
    .group_by(t.grants.c.state)
)


def _behind(reached: Column[int]) -> Select[int, int]:
    """One that has reported nothing is at -1."""
    behind = _WANTED.generation - reached
    return select(func.count().label("many"), func.max(behind).label("most")).where(
        reached < _WANTED.generation
    )


# A machine's own agent has a row of binding only where something else guards the machine too.
_OWN = (
    _behind(t.agents.c.observed_generation)
    .join_from(t.agents, t.machine_generations, _WANTED.machine_uid == t.agents.c.machine_uid)
    .where(~exists().where(t.bindings.c.machine_uid == t.agents.c.machine_uid))
)
_BOUND = _behind(t.bindings.c.generation).join_from(
    t.bindings, t.machine_generations, _WANTED.machine_uid == t.bindings.c.machine_uid
)


class MetricReads(Rows):
    __slots__ = ()

    def count_all_machines(self) -> int:
        return int(self._all(_MACHINES)[0].many)

    def count_guarded(self) -> Mapping[bool, int]:
        return {bool(row.is_silent): row.many for row in self._all(_GUARDED)}

    def count_unsettled(self) -> Mapping[GrantState, int]:
        return {GrantState(row.state): row.many for row in self._all(_GRANTS)}

    def count_behind(self) -> Behind:
        rows = [*self._all(_OWN), *self._all(_BOUND)]
        return Behind(sum(row.many for row in rows), max(row.most or 0 for row in rows))
