"""Rows of plans and of what points hold; machines by what their classification depends on.

``_CODE`` says in SQL what ``domain.classify.Traits.code`` says in Python, so that a hundred
thousand machines are counted and paged where they are; the store's contract compares both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, case, delete, exists, func, literal_column, select, true

from bascule.domain.classify import FLUSHED_BY, MANAGED_TAG, UNMANAGED
from bascule.domain.machine import ClosedPort, Machine, OnExpiry
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.pricing import PlanSetting, Tier
from bascule.domain.scopes import Scope
from bascule.domain.security_rules import HeldOpening
from bascule.domain.times import format_utc, parse_instant
from bascule.interfaces.plans import HeldRules, MachineFilter
from bascule.store import tables as t
from bascule.store.inventory import machine_of_row
from bascule.store.rows import Rows, prefixes, slices
from bascule.store.tables.plans import held_rules, plans
from bascule.store.within import clauses_within

_NAMED = exists().where(
    t.policy_machines.c.machine_key == t.machines.c.id_key,
    t.policy_ports.c.policy_key == t.policy_machines.c.policy_key,
    t.policy_ports.c.machine_position == t.policy_machines.c.position,
)
_TAG = func.coalesce(t.machines.c.tags[MANAGED_TAG].as_string(), "")
_FLUSHED = func.coalesce(t.agents.c.facts[FLUSHED_BY].as_string(), "") != ""
_WITH_AGENTS = t.machines.outerjoin(t.agents, t.agents.c.machine_uid == t.machines.c.uid)


def _code(groups_off: frozenset[str]) -> ColumnElement[int]:
    bits: list[tuple[ColumnElement[bool], int]] = [
        (_TAG != UNMANAGED, 16),
        (t.agents.c.machine_uid.is_not(None), 8),
        (_FLUSHED, 4),
        (t.machines.c.group_key.not_in(sorted(groups_off)), 2),
        (_NAMED, 1),
    ]
    first, *others = (case((is_so, bit), else_=0) for is_so, bit in bits)
    return sum(others, start=first)


def _conditions(wanted: MachineFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.resource_group is not None:
        found.append(t.machines.c.group_key == wanted.resource_group.casefold())
    if wanted.traits is not None:
        found.append(_code(wanted.groups_off).in_(sorted(wanted.traits)))
    return found


def _within(wanted: MachineFilter) -> Iterable[ColumnElement[bool]]:
    if wanted.within is None:
        return (true(),)
    return clauses_within(wanted.within, t.machines.c.id_key)


class PlanReads(Rows):
    __slots__ = ()

    def plan_setting(self, scope: Scope) -> PlanSetting | None:
        row = self._first(select(plans).where(plans.c.scope_key == scope.key))
        return None if row is None else _setting(row)

    def plan_settings(self) -> Sequence[PlanSetting]:
        return [_setting(row) for row in self._all(select(plans).order_by(plans.c.scope_key))]

    def held_rules(self, machine_uids: Sequence[str]) -> Mapping[str, HeldRules]:
        return {
            row.machine_uid: _held(row)
            for some in slices(machine_uids)
            for row in self._all(select(held_rules).where(held_rules.c.machine_uid.in_(some)))
        }

    def machines_where(
        self, wanted: MachineFilter, after: str = "", limit: int = 1000
    ) -> Sequence[Machine]:
        statement = (
            select(t.machines)
            .select_from(_WITH_AGENTS if wanted.traits is not None else t.machines)
            .where(t.machines.c.id_key > after.casefold(), *_conditions(wanted))
        )
        parts = [statement.where(clause) for clause in _within(wanted)]
        return [machine_of_row(row) for row in self._first_of(parts, t.machines.c.id_key, limit)]

    def count_machines(self, wanted: MachineFilter) -> Mapping[int, int]:
        code = _code(wanted.groups_off).label("code")
        # Grouped by the name of the column: by its words, each would be worked out twice.
        statement = (
            select(code, func.count().label("number"))
            .select_from(_WITH_AGENTS)
            .where(*_conditions(wanted))
            .group_by(literal_column("code"))
        )
        found: Counter[int] = Counter()
        for clause in _within(wanted):  # of which none overlaps another
            for row in self._all(statement.where(clause)):
                found[row.code] += row.number
        return found


class PlanWrites(PlanReads):
    __slots__ = ()

    def put_plan_setting(self, setting: PlanSetting) -> None:
        self._put(
            plans,
            {"scope_key": setting.scope.key},
            {
                "scope": str(setting.scope),
                "tier": str(setting.tier),
                "is_enforced": setting.is_enforced,
                "set_at": setting.set_at,
            },
        )

    def delete_plan_setting(self, scope: Scope) -> bool:
        return self._run(delete(plans).where(plans.c.scope_key == scope.key)) == 1

    def put_held_rules(self, held: HeldRules) -> None:
        self._put(
            held_rules,
            {"machine_uid": held.machine_uid},
            {
                "generation": held.generation,
                "since": held.since,
                "closed": [
                    [*_port_row(each.port), str(each.on_expiry)]
                    for each in sorted(held.closed, key=lambda each: each.port)
                ],
                "local": [_local_row(each) for each in held.local],
            },
        )

    def delete_held_rules(self, machine_uid: str) -> None:
        self._run(delete(held_rules).where(held_rules.c.machine_uid == machine_uid))


def _setting(row: Row[Any]) -> PlanSetting:
    return PlanSetting(Scope(row.scope), Tier(row.tier), row.set_at, row.is_enforced)


def _port_row(port: PortKey) -> list[Any]:
    return [str(port.protocol), port.number]


def _port(row: Sequence[Any]) -> PortKey:
    return PortKey(TransportProtocol(row[0]), row[1])


def _local_row(opening: HeldOpening) -> dict[str, Any]:
    return {
        "id": opening.id,
        "ports": [_port_row(port) for port in opening.ports],
        "sources": [str(source) for source in opening.sources],
        "endsAt": None if opening.ends_at is None else format_utc(opening.ends_at),
    }


def _local(row: Mapping[str, Any]) -> HeldOpening:
    ends_at: datetime | None = parse_instant(row["endsAt"]) if row["endsAt"] else None
    ports = tuple(_port(each) for each in row["ports"])
    return HeldOpening(row["id"], ports, prefixes(row["sources"]), ends_at=ends_at)


def _held(row: Row[Any]) -> HeldRules:
    closed = frozenset(ClosedPort(_port(each), OnExpiry(each[2])) for each in row.closed)
    return HeldRules(
        row.machine_uid,
        row.generation,
        row.since,
        closed,
        tuple(_local(each) for each in row.local),
    )
