"""Rules and approvals of policies: who may write them, and what follows (EDGES J2).

Writing them, and whatever takes a machine or port out of their reach, takes RULES_WRITE at each
machine concerned. A write of a whole policy by somebody without it keeps them as they are stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.actions import RULES_WRITE
from bascule.domain.event import Actor
from bascule.domain.facts.policies import RulesChanged, RulesLoosened
from bascule.domain.ids import ResourceId
from bascule.domain.machine import Machine
from bascule.domain.net import RuleProtocol
from bascule.domain.policy import MachineRules, Policy, PortRule, approval_of
from bascule.domain.principals import Group
from bascule.domain.rules import Effect, Rule, has_tags
from bascule.domain.scopes import resource_scope
from bascule.domain.stages import Stage
from bascule.domain.tickets import TicketCheck
from bascule.errors import InvalidInput, Problem
from bascule.interfaces.approvals import ApprovalReads, ApprovalWrites
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import EventWrites
from bascule.protocol.rules import policy_rules_json
from bascule.services.act import Act
from bascule.services.rights import Needed, RightsReads, check, missing_of, rights_of


class RuleFollowWrites(ApprovalWrites, EventWrites, Protocol):
    """What follows from other rules."""


class TagFollowWrites(EventWrites, PolicyReads, Protocol):
    """What follows from other tags."""


class GroupFollowWrites(ApprovalReads, EventWrites, Protocol):
    """What follows from another membership."""


class GroupReads(ApprovalReads, RightsReads, Protocol):
    """Rules that read groups, and the right to change those."""


class TagReads(PolicyReads, RightsReads, Protocol):
    """Rules that read tags, and the right to change them."""


PortKey = tuple[ResourceId, int, RuleProtocol]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a caller left out, so that it stays as it is stored."""

    approvals: frozenset[PortKey] | None = None  # of these port rules; None: of all
    rules: bool = True
    self_approval: bool = True
    pending_for: bool = True
    tickets: bool = True


KEEP_ALL = Kept()
MOST_TOLD = 50  # changes that one event names


def subject_of(actor: Actor) -> Subject | None:
    """Whoever acts, to be asked for a right; None: the system itself."""
    if not actor.principal_id:
        return None
    return Subject(actor.principal_id, PrincipalKind(actor.kind), actor.name, actor.address)


def with_rules_kept(
    tx: RightsReads,
    act: Act,
    subject: Subject,
    policy: Policy,
    before: Policy | None,
    kept: Kept,
) -> Policy:
    """The policy with the rules and approvals that count when it is written.

    Raises Forbidden where it takes a machine or port out of their reach without the right to.
    """
    was = before or Policy(policy.id, policy.kind, ())
    if kept.rules:
        policy = replace(policy, rules=was.rules)
    if kept.self_approval:
        policy = replace(policy, self_approval=was.self_approval)
    if kept.pending_for:
        policy = replace(policy, pending_for=was.pending_for)
    policy = replace(policy, tickets=was.tickets if kept.tickets else _signed(policy, was))
    policy = _with_approvals(policy, was, kept.approvals)
    if not (policy.has_approval or was.has_approval or _beside(policy) != _beside(was)):
        return policy
    lacking = _lacking(tx, act, subject, {*_named(policy), *_named(was)})
    if lacking and _beside(policy) != _beside(was):
        policy = replace(
            policy,
            rules=was.rules,
            self_approval=was.self_approval,
            pending_for=was.pending_for,
            tickets=was.tickets,
        )
    if lacking:
        policy = _without_changes(policy, was, lacking)
    check_may_lift(tx, act, subject, was, policy)
    return policy


def _beside(policy: Policy) -> tuple[object, ...]:
    return policy.rules, policy.self_approval, policy.pending_for, policy.tickets


def _signed(policy: Policy, was: Policy) -> TicketCheck | None:
    """The ticket check that was given, with the secret that is stored for the same place.

    Without one where it is another place: ``policies`` refuses that (``check_signed``).
    """
    given, stored = policy.tickets, was.tickets
    if given is None or stored is None or not is_same_place(given, stored):
        return given
    return replace(given, secret_id=stored.secret_id, sealed_secret=stored.sealed_secret)


def is_same_place(one: TicketCheck, other: TicketCheck) -> bool:
    try:
        return one.target.authority == other.target.authority
    except InvalidInput:
        return False


def _named(policy: Policy) -> list[ResourceId]:
    return [each.machine_id for each in policy.machines]


def _lacking(
    tx: RightsReads, act: Act, subject: Subject, machines: Iterable[ResourceId]
) -> frozenset[ResourceId]:
    """The machines at which the subject may not write rules."""
    rights = rights_of(tx, subject.principal_id, act.now)
    return frozenset(
        each for each in machines if missing_of(rights, [Needed(RULES_WRITE, resource_scope(each))])
    )


def _with_approvals(policy: Policy, was: Policy, keys: frozenset[PortKey] | None) -> Policy:
    """Port rules with the approval that is stored for the same port, where none was given."""

    def kept(machine: MachineRules, rule: PortRule) -> PortRule:
        if keys is not None and (machine.machine_id, rule.number, rule.protocol) not in keys:
            return rule
        return replace(rule, approval=_stored(was, machine.machine_id, rule))

    return replace(
        policy,
        machines=tuple(
            replace(each, ports=tuple(kept(each, rule) for rule in each.ports))
            for each in policy.machines
        ),
    )


def _stored(was: Policy, machine_id: ResourceId, rule: PortRule) -> tuple[Stage, ...]:
    rules = was.rules_for(machine_id)
    of_number = [each for each in rules.ports if each.number == rule.number] if rules else []
    same = [each for each in of_number if set(each.port_keys) & set(rule.port_keys)]
    return approval_of(same or of_number)


def _without_changes(policy: Policy, was: Policy, lacking: frozenset[ResourceId]) -> Policy:
    """Port rules of these machines keep their approvals; new ones have none."""

    def kept(machine: MachineRules) -> MachineRules:
        if machine.machine_id not in lacking:
            return machine
        ports = (replace(r, approval=_stored(was, machine.machine_id, r)) for r in machine.ports)
        return replace(machine, ports=tuple(ports))

    return replace(policy, machines=tuple(map(kept, policy.machines)))


def check_may_lift(
    tx: RightsReads, act: Act, subject: Subject, before: Policy, after: Policy | None
) -> None:
    """Raise Forbidden unless the subject may take out of the reach of rules and approvals what this
    change takes out. None: the policy is deleted.
    """
    gone = [
        each.machine_id
        for each in before.machines
        if any(
            (before.rules or rule.approval) and not _names(after, each.machine_id, rule)
            for rule in each.ports
        )
    ]
    if gone:
        needed = [Needed(RULES_WRITE, resource_scope(each)) for each in dict.fromkeys(gone)]
        check(tx, subject, act.now, needed)


def _names(policy: Policy | None, machine_id: ResourceId, rule: PortRule) -> bool:
    rules = policy.rules_for(machine_id) if policy is not None else None
    held = {key for each in rules.ports for key in each.port_keys} if rules else set()
    return set(rule.port_keys) <= held


def check_may_write_rules(tx: RightsReads, act: Act, subject: Subject, policy: Policy) -> None:
    """Raise Forbidden unless the subject may write rules at each machine of it."""
    named = _named(policy) or [policy.id]
    needed = [Needed(RULES_WRITE, resource_scope(each)) for each in named]
    check(tx, subject, act.now, needed)


def check_named(tx: PrincipalReads, policy: Policy, before: Policy | None) -> None:
    """Raise InvalidInput with every user or group that is not there, of what is new."""
    had = set(before.rules) if before is not None else set()
    had_stages = {
        rule.approval for each in (before.machines if before else ()) for rule in each.ports
    }
    new = [each for each in policy.rules if each not in had]
    ports = [
        rule for each in policy.machines for rule in each.ports if rule.approval not in had_stages
    ]
    check = policy.tickets
    had_check = before is not None and before.tickets == check
    more = () if check is None or had_check else check.stages
    problems = list(check_names(tx, new, ports, "properties", more))
    if problems:
        raise InvalidInput.of(problems)


def check_names(
    tx: PrincipalReads,
    rules: Sequence[Rule],
    ports: Iterable[PortRule],
    target: str,
    more: Sequence[Stage] = (),
) -> Iterable[Problem]:
    """Users and groups that are named must be there: a name that is nobody's would deny nobody.

    ``more`` are further stages.
    """
    users: dict[str, None] = {}
    groups: dict[str, None] = {}
    stages = [stage for rule in rules for stage in rule.stages]
    stages += [*(stage for port in ports for stage in port.approval), *more]
    for each in (one for stage in stages for one in (stage.approvers, stage.escalate_to)):
        users.update(dict.fromkeys(each.users))
        groups.update(dict.fromkeys(each.groups))
    asking = [user for rule in rules for user in rule.conditions.users]
    groups.update(dict.fromkeys(group for rule in rules for group in rule.conditions.groups))
    for user in users:
        if tx.user(user) is None:
            yield _unknown("There is no user with the id {id}.", user, target)
    for caller in dict.fromkeys(asking):
        if tx.user(caller) is None and tx.service_principal(caller) is None:
            yield _unknown("There is no user or program with the id {id}.", caller, target)
    for group in groups:
        if tx.group(group) is None:
            yield _unknown("There is no group with the id {id}.", group, target)


def _unknown(template: str, known_id: str, target: str) -> Problem:
    return Problem("PrincipalNotFound", template.replace("{id}", known_id), target)


def check_may_tag(
    tx: TagReads, act: Act, subject: Subject, before: Machine, after: Machine
) -> None:
    """Raise Forbidden unless the subject may change the tags that a rule of its policies reads."""
    changed = _folded(before) ^ _folded(after)
    if not changed:
        return
    names = {name for name, _ in changed}
    read = {
        name.casefold()
        for stored in tx.policies_naming(before.id)
        for rule in stored.policy.rules
        for name, _ in rule.conditions.tags
    }
    if names & read:
        check(tx, subject, act.now, [Needed(RULES_WRITE, resource_scope(before.id))])


def follow_tags(tx: TagFollowWrites, act: Act, before: Machine, after: Machine) -> None:
    """Record which rules no longer restrict the machine, or now allow there, by its other tags."""
    for stored in tx.policies_naming(before.id):
        changes = [
            f"{rule.effect} rule {rule.name}: tags of {before.id} changed"
            for rule in stored.policy.rules
            for held in [has_tags(rule, before.tags)]
            if held is not has_tags(rule, after.tags) and held is not _allows(rule)
        ]
        _record_loosened(tx, act, stored.policy, changes)


def follow_group(tx: GroupFollowWrites, act: Act, group: Group, *, grew: bool) -> None:
    """Record which rules say less, or allow more, because somebody came into a group or left it."""
    for stored in tx.policies_with_approval():
        changes = [
            f"{rule.effect} rule {rule.name}: "
            f"{'somebody was added to' if grew else 'somebody was removed from'} group {group.name}"
            for rule in stored.policy.rules
            if group.id in rule.conditions.groups and grew is _allows(rule)
        ]
        _record_loosened(tx, act, stored.policy, changes)


def _allows(rule: Rule) -> bool:
    return rule.effect is Effect.ALLOW


def check_may_regroup(tx: GroupReads, act: Act, subject: Subject, group_id: str) -> None:
    """Raise Forbidden unless the subject may change who is in a group that a rule or approval reads:
    it takes the right to write rules at each machine of its policy.
    """
    reading = [
        stored.policy for stored in tx.policies_with_approval() if _reads(stored.policy, group_id)
    ]
    needed = [
        Needed(RULES_WRITE, resource_scope(each)) for policy in reading for each in _named(policy)
    ]
    if needed:
        check(tx, subject, act.now, list(dict.fromkeys(needed)))


def _reads(policy: Policy, group_id: str) -> bool:
    stages = [stage for rule in policy.rules for stage in rule.stages]
    stages += [stage for each in policy.machines for rule in each.ports for stage in rule.approval]
    stages += () if policy.tickets is None else policy.tickets.stages
    return any(group_id in rule.conditions.groups for rule in policy.rules) or any(
        group_id in approvers.groups
        for stage in stages
        for approvers in (stage.approvers, stage.escalate_to)
    )


def _folded(machine: Machine) -> set[tuple[str, str]]:
    return {(name.casefold(), value) for name, value in machine.tags.items()}


def follow_rules(
    tx: RuleFollowWrites, act: Act, before: Policy | None, after: Policy | None
) -> None:
    """Record what changed of the rules, and have requests judged anew that wait at its machines."""
    machines = {each for policy in (before, after) if policy is not None for each in _named(policy)}
    tx.judge_anew(machines=machines)
    policy = after or before
    if policy is None:
        return
    was, now = _text(before), _text(after)
    if was != now:
        act.record(tx, RulesChanged(str(policy.id), now, was), policy.id)
    _record_loosened(tx, act, policy, loosened(before, after))


def _record_loosened(tx: EventWrites, act: Act, policy: Policy, changes: Sequence[str]) -> None:
    if changes:
        act.record(tx, RulesLoosened(str(policy.id), tuple(changes[:MOST_TOLD])), policy.id)


def _text(policy: Policy | None) -> str:
    beside = {} if policy is None else policy_rules_json(policy)
    return json.dumps(beside, separators=(",", ":")) if beside else ""


def loosened(before: Policy | None, after: Policy | None) -> Sequence[str]:
    """What may be allowed now and was not, or not without approval, in words for the record."""
    if before is None:
        return []
    now = {} if after is None else {each.key: each for each in after.rules}
    was = {each.key: each for each in before.rules}
    found = [
        f"{rule.effect} rule {rule.name}: {_what(rule, now.get(rule.key))}"
        for rule in before.rules
        if rule.effect is not Effect.ALLOW and now.get(rule.key) != rule
    ]
    found += [
        f"allow rule {rule.name}: {'changed' if rule.key in was else 'added'}"
        for rule in now.values()
        if rule.effect is Effect.ALLOW and was.get(rule.key) != rule
    ]
    if before.tickets is not None and (after is None or after.tickets != before.tickets):
        found.append(
            f"ticket check: {'removed' if after is None or not after.tickets else 'changed'}"
        )
    if after is not None and after.self_approval and not before.self_approval:
        found.append("selfApproval: allowed")
    for machine in before.machines:
        for port in machine.ports:
            found += _loosened_port(machine.machine_id, port, before, after)
    return found


def _what(rule: Rule, now: Rule | None) -> str:
    return (
        "removed"
        if now is None
        else "changed"
        if now.effect is rule.effect
        else f"now {now.effect}"
    )


def _loosened_port(
    machine_id: ResourceId, port: PortRule, before: Policy, after: Policy | None
) -> Iterable[str]:
    if not _names(after, machine_id, port):
        if before.rules or port.approval:
            yield f"port {port.number}/{port.protocol} of {machine_id}: removed"
        return
    rules = after.rules_for(machine_id) if after is not None else None
    held = [each for each in rules.ports if each.number == port.number] if rules else []
    if any(
        set(each.port_keys) & set(port.port_keys) and not set(port.approval) <= set(each.approval)
        for each in held
    ):
        yield f"approval of port {port.number}/{port.protocol} of {machine_id}: changed"
