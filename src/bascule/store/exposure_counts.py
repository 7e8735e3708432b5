"""Counts of the history behind exposure, and the scopes that they are counted in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Select,
    and_,
    exists,
    func,
    literal,
    not_,
    select,
    true,
)

from bascule.domain.classify import Trait
from bascule.domain.exposure import END_BELIEVED_AFTER, HourStep, SpanKind
from bascule.domain.roles import Reach
from bascule.store import tables as t
from bascule.store.rows import Rows, slices
from bascule.store.tables.exposure import (
    IS_CURRENT,
    IS_NOT_CLOSED,
    NUMBER_NOW,
    spans,
    steps,
)
from bascule.store.tables.listing import IS_SILENT, listed_machines
from bascule.store.within import clauses_within

_OF_GROUP = 4  # slashes of a resource group's key


class ExposureCounts(Rows):
    __slots__ = ()

    def count_let_in(self, within: Reach | None, now: datetime) -> tuple[int, int]:
        counted = select(
            func.count().label("openings"),
            func.count(spans.c.machine_key.distinct()).label("machines"),
        ).where(IS_NOT_CLOSED, not_(_is_believed_over(now)))
        rows = self._each_within(counted, within, spans.c.machine_key)
        return sum(row.openings for row in rows), sum(row.machines for row in rows)

    def count_points(self, within: Reach | None) -> tuple[int, int]:
        number = select(func.count().label("number"))
        silent = number.select_from(listed_machines).where(IS_SILENT)
        if within is None:
            points = sum(row.number for row in self._all(number.select_from(t.agents)))
        else:
            has_point = listed_machines.c.traits.op("&")(Trait.POINT) != 0
            having = number.select_from(listed_machines).where(has_point)
            points = sum(
                row.number
                for clause in _listed_clauses(within)
                for row in self._all(having.where(clause))
            )
        # Those that were never heard of are silent there too.
        rows = self._each_within(silent, within, listed_machines.c.id_key)
        return points, sum(row.number for row in rows)

    def _each_within(
        self, counted: Select[*tuple[Any, ...]], within: Reach | None, key: Column[str]
    ) -> list[Row[Any]]:
        """One row of sums for each scope, of which none overlaps another."""
        clauses = ranges_within(within, key)
        return [row for clause, _ in clauses for row in self._all(counted.where(clause))]

    def exposure_counts(self, scope_keys: Collection[str]) -> Mapping[SpanKind, int]:
        now = select(steps.c.kind, steps.c.change.label("number")).where(
            steps.c.kind.in_(tuple(SpanKind)), steps.c.hour == NUMBER_NOW
        )
        return self._by_kind(now, steps.c.scope_key, scope_keys)

    def count_current(self, machine_keys: Collection[str]) -> Mapping[SpanKind, int]:
        number = func.count().label("number")
        current = select(spans.c.kind, number).where(IS_CURRENT).group_by(spans.c.kind)
        known = select(literal(str(SpanKind.KNOWN)).label("kind"), number).select_from(t.machines)
        return {
            **self._by_kind(current, spans.c.machine_key, machine_keys),
            **self._by_kind(known, t.machines.c.id_key, machine_keys),
        }

    def exposure_changes(
        self, scope_keys: Collection[str], since: datetime
    ) -> Mapping[SpanKind, int]:
        total = func.sum(steps.c.change).label("number")
        found: dict[SpanKind, int] = {}
        for kind in SpanKind:  # each is a stretch of the primary key
            later = select(steps.c.kind, total).where(steps.c.hour >= since, steps.c.kind == kind)
            found |= self._by_kind(later.group_by(steps.c.kind), steps.c.scope_key, scope_keys)
        return found

    def _by_kind(
        self, counted: Select[*tuple[Any, ...]], key: Column[str], keys: Collection[str]
    ) -> dict[SpanKind, int]:
        found: Counter[SpanKind] = Counter()
        for some in slices(sorted(keys)):
            for row in self._all(counted.where(key.in_(some))):
                found[SpanKind(row.kind)] += int(row.number)  # a sum is a Decimal on PostgreSQL
        return dict(found)

    def exposure_steps(
        self, scope_keys: Collection[str], since: datetime, until: datetime
    ) -> Mapping[SpanKind, Sequence[HourStep]]:
        added = (func.sum(steps.c.change).label("change"), func.sum(steps.c.moment).label("moment"))
        found: dict[SpanKind, list[HourStep]] = {}
        for kind in (SpanKind.CLOSED, SpanKind.OPEN):  # each is a stretch of the primary key
            here = select(steps.c.hour, *added).where(
                steps.c.kind == kind, steps.c.hour >= since, steps.c.hour < until
            )
            found[kind] = [
                HourStep(row.hour, int(row.change), row.moment)
                for some in slices(sorted(scope_keys))
                for row in self._all(here.where(steps.c.scope_key.in_(some)).group_by(steps.c.hour))
            ]
        return found


def _is_believed_over(now: datetime) -> ColumnElement[bool]:
    """Of an opening: *ended, not confirmed* (EDGES E9)."""
    is_heard = exists().where(
        listed_machines.c.machine_uid == spans.c.machine_uid,
        listed_machines.c.traits.op("&")(Trait.POINT) != 0,
        listed_machines.c.is_silent.is_(False),
    )
    return and_(
        spans.c.ends_by.is_not(None),
        spans.c.ends_by <= now - END_BELIEVED_AFTER,
        not_(is_heard),
    )


def ranges_within(
    within: Reach | None, key: Column[str]
) -> Iterator[tuple[ColumnElement[bool], bool]]:
    """Conditions on keys of machines, and whether each is of a scope that machines lie below.

    Such a scope is a range and no more, since no machine has its key: a condition that allowed
    for one would lead to no index.
    """
    keys = frozenset(("",)) if within is None else within.keys
    wide = sorted(each for each in keys if each.count("/") <= _OF_GROUP)
    for each in wide:
        yield (and_(key > f"{each}/", key < f"{each}0") if each else true()), True
    for clause in clauses_within(Reach(keys.difference(wide)), key):
        yield clause, False


def _listed_clauses(within: Reach) -> Iterator[ColumnElement[bool]]:
    """Scopes as the narrow table of lists knows them: a group is looked up by its name."""
    key = listed_machines.c.id_key
    groups = [each for each in within.keys if each.count("/") == _OF_GROUP]
    if groups:
        yield listed_machines.c.group_key.in_([each.rpartition("/")[2] for each in groups])
    for clause, _ in ranges_within(Reach(within.keys.difference(groups)), key):
        yield clause
