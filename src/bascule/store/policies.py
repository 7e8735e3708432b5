"""Rows of policies: the policy, its machines, their ports, and the generations that carry it.

Ports stand in rows of their own, so that "which policies name this machine?" is an
indexed look-up, however many policies there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from sqlalchemy import BindParameter, Row, Select, bindparam, delete, select

from bascule.domain.ids import ResourceId
from bascule.domain.machine import OnExpiry
from bascule.domain.net import RuleProtocol
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.roles import Reach
from bascule.interfaces.policies import StoredPolicy
from bascule.protocol.rules import (
    read_rules,
    read_stages,
    read_tickets,
    rule_of_policy_json,
    stages_json,
    tickets_json,
)
from bascule.store import tables as t
from bascule.store.listed import Listed
from bascule.store.rows import Rows, prefixes, resource_id, slices
from bascule.store.within import clauses_within

Values = dict[str, Any]

_POLICY = select(t.policies).where(t.policies.c.id_key == bindparam("key"))
_NAMING = (
    select(t.policies)
    .join(t.policy_machines, t.policy_machines.c.policy_key == t.policies.c.id_key)
    .where(t.policy_machines.c.machine_key == bindparam("key"))
    .order_by(t.policies.c.id_key)
)
_WITH_APPROVAL = (
    select(t.policies).where(t.policies.c.has_approval.is_(True)).order_by(t.policies.c.id_key)
)
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_MACHINES = (
    select(t.policy_machines)
    .where(t.policy_machines.c.policy_key.in_(_KEYS))
    .order_by(t.policy_machines.c.policy_key, t.policy_machines.c.position)
)
_PORTS = (
    select(t.policy_ports)
    .where(t.policy_ports.c.policy_key.in_(_KEYS))
    .order_by(
        t.policy_ports.c.policy_key, t.policy_ports.c.machine_position, t.policy_ports.c.position
    )
)
_GENERATIONS = select(t.policy_generations).where(t.policy_generations.c.policy_key.in_(_KEYS))

_RULES_AT = (
    select(
        t.policies.c.id.label("policy_id"),
        t.policy_machines.c.machine_id,
        t.policy_machines.c.public_ip_address,
        t.policy_ports,
    )
    .join(t.policies, t.policies.c.id_key == t.policy_machines.c.policy_key)
    .join(
        t.policy_ports,
        (t.policy_ports.c.policy_key == t.policy_machines.c.policy_key)
        & (t.policy_ports.c.machine_position == t.policy_machines.c.position),
    )
    .where(t.policy_machines.c.machine_key.in_(_KEYS))
    .order_by(
        t.policy_machines.c.machine_key,
        t.policy_machines.c.policy_key,
        t.policy_ports.c.position,
    )
)


class PolicyReads(Rows):
    __slots__ = ()

    def policy(self, policy_id: ResourceId) -> StoredPolicy | None:
        return next(iter(self._whole(self._all(_POLICY, {"key": policy_id.key}))), None)

    def policies(
        self,
        resource_group: str | None = None,
        location: str | None = None,
        after: str = "",
        limit: int = 1000,
        within: Reach | None = None,
    ) -> Sequence[StoredPolicy]:
        wanted: Select[Any] = select(t.policies).where(t.policies.c.id_key > after.casefold())
        if resource_group is not None:
            wanted = wanted.where(t.policies.c.group_key == resource_group.casefold())
        if location is not None:
            wanted = wanted.where(t.policies.c.location_key == location.casefold())
        if within is None:
            return self._whole(self._all(wanted.order_by(t.policies.c.id_key).limit(limit)))
        parts = [wanted.where(clause) for clause in clauses_within(within, t.policies.c.id_key)]
        for clause in clauses_within(within, t.policy_machines.c.machine_key):
            naming = select(t.policy_machines.c.policy_key).where(clause)
            parts.append(wanted.where(t.policies.c.id_key.in_(naming)))
        return self._whole(self._first_of(parts, t.policies.c.id_key, limit))

    def policies_naming(self, machine_id: ResourceId) -> Sequence[StoredPolicy]:
        return self._whole(self._all(_NAMING, {"key": machine_id.key}))

    def policies_with_approval(self) -> Sequence[StoredPolicy]:
        return self._whole(self._all(_WITH_APPROVAL))

    def rules_at(
        self, machine_ids: Sequence[ResourceId]
    ) -> Sequence[tuple[ResourceId, MachineRules]]:
        found: dict[tuple[str, str], tuple[Row[Any], list[PortRule]]] = {}
        for row in self._parts(_RULES_AT, sorted({each.key for each in machine_ids})):
            _, ports = found.setdefault((row.machine_id, row.policy_key), (row, []))
            ports.append(port_rule_of_row(row))
        return [
            (
                resource_id(row.policy_id),
                MachineRules(resource_id(row.machine_id), tuple(ports), row.public_ip_address),
            )
            for row, ports in found.values()
        ]

    def _whole(self, rows: Sequence[Row[Any]]) -> list[StoredPolicy]:
        """Join policies with their parts: three queries however many they are."""
        keys = [row.id_key for row in rows]
        ports: dict[tuple[str, int], list[PortRule]] = defaultdict(list)
        for row in self._parts(_PORTS, keys):
            ports[row.policy_key, row.machine_position].append(port_rule_of_row(row))
        machines: dict[str, list[MachineRules]] = defaultdict(list)
        for row in self._parts(_MACHINES, keys):
            rules = tuple(ports[row.policy_key, row.position])
            machines[row.policy_key].append(
                MachineRules(resource_id(row.machine_id), rules, row.public_ip_address)
            )
        generations: dict[str, dict[str, int]] = defaultdict(dict)
        for row in self._parts(_GENERATIONS, keys):
            generations[row.policy_key][row.machine_uid] = row.generation
        return [
            StoredPolicy(
                policy_of_row(row, tuple(machines[row.id_key])),
                row.etag,
                generations[row.id_key],
            )
            for row in rows
        ]

    def _parts(self, statement: Select[Any], keys: Sequence[str]) -> Iterable[Row[Any]]:
        for some in slices(keys):
            yield from self._all(statement, {"keys": some})


class PolicyWrites(PolicyReads, Listed):
    __slots__ = ()

    def put_policy(self, stored: StoredPolicy) -> None:
        policy = stored.policy
        key = policy.id.key
        held = self.policy(policy.id)
        self._put(
            t.policies,
            {"id_key": key},
            {
                "id": str(policy.id),
                "group_key": policy.id.resource_group.casefold(),
                "location_key": policy.id.location.casefold(),
                "kind": policy.kind,
                "etag": stored.etag,
                "rules": [rule_of_policy_json(each) for each in policy.rules],
                "self_approval": policy.self_approval,
                "pending_for": policy.pending_for,
                "tickets": None if policy.tickets is None else tickets_json(policy.tickets),
                "ticket_secret": None if policy.tickets is None else policy.tickets.sealed_secret,
                "has_approval": policy.has_approval,
            },
        )
        # A policy is put twice in one act: with its rules, then with its generations.
        if held is None or not _is_spelt_alike(held.policy.machines, policy.machines):
            self._put_machines(key, policy.machines)
            self._follow_policies(_keys(policy) if held is None else _keys(policy, held.policy))
        if held is None or held.generations != dict(stored.generations):
            self._put_generations(key, stored.generations)

    def delete_policy(self, policy_id: ResourceId) -> None:
        held = self.policy(policy_id)
        self._run(delete(t.policies).where(t.policies.c.id_key == policy_id.key))
        if held is not None:
            self._follow_policies(_keys(held.policy))

    def _put_machines(self, key: str, machines: Sequence[MachineRules]) -> None:
        self._run(delete(t.policy_machines).where(t.policy_machines.c.policy_key == key))
        rows = [_machine_values(key, position, each) for position, each in enumerate(machines)]
        ports = [
            _port_values(key, m, p, rule)
            for m, each in enumerate(machines)
            for p, rule in enumerate(each.ports)
        ]
        if rows:
            self._run(t.policy_machines.insert(), rows)
        if ports:
            self._run(t.policy_ports.insert(), ports)

    def _put_generations(self, key: str, generations: Mapping[str, int]) -> None:
        self._run(delete(t.policy_generations).where(t.policy_generations.c.policy_key == key))
        rows = [
            {"policy_key": key, "machine_uid": uid, "generation": generation}
            for uid, generation in generations.items()
        ]
        if rows:
            self._run(t.policy_generations.insert(), rows)


def policy_of_row(row: Row[Any], machines: tuple[MachineRules, ...]) -> Policy:
    return Policy(
        resource_id(row.id),
        row.kind,
        machines,
        read_rules(row.rules) if row.rules else (),
        row.self_approval,
        row.pending_for,
        None if row.tickets is None else read_tickets(row.tickets, row.ticket_secret),
    )


def _keys(*policies: Policy) -> Iterable[str]:
    return (each.machine_id.key for policy in policies for each in policy.machines)


def _is_spelt_alike(held: Sequence[MachineRules], put: Sequence[MachineRules]) -> bool:
    """Equal, and in the same letters: ids compare without case, but are shown as put last."""
    return held == put and all(
        str(a.machine_id) == str(b.machine_id) for a, b in zip(held, put, strict=True)
    )


def _machine_values(key: str, position: int, rules: MachineRules) -> Values:
    return {
        "policy_key": key,
        "position": position,
        "machine_key": rules.machine_id.key,
        "machine_id": str(rules.machine_id),
        "public_ip_address": rules.public_ip_address,
    }


def _port_values(key: str, machine_position: int, position: int, rule: PortRule) -> Values:
    return {
        "policy_key": key,
        "machine_position": machine_position,
        "position": position,
        "number": rule.number,
        "protocol": rule.protocol,
        "sources": [str(source) for source in rule.sources],
        "max_duration": rule.max_duration,
        "on_expiry": rule.on_expiry,
        "justification_required": rule.justification_required,
        "is_source_list": rule.is_source_list,
        "public_port": rule.public_port,
        "public_address": None if rule.public_address is None else str(rule.public_address),
        "drain_for": rule.drain_for,
        "approval": stages_json(rule.approval),
    }


def port_rule_of_row(row: Row[Any]) -> PortRule:
    return PortRule(
        number=row.number,
        protocol=RuleProtocol(row.protocol),
        sources=prefixes(row.sources),
        max_duration=row.max_duration,
        on_expiry=OnExpiry(row.on_expiry),
        justification_required=row.justification_required,
        is_source_list=row.is_source_list,
        public_port=row.public_port,
        public_address=None if row.public_address is None else ip_address(row.public_address),
        drain_for=row.drain_for,
        approval=read_stages(row.approval) if row.approval else (),
    )
