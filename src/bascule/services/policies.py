"""Policies: create, replace and delete (CONTRACT 1.7; EDGES A4, A10, A11, A16).

A commit that narrows a policy ends, in that commit, each grant that it no longer allows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import POLICY_DELETE, POLICY_WRITE
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.policies import PolicyChanged, PolicyCreated, PolicyDeleted
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import Machine, Unable, unable_words
from bascule.domain.net import RuleProtocol, is_within
from bascule.domain.policy import MachineRules, Policy, PortRule, check_policy, strictest
from bascule.domain.scopes import resource_scope
from bascule.errors import InvalidInput, Part, Place, PreconditionFailed, Problem
from bascule.interfaces.approvals import ApprovalWrites
from bascule.interfaces.closed_ports import ClosedPortWrites
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import PlanReads
from bascule.interfaces.points import BindingReads, PointReads
from bascule.interfaces.policies import PolicyWrites, StoredPolicy
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.public_ports import PublicPortWrites
from bascule.interfaces.replicas import ListeningReads
from bascule.interfaces.roles import RoleReads
from bascule.protocol.port_rules import flat_rule_json
from bascule.protocol.rules import policy_rules_json
from bascule.sentences import sentence
from bascule.services import closed_ports, own_ports
from bascule.services.access_rules import (
    KEEP_ALL,
    Kept,
    check_may_lift,
    check_named,
    follow_rules,
    with_rules_kept,
)
from bascule.services.act import Act
from bascule.services.assignments import AssignmentWrites, forget_scope
from bascule.services.grants import GrantEndWrites, change, end_grants, shorten
from bascule.services.policy_rights import check_may_write
from bascule.services.public_port_choices import claim_named
from bascule.services.public_ports_told import public_addresses


class PolicyChangeWrites(
    GrantEndWrites,
    ApprovalWrites,
    BindingReads,
    ClosedPortWrites,
    ListeningReads,
    MachineReads,
    PlanReads,
    PolicyWrites,
    PrincipalReads,
    PublicPortWrites,
    RoleReads,
    Protocol,
):
    """Policies, the ports that they close, and the grants that a change ends."""


class PolicyEndWrites(
    GrantEndWrites,
    AssignmentWrites,
    ApprovalWrites,
    ClosedPortWrites,
    MachineReads,
    PolicyWrites,
    PublicPortWrites,
    Protocol,
):
    """The same, with the assignments at a policy that is deleted."""


class RuleReads(ListeningReads, MachineReads, PointReads, Protocol):
    """What shows whether a machine's ports can be closed."""


# Rules by machine, port number and protocol that keep what Azure's shape lacks.
Inherits = Collection[tuple[ResourceId, int, RuleProtocol]]


@dataclass(frozen=True, slots=True)
class Precondition:
    """If-Match and If-None-Match of the call; both empty when it sets none."""

    if_match: str = ""  # an etag or "*"
    is_if_none_match: bool = False  # If-None-Match: *


NO_PRECONDITION = Precondition()


def put_policy(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    policy: Policy,
    inherits: Inherits = (),
    precondition: Precondition = NO_PRECONDITION,
    kept: Kept = KEEP_ALL,
) -> StoredPolicy:
    """Create or replace a policy whole.

    Raises Forbidden before anything is told of it, InvalidInput with every problem,
    PreconditionFailed. Machines that are new in it must be known; those it named before may
    have been left as they are. Rules and approvals that ``subject`` may not write stay as they are
    stored (EDGES J2).
    """
    check_may_write(tx, act, subject, policy.id, POLICY_WRITE, policy)
    return write_whole(tx, act, subject, policy, inherits, precondition, kept)


def write_whole(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    policy: Policy,
    inherits: Inherits,
    precondition: Precondition,
    kept: Kept = KEEP_ALL,
) -> StoredPolicy:
    before = tx.policy(policy.id)
    check_precondition(before, precondition)
    policy = _inherit(policy, before.policy if before else None, inherits)
    policy = with_rules_kept(tx, act, subject, policy, before.policy if before else None, kept)
    check_named(tx, policy, before.policy if before else None)
    machines = _check(tx, act, policy, before.policy if before else None)
    policy = _without_told(tx, policy, machines)
    touched = {m.id: m for m in machines}
    for rules in before.policy.machines if before else ():
        known = tx.machine(rules.machine_id)
        if known is not None:
            touched.setdefault(known.id, known)
    return write_policy(tx, act, policy, before, list(touched.values()))


def write_policy(
    tx: PolicyChangeWrites,
    act: Act,
    policy: Policy,
    before: StoredPolicy | None,
    machines: Iterable[Machine],
) -> StoredPolicy:
    every = list(machines)
    named_before = {machine.uid: closed_ports.named_ports(tx, machine) for machine in every}
    stored = StoredPolicy(policy, etag_of(policy), {})
    tx.put_policy(stored)
    for machine in every:
        closed_ports.follow_policies(tx, act, machine, named_before[machine.uid])
        _end_unallowed(tx, act, policy, machine)
    claim_named(tx, act, policy, before.policy if before else None, every)
    generations = _generations_of_others(tx, policy, before)
    generations |= {machine.uid: tx.generation(machine.uid) for machine in every}
    stored = replace(stored, generations=generations)
    tx.put_policy(stored)
    fact: Fact = PolicyCreated(str(policy.id), describe(policy))
    if before is not None:
        fact = PolicyChanged(str(policy.id), describe(policy), describe(before.policy))
    act.record(tx, fact, policy.id)
    follow_rules(tx, act, before.policy if before else None, policy)
    return stored


def _generations_of_others(
    tx: MachineReads, policy: Policy, before: StoredPolicy | None
) -> dict[str, int]:
    """What machines that the policy names, or did, may have to apply still since before."""
    if before is None:
        return {}
    named = {rules.machine_id for each in (before.policy, policy) for rules in each.machines}
    known = tx.machines_of(list(before.generations))
    return {uid: before.generations[uid] for uid, each in known.items() if each.id in named}


def delete_policy(
    tx: PolicyEndWrites,
    act: Act,
    subject: Subject,
    wanted: ResourceId,
    precondition: Precondition = NO_PRECONDITION,
) -> bool:
    """Delete a policy; what it names at this moment and no other policy does opens.

    Returns False when there was none. Raises Forbidden, PreconditionFailed.
    """
    check_may_write(tx, act, subject, wanted, POLICY_DELETE)
    before = tx.policy(wanted)
    if before is None:
        return False
    check_precondition(before, precondition)
    check_may_lift(tx, act, subject, before.policy, None)
    tx.delete_policy(wanted)
    for rules in before.policy.machines:
        machine = tx.machine(rules.machine_id)
        if machine is not None:
            _end_unallowed(tx, act, replace(before.policy, machines=()), machine)
            # What leaves its policies is released.
            closed_ports.follow_policies(tx, act, machine, frozenset())
            closed_ports.release_unnamed(tx, act, machine, before.policy, f"deletion of {wanted}")
    forget_scope(tx, act, resource_scope(before.policy.id), f"deletion of {wanted}")
    act.record(tx, PolicyDeleted(str(wanted), describe(before.policy)), wanted)
    follow_rules(tx, act, before.policy, None)
    return True


def check_precondition(before: StoredPolicy | None, precondition: Precondition) -> None:
    """Raise PreconditionFailed when If-Match or If-None-Match does not hold (RFC 9110 13.1)."""
    if precondition.is_if_none_match and before is not None:
        raise PreconditionFailed("The policy exists already (If-None-Match: *).")
    wanted = precondition.if_match
    if not wanted:
        return
    if before is None or wanted not in ("*", before.etag):
        raise PreconditionFailed(
            "The policy was changed by somebody else in the meantime. Nothing was written.",
            advice="Read it again, apply your change to the current version, and send it with the "
            "new ETag.",
        )


def etag_of(policy: Policy) -> str:
    """A strong ETag over kind, machines, port rules and rules, and nothing else (EDGES A16)."""
    beside = policy_rules_json(policy)
    body = f"{policy.kind}\n{describe(policy)}" + (f"\n{json.dumps(beside)}" if beside else "")
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def describe(policy: Policy) -> str:
    """The rules as one canonical JSON text, for events and the ETag."""
    rules = [
        {
            "id": str(machine.machine_id),
            "publicIpAddress": machine.public_ip_address,
            "ports": list(map(flat_rule_json, machine.ports)),
        }
        for machine in policy.machines
    ]
    return json.dumps(rules, separators=(",", ":"))


def _inherit(policy: Policy, before: Policy | None, inherits: Inherits) -> Policy:
    """Give rules whose ``bascule`` object was absent what is stored for the same port.

    What is stored for another protocol of the number counts where nothing else is; of two rules
    that became one, the stricter.
    """
    if before is None or not inherits:
        return policy
    wanted = set(inherits)
    stored: dict[tuple[ResourceId, int], list[PortRule]] = {}
    for machine in before.machines:
        for rule in machine.ports:
            stored.setdefault((machine.machine_id, rule.number), []).append(rule)

    def kept(machine: MachineRules, rule: PortRule) -> PortRule:
        if (machine.machine_id, rule.number, rule.protocol) not in wanted:
            return rule
        of_number = stored.get((machine.machine_id, rule.number), [])
        olds = [old for old in of_number if set(old.port_keys) & set(rule.port_keys)] or of_number
        return rule.with_additions_of(olds) if olds else rule

    machines = tuple(
        replace(machine, ports=tuple(kept(machine, rule) for rule in machine.ports))
        for machine in policy.machines
    )
    return replace(policy, machines=machines)


def _without_told(tx: PolicyChangeWrites, policy: Policy, machines: Sequence[Machine]) -> Policy:
    """Without public addresses that we told ourselves, and that come back with the rest of a policy:
    stored, they would be told when the gateway has others.
    """
    written = {each.machine_id for each in policy.machines if each.public_ip_address is not None}
    named = {each.id: each.uid for each in machines if each.id in written}
    if not named:
        return policy
    told = public_addresses(tx, tx.points_of(sorted(named.values())))

    def kept(rules: MachineRules) -> MachineRules:
        ours = told.get(named.get(rules.machine_id, ""))
        is_ours = ours is not None and rules.public_ip_address == str(ours)
        return replace(rules, public_ip_address=None) if is_ours else rules

    return replace(policy, machines=tuple(map(kept, policy.machines)))


def _check(tx: RuleReads, act: Act, policy: Policy, before: Policy | None) -> list[Machine]:
    """The machines of a policy, in their stored spelling; raise with every problem at once.

    What is learnt later of a machine whose rules stay as they were stops nobody, and is not
    told here to whoever changes another's (EDGES A4).
    """
    problems = list(check_policy(policy))
    had = {rules.machine_id: rules.ports for rules in before.machines} if before else {}
    machines: list[Machine] = []
    for m, rules in enumerate(policy.machines):
        here = Place(Part.MACHINE, m, is_in_policy=True)
        machine = tx.machine(rules.machine_id)
        if machine is None:
            problems.append(
                Problem(
                    "MachineNotFound",
                    sentence(
                        "Machine {id} does not exist here. Add it first: bascule machine "
                        "add {machine}",
                        id=rules.machine_id,
                        machine=rules.machine_id.name,
                    ),
                    here,
                )
            )
            continue
        machines.append(machine)
        if had.get(machine.id) == rules.ports:
            continue
        if machine.location.casefold() != policy.id.location.casefold():
            problems.append(
                Problem(
                    "InvalidMachineLocation",
                    sentence(
                        "Machine {machine} is in location {location}, but this policy is "
                        "in {expected}. Use a policy in the machine's location.",
                        machine=machine.id.name,
                        location=machine.location,
                        expected=policy.id.location,
                    ),
                    here,
                )
            )
        point = tx.enforcement_point(machine.uid)
        if point is not None and point.managers:
            words = unable_words(Unable.MANAGED, machine.id.name)
            problems.append(Problem(Unable.MANAGED, words, here))
        problems.extend(own_ports.check_rules(tx, act, machine, rules, here))
    if problems:
        raise InvalidInput.of(problems)
    return machines


def _end_unallowed(tx: GrantEndWrites, act: Act, policy: Policy, machine: Machine) -> None:
    """End this policy's live grants that it does not allow any more, shorten the others."""
    live = [g for g in tx.live_grants([machine.uid]) if g.policy_id == policy.id]
    if not live:  # as at most machines; and to find one's rules takes a walk through all
        return
    rules = policy.rules_for(machine.id)
    ports = rules.ports if rules else ()
    gone: list[Grant] = []
    for grant in live:
        allowing = _rules_allowing(grant, ports)
        if not allowing:
            gone.append(grant)
            continue
        longest = min(rule.max_duration for rule in allowing)
        on_expiry, drain_for = strictest(allowing)
        if drain_for is not None and grant.drain_for is not None:  # its point keeps the shorter
            drain_for = min(drain_for, grant.drain_for)
        now_held = replace(grant, on_expiry=on_expiry, drain_for=drain_for)
        is_shorter = longest < grant.max_duration
        if is_shorter and grant.started_at + longest <= act.now:
            gone.append(grant)  # no end is moved into the past
        elif is_shorter:
            shorten(tx, act, now_held, longest)
        elif now_held != grant:
            change(tx, act, now_held)
    end_grants(tx, act, gone, StatusReason.USER_REQUESTED, f"change of {policy.id}")


def _rules_allowing(grant: Grant, ports: Iterable[PortRule]) -> Sequence[PortRule]:
    """The rules that allow all of it together, TCP by one and UDP by another; none otherwise."""
    allowing = [
        rule
        for rule in ports
        if set(grant.port_keys) & set(rule.port_keys) and is_within(grant.sources, rule.sources)
    ]
    allowed = {key for rule in allowing for key in rule.port_keys}
    return allowing if allowed.issuperset(grant.port_keys) else ()
