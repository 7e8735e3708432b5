"""What surrounds a machine, gathered for views: what its point holds, and its classification.

What is held is what was read back: the ports that the last report found closed, the openings
of grants that were read back open and not closed since, and what root opened on the host. What
a policy wishes is not in it. An opening whose time is over is not held, whoever is silent:
the kernel ended it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.bounds import Guard
from bascule.domain.classify import (
    Classification,
    Traits,
    classify,
    is_managed,
)
from bascule.domain.grant import Grant
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.net import Address, parse_address
from bascule.domain.scopes import group_scope
from bascule.domain.security_rules import Anchors, HeldOpening, RuleView, security_rules
from bascule.interfaces.closed_ports import GenerationReads
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import HeldRules, PlanReads
from bascule.interfaces.points import AgentReads, PointReads
from bascule.interfaces.policies import PolicyReads, StoredPolicy
from bascule.interfaces.record import EventReads
from bascule.services.fleet import is_enforced, is_online
from bascule.services.gateways import gateway_names, named_of, silent_gateways
from bascule.services.grants import latest_end
from bascule.services.plans import PlanScopeReads, plan_at


class ClassifiedReads(MachineReads, PlanScopeReads, Protocol):
    """What a classification names."""


class SurroundingReads(
    AgentReads,
    EventReads,
    GenerationReads,
    GrantReads,
    MachineReads,
    PlanReads,
    PointReads,
    PolicyReads,
    Protocol,
):
    """What is known around one machine."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One machine with all that its neighbours in ARM are made of."""

    machine: Machine
    point: EnforcementPoint | None
    held: HeldRules | None  # None: nothing was reported yet
    openings: tuple[HeldOpening, ...]
    policies: tuple[str, ...]  # names of those that name it
    public: tuple[Address, ...]
    generation: int
    now: datetime
    silent_gateways: tuple[str, ...] = ()  # names, while others are heard

    @property
    def private(self) -> tuple[Address, ...]:
        return tuple(each for each in self.machine.addresses if each not in self.public)

    @property
    def is_heard(self) -> bool:
        return self.point is not None and is_online(self.point, self.now)

    @property
    def is_current(self) -> bool:
        """Is what is told what holds now, as far as anybody can know?"""
        return (
            is_enforced(self.point, self.now)
            and self.held is not None
            and self.point is not None
            and self.point.observed_generation >= self.generation
        )

    @property
    def untold(self) -> int:
        """How many openings by root are in force of which nobody said what they open."""
        return sum(not opening.ports for opening in self.openings)

    def rules(self, anchors: Anchors) -> RuleView:
        """Of what stands at the machine itself; what gateways close is not closed there (EDGES G7)."""
        is_elsewhere = self.point is not None and bool(self.point.elsewhere)
        closed = self.held.closed if self.held and not is_elsewhere else ()
        openings = () if is_elsewhere else self.openings
        return security_rules(self.machine, closed, openings, self.policies, anchors)


def surroundings_of(
    reader: SurroundingReads, machines: Sequence[Machine], now: datetime
) -> list[Surroundings]:
    """Those of several machines, in their order."""
    uids = [machine.uid for machine in machines]
    held, points = reader.held_rules(uids), reader.points_of(uids)
    openings = _openings(reader, uids, points, now)
    return [
        _surroundings(
            reader,
            machine,
            points.get(machine.uid),
            held.get(machine.uid),
            openings.get(machine.uid, []),
            now,
        )
        for machine in machines
    ]


def _surroundings(
    reader: SurroundingReads,
    machine: Machine,
    point: EnforcementPoint | None,
    held: HeldRules | None,
    granted: Sequence[HeldOpening],
    now: datetime,
) -> Surroundings:
    naming = reader.policies_naming(machine.id)
    local = [each for each in held.local if not each.point_uid] if held is not None else ()
    lasting = [each for each in local if each.ends_at is None or each.ends_at > now]
    names = gateway_names(reader, {} if point is None else {machine.uid: point})
    return Surroundings(
        machine=machine,
        point=point,
        held=held,
        openings=(*granted, *lasting) if held is not None else (),
        policies=tuple(stored.policy.id.name for stored in naming),
        public=_public(machine, naming, _guard_of(reader, machine, point)),
        generation=reader.generation(machine.uid),
        now=now,
        silent_gateways=silent_gateways(point, names, now),
    )


def _guard_of(reader: AgentReads, machine: Machine, point: EnforcementPoint | None) -> Guard | None:
    """What the machine's own agent has told of its guard file."""
    if point is None or not point.has_own:
        return None
    own = reader.agent_of(machine.uid) if point.gateways else point
    return None if own is None else own.guard


def _public(
    machine: Machine, naming: Sequence[StoredPolicy], guard: Guard | None
) -> tuple[Address, ...]:
    """Its own public addresses; those that policies say it is reached by; then those that its guard
    file gives to what it forwards.
    """
    own = [address for address in machine.addresses if address.is_global]
    for stored in naming:
        rules = stored.policy.rules_for(machine.id)
        if rules is not None and rules.public_ip_address:
            own.append(parse_address(rules.public_ip_address))
    if guard is not None and guard.forwarding is not None:
        own += guard.forwarding.addresses
    return tuple(dict.fromkeys(own))


def _openings(
    reader: SurroundingReads,
    uids: Sequence[str],
    points: Mapping[str, EnforcementPoint],
    now: datetime,
) -> dict[str, list[HeldOpening]]:
    found: dict[str, list[HeldOpening]] = {}
    for grant in reader.grants_in_force(uids):
        if is_held(reader, grant, points.get(grant.machine_uid), now):
            found.setdefault(grant.machine_uid, []).append(held_opening(grant))
    return found


def is_held(
    reader: EventReads, grant: Grant, point: EnforcementPoint | None, now: datetime
) -> bool:
    """Has its time not come? A point that has not heard of a shorter end has the longer one."""
    if grant.ends_at > now:
        return True
    has_heard = point is not None and point.observed_generation >= grant.generation
    return not has_heard and latest_end(reader, grant) > now


def held_opening(grant: Grant) -> HeldOpening:
    return HeldOpening(
        grant.id,
        grant.port_keys,
        grant.sources,
        grant.policy_id.name,
        grant.request_id,
        grant.ends_at,
    )


def classification_of(
    reader: ClassifiedReads,
    machine: Machine,
    point: EnforcementPoint | None,
    naming: Sequence[StoredPolicy],
) -> Classification:
    """On which tab the machine belongs, and why; ``naming`` are the policies that name it."""
    group = machine.id.resource_group
    plan = plan_at(reader, group)
    flushed_by = point.flushed_by if point is not None else ""
    rules = (stored.policy.rules_for(machine.id) for stored in naming)
    traits = Traits(
        is_managed=is_managed(machine.tags),
        has_point=point is not None,
        is_flushed=bool(flushed_by),
        is_plan_on=plan.is_on,
        is_named=any(each is not None and each.ports for each in rules),
        is_elsewhere=point is not None and bool(point.managers),
    )
    is_groups = plan.scope == group_scope(machine.id.subscription_id, group)
    names = gateway_names(reader, {} if point is None else {machine.uid: point})
    return classify(traits, named_of(machine, point, names, group if is_groups else ""))
