"""Rows of plans and of what points hold; machines by what their classification depends on.

Machines are counted and paged by the codes that ``listed_machines`` keeps; the store's contract
compares these with what ``domain.classify.Traits.code`` says in Python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, bindparam, delete, exists, func, select, true

from bascule.domain.machine import ClosedPort, Machine, OnExpiry
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.pricing import PlanSetting, Tier
from bascule.domain.scopes import Scope
from bascule.domain.security_rules import HeldOpening
from bascule.domain.times import format_utc, parse_instant
from bascule.interfaces.plans import HeldRules, MachineFilter
from bascule.store import tables as t
from bascule.store.inventory import machine_of_row
from bascule.store.list_filters import ListScopes, traits_code
from bascule.store.rows import prefixes, slices
from bascule.store.tables.listing import listed_machines as listed
from bascule.store.tables.plans import held_rules, plans
from bascule.store.within import clauses_within

# Named apart: they are read beside a machine's own columns too.
HELD = tuple(each.label(f"held_{each.name}") for each in held_rules.c)
_HELD = select(*HELD).where(held_rules.c.machine_uid.in_(bindparam("uids", expanding=True)))
_SETTINGS_AT = select(plans).where(plans.c.scope_key.in_(bindparam("keys", expanding=True)))
_LISTED = t.machines.join(listed, listed.c.machine_uid == t.machines.c.uid)


def _conditions(
    wanted: MachineFilter, group: Column[str], uid: Column[str]
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.guards_others:
        found.append(exists().where(t.bindings.c.point_uid == uid, t.bindings.c.machine_uid != uid))
    if wanted.resource_group is not None:
        found.append(group == wanted.resource_group.casefold())
    if wanted.traits is not None:
        found.append(traits_code(wanted.groups_off).in_(sorted(wanted.traits)))
    return found


def _within(wanted: MachineFilter) -> Iterable[ColumnElement[bool]]:
    if wanted.within is None:
        return (true(),)
    return clauses_within(wanted.within, t.machines.c.id_key)


class PlanReads(ListScopes):
    __slots__ = ()

    def plan_setting(self, scope: Scope) -> PlanSetting | None:
        row = self._first(select(plans).where(plans.c.scope_key == scope.key))
        return None if row is None else setting_of_row(row)

    def plan_settings(self) -> Sequence[PlanSetting]:
        return [setting_of_row(row) for row in self._all(select(plans).order_by(plans.c.scope_key))]

    def plan_settings_at(self, scope_keys: Collection[str]) -> Mapping[str, PlanSetting]:
        return {
            row.scope_key: setting_of_row(row)
            for some in slices(sorted(scope_keys))
            for row in self._all(_SETTINGS_AT, {"keys": some})
        }

    def held_rules(self, machine_uids: Sequence[str]) -> Mapping[str, HeldRules]:
        return {
            row.held_machine_uid: held_of_row(row)
            for some in slices(machine_uids)
            for row in self._all(_HELD, {"uids": some})
        }

    def machines_where(
        self, wanted: MachineFilter, after: str = "", limit: int = 1000
    ) -> Sequence[Machine]:
        statement = (
            select(t.machines)
            .select_from(_LISTED if wanted.traits is not None else t.machines)
            .where(
                t.machines.c.id_key > after.casefold(),
                *_conditions(wanted, t.machines.c.group_key, t.machines.c.uid),
            )
        )
        parts = [statement.where(clause) for clause in _within(wanted)]
        return [machine_of_row(row) for row in self._first_of(parts, t.machines.c.id_key, limit)]

    def count_machines(self, wanted: MachineFilter) -> Mapping[int, int]:
        code = traits_code(wanted.groups_off).label("code")
        # Grouped by what an index is in the order of; the codes of groups are then added up.
        statement = (
            select(code, func.count().label("number"))
            .where(*_conditions(wanted, listed.c.group_key, listed.c.machine_uid))
            .group_by(listed.c.group_key, listed.c.traits)
        )
        found: Counter[int] = Counter()
        # Of these none overlaps another.
        for clause in (true(),) if wanted.within is None else self._within_listed(wanted.within):
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


def setting_of_row(row: Row[Any]) -> PlanSetting:
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
        "pointUid": opening.point_uid,
        "gateway": opening.gateway,
    }


def _local(row: Mapping[str, Any]) -> HeldOpening:
    ends_at: datetime | None = parse_instant(row["endsAt"]) if row["endsAt"] else None
    ports = tuple(_port(each) for each in row["ports"])
    return HeldOpening(
        row["id"],
        ports,
        prefixes(row["sources"]),
        ends_at=ends_at,
        point_uid=row["pointUid"],
        gateway=row["gateway"],
    )


def held_of_row(row: Row[Any]) -> HeldRules:
    closed = frozenset(ClosedPort(_port(each), OnExpiry(each[2])) for each in row.held_closed)
    return HeldRules(
        row.held_machine_uid,
        row.held_generation,
        row.held_since,
        closed,
        tuple(_local(each) for each in row.held_local),
    )
