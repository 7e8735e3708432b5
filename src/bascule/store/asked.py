"""Rows that a decision depends on, in one statement for each kind of thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Row, and_, bindparam, exists, func, or_, select, union_all

from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import EnforcementPoint
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.interfaces.asked import Asked, AskedMachine
from bascule.interfaces.grants import ToldGrants
from bascule.store import tables as t
from bascule.store.fleet import FleetReads, point_of_row
from bascule.store.grants import GrantReads, by_end
from bascule.store.inventory import machine_of_row
from bascule.store.policies import port_rule_of_row
from bascule.store.rows import resource_id, slices

_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_UIDS: BindParameter[Any] = bindparam("uids", expanding=True)
_named, _ports = t.policy_machines.c, t.policy_ports.c
_RULES = (
    select(
        t.policies.c.id.label("policy_id"),
        t.policies.c.kind,
        t.policies.c.pending_for,
        _named.machine_id,
        _named.public_ip_address,
        t.policy_ports,
    )
    .select_from(t.policies)
    .outerjoin(
        t.policy_machines,
        and_(_named.policy_key == t.policies.c.id_key, _named.machine_key.in_(_KEYS)),
    )
    .outerjoin(
        t.policy_ports,
        and_(_ports.policy_key == _named.policy_key, _ports.machine_position == _named.position),
    )
    .where(t.policies.c.id_key == bindparam("policy"))
    .order_by(_named.position, _ports.position)
)
_MACHINES = (
    select(
        t.machines,
        t.agents,
        exists().where(t.bindings.c.machine_uid == t.machines.c.uid).label("is_bound"),
        exists()
        .where(
            t.policy_machines.c.machine_key == t.machines.c.id_key,
            t.policies.c.id_key == t.policy_machines.c.policy_key,
            t.policies.c.has_approval.is_(True),
        )
        .label("has_approval"),
        select(func.count())
        .where(t.closed_ports.c.machine_uid == t.machines.c.uid)
        .scalar_subquery()
        .label("ports"),
    )
    .outerjoin(t.agents, t.agents.c.machine_uid == t.machines.c.uid)
    .where(t.machines.c.id_key.in_(_KEYS))
)
_INSTANT = t.grants.c.cut_at.type
# Two ways to a grant, each with an index of its own.
_LIVE = select(t.grants.c.sequence).where(t.grants.c.machine_uid.in_(_UIDS), t.IS_LIVE)
_CUT = (
    select(t.grants.c.sequence)
    .join(t.agents, t.agents.c.machine_uid == t.grants.c.machine_uid)
    .where(
        t.grants.c.machine_uid.in_(_UIDS),
        t.IS_CUT,
        or_(
            t.grants.c.cut_at >= bindparam("since", type_=_INSTANT),
            and_(
                t.grants.c.cut_at >= t.agents.c.enrolled_at,
                t.grants.c.generation > t.agents.c.observed_generation,
            ),
        ),
    )
)
_TOLD = (
    select(t.grants)
    .where(t.grants.c.sequence.in_(union_all(_LIVE, _CUT)))
    .order_by(t.grants.c.ends_at, t.grants.c.sequence)
)


# The same of one machine, as one of its points has it.
_UID = t.grants.c.machine_uid == bindparam("uid")
_TOLD_AT = (
    select(t.grants)
    .where(
        t.grants.c.sequence.in_(
            union_all(
                select(t.grants.c.sequence).where(_UID, t.IS_LIVE),
                select(t.grants.c.sequence).where(
                    _UID,
                    t.IS_CUT,
                    or_(
                        t.grants.c.cut_at >= bindparam("lately", type_=_INSTANT),
                        and_(
                            t.grants.c.cut_at >= bindparam("since", type_=_INSTANT),
                            t.grants.c.generation > bindparam("beyond"),
                        ),
                    ),
                ),
                select(t.grants.c.sequence).where(
                    _UID,
                    t.IS_DRAINING,
                    t.grants.c.drained_at > bindparam("now", type_=_INSTANT),
                    t.is_in_state([GrantState.CLOSING, GrantState.CLOSED]),
                ),
            )
        )
    )
    .order_by(t.grants.c.sequence)
)


class AskedReads(GrantReads, FleetReads):
    __slots__ = ()

    def asked_rules(self, policy_id: ResourceId, machines: Sequence[ResourceId]) -> Policy | None:
        found: dict[str, tuple[Row[Any], list[PortRule]]] = {}
        policy: Row[Any] | None = None
        for some in slices(sorted({each.key for each in machines})) or [[]]:
            for row in self._all(_RULES, {"policy": policy_id.key, "keys": some}):
                policy = row
                if row.machine_id is None:  # the policy names none of these
                    continue
                _, ports = found.setdefault(row.machine_id, (row, []))
                if row.number is not None:  # it names this one without a port
                    ports.append(port_rule_of_row(row))
        if policy is None:
            return None
        rules = (
            MachineRules(resource_id(row.machine_id), tuple(ports), row.public_ip_address)
            for row, ports in found.values()
        )
        return Policy(
            resource_id(policy.policy_id),
            policy.kind,
            tuple(rules),
            pending_for=policy.pending_for,
        )

    def asked(self, machines: Sequence[ResourceId], cut_since: datetime) -> Asked:
        rows = [
            row
            for some in slices(sorted({each.key for each in machines}))
            for row in self._all(_MACHINES, {"keys": some})
        ]
        points = self._points_in(rows)
        told = [
            each
            for some in slices([row.uid for row in rows])
            for each in self._grants(_TOLD, {"uids": some, "since": cut_since})
        ]
        found = {}
        for row in rows:
            machine, point = machine_of_row(row), points.get(row.uid)
            if row.is_bound and point is not None:  # what its points have heard of is theirs
                cuts = self._cuts_at(point, cut_since)
            else:
                cuts = [grant for _, grant in told if _is_told_of(grant, point, cut_since)]
            found[machine.id] = AskedMachine(machine, point, row.ports, cuts, row.has_approval)
        return Asked(found, by_end([each for each in told if each[1].is_live]))

    def told_grants(
        self, machine_uid: str, now: datetime, lately: datetime, since: datetime, beyond: int
    ) -> ToldGrants:
        wanted = {
            "uid": machine_uid,
            "now": now,
            "lately": lately,
            "since": since,
            "beyond": beyond,
        }
        found = self._grants(_TOLD_AT, wanted)
        marked = [(grant, at) for _, grant in found if (at := grant.cut_at) is not None]
        unheard = [
            grant for grant, at in marked if since <= at < lately and grant.generation > beyond
        ]
        cuts = [*(grant for grant, at in marked if at >= lately), *unheard]
        draining = [
            grant
            for _, grant in found
            if not grant.is_live and (end := grant.drained_at) is not None and end > now
        ]
        return ToldGrants(by_end([each for each in found if each[1].is_live]), cuts, draining)

    def _cuts_at(self, point: EnforcementPoint, cut_since: datetime) -> list[Grant]:
        lately = self.cut_grants(point.machine_uid, cut_since)
        unheard = self.cut_grants(point.machine_uid, point.enrolled_at, point.observed_generation)
        return list({grant.id: grant for grant in (*lately, *unheard)}.values())

    def _points_in(self, rows: Sequence[Row[Any]]) -> Mapping[str, EnforcementPoint]:
        points = {
            row.uid: point_of_row(row)
            for row in rows
            if row.machine_uid is not None and not row.is_bound
        }
        bound = [row.uid for row in rows if row.is_bound]
        return {**points, **self.points_of(bound)} if bound else points


def _is_told_of(grant: Grant, point: EnforcementPoint | None, cut_since: datetime) -> bool:
    """Is this point told of its cut?"""
    if point is None or grant.machine_uid != point.machine_uid or grant.cut_at is None:
        return False
    is_unheard = grant.cut_at >= point.enrolled_at and grant.generation > point.observed_generation
    return grant.cut_at >= cut_since or is_unheard
