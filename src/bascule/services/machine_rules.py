"""The port rules of one machine, or the same on several, without the others' (EDGES A16).

Needs the right at these machines alone. What is not here: whole policies (``policies``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from bascule.domain.access import Subject
from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.machine import Machine
from bascule.domain.net import RuleProtocol
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.errors import PreconditionFailed
from bascule.interfaces.policies import PolicyReads, StoredPolicy
from bascule.sentences import sentence
from bascule.services import closed_ports
from bascule.services.access_rules import KEEP_ALL, Kept, check_may_lift
from bascule.services.act import Act
from bascule.services.known_machine import known_machine
from bascule.services.policies import (
    NO_PRECONDITION,
    PolicyChangeWrites,
    Precondition,
    etag_of,
    write_policy,
    write_whole,
)
from bascule.services.policy_rights import check_may_set_rules


def put_machine_rules(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    machine_id: ResourceId,
    ports: tuple[PortRule, ...],
    policy_name: str,
    inherits: Collection[tuple[int, RuleProtocol]],
    precondition: Precondition = NO_PRECONDITION,
    kept: Kept = KEEP_ALL,
) -> StoredPolicy:
    """Set one machine's rules in one policy, the others' untouched; made when absent.

    What it needs, it needs at the machine alone.
    """
    check_may_set_rules(tx, act, subject, machine_id)
    machine = known_machine(tx, machine_id)
    wanted = policy_beside(machine, policy_name)
    before = tx.policy(wanted)
    policy = before.policy if before else Policy(wanted, "Basic", ())
    had = policy.rules_for(machine.id)
    rules = MachineRules(machine.id, ports, had.public_ip_address if had else None)
    inherited = [(machine.id, *each) for each in inherits]
    wanted_rules = policy.with_rules(rules)
    return write_whole(tx, act, subject, wanted_rules, inherited, precondition, kept)


def put_rules_of_machines(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    tags: Mapping[ResourceId, str],
    ports: tuple[PortRule, ...],
    policy_name: str,
) -> None:
    """Set the same rules on several machines, all or none; ``tags`` are what ``rules_tag`` said
    of each when its rules were read. Raises PreconditionFailed when one has changed since.
    """
    for machine_id in tags:
        check_may_set_rules(tx, act, subject, machine_id)
    beside: dict[ResourceId, list[Machine]] = {}
    for machine_id, tag in tags.items():
        machine = known_machine(tx, machine_id)
        if rules_tag(tx, machine, policy_name) != tag:
            raise PreconditionFailed(
                sentence(
                    "The rules of {machine} were changed by somebody else in the "
                    "meantime. Nothing was written.",
                    machine=machine.id.name,
                ),
                advice="Read the current rules, and apply your change to them.",
            )
        beside.setdefault(policy_beside(machine, policy_name), []).append(machine)
    for wanted, machines in beside.items():
        _put_same(tx, act, subject, wanted, machines, ports)


def _put_same(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    wanted: ResourceId,
    machines: Iterable[Machine],
    ports: tuple[PortRule, ...],
) -> None:
    """The policy is written once, however many of its machines change."""
    before = tx.policy(wanted)
    policy = before.policy if before else Policy(wanted, "Basic", ())
    for machine in machines:
        had = policy.rules_for(machine.id)
        address = had.public_ip_address if had else None
        policy = policy.with_rules(MachineRules(machine.id, ports, address))
    write_whole(tx, act, subject, policy, (), NO_PRECONDITION)


def policy_beside(machine: Machine, policy_name: str) -> ResourceId:
    """The policy of that name that one machine's rules are written to."""
    where = machine.id
    return policy_id(where.subscription_id, where.resource_group, machine.location, policy_name)


def rules_tag(tx: PolicyReads, machine: Machine, policy_name: str) -> str:
    """What changes with this machine's rules in that policy and with no other machine's."""
    stored = tx.policy(policy_beside(machine, policy_name))
    rules = stored.policy.rules_for(machine.id) if stored else None
    if stored is None or rules is None:
        return ""
    return etag_of(replace(stored.policy, machines=(rules,))).strip('"')


def delete_machine_rules(
    tx: PolicyChangeWrites, act: Act, subject: Subject, machine_id: ResourceId
) -> bool:
    """Take a machine out of every policy and open what they named; False when none did."""
    check_may_set_rules(tx, act, subject, machine_id)
    machine = known_machine(tx, machine_id)
    naming = list(tx.policies_naming(machine.id))
    named = closed_ports.named_ports(tx, machine)
    for stored in naming:
        check_may_lift(tx, act, subject, stored.policy, stored.policy.without(machine.id))
    for stored in naming:
        write_policy(tx, act, stored.policy.without(machine.id), stored, [machine])
    if naming:
        closed_ports.release(tx, act, machine, named, "removal of the machine's rules")
    return bool(naming)
