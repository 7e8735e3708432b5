"""Which ports of a machine are closed, and the few acts that release one (EDGES A10).

A port is closed from the moment a policy names it. It stays closed when policies stop naming
it; it is let go by deleting the policy that names it (and no other does), by removing
the machine's rules, or by releasing it by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bascule.domain.facts.machines import PortClosed, PortLeftPolicies, PortReleased
from bascule.domain.machine import Machine
from bascule.domain.net import PortKey
from bascule.domain.policy import Policy, PortRule, closed_union
from bascule.errors import Conflict
from bascule.interfaces.closed_ports import ClosedPortReads, ClosedPortWrites, GenerationWrites
from bascule.interfaces.points import PointReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.public_ports import PublicPortWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services import public_ports
from bascule.services.act import Act
from bascule.services.grants import touch


class ClosingWrites(
    ClosedPortWrites,
    EventWrites,
    GenerationWrites,
    PointReads,
    PolicyReads,
    PublicPortWrites,
    Protocol,
):
    """Closed ports, what policies name, and what is told of both."""


MOST_PORTS = 16_384  # of one machine that its agent is told of: closed, or let go (EDGES E4)


def rules_naming(tx: PolicyReads, machine: Machine) -> tuple[PortRule, ...]:
    """Every port rule of every policy for this machine; no more of those policies is read."""
    return tuple(rule for _, rules in tx.rules_at([machine.id]) for rule in rules.ports)


def named_ports(tx: PolicyReads, machine: Machine) -> frozenset[PortKey]:
    """The ports that some policy names on this machine."""
    return frozenset(key for rule in rules_naming(tx, machine) for key in rule.port_keys)


def follow_policies(
    tx: ClosingWrites, act: Act, machine: Machine, before: frozenset[PortKey]
) -> None:
    """Close what policies now name; note what they stopped naming since ``before``."""
    held = {closed.port: closed for closed in tx.closed_ports(machine.uid)}
    rules = rules_naming(tx, machine)
    wanted = closed_union(rules)
    changed = [closed for closed in wanted if held.get(closed.port) != closed]
    check_room(tx, machine, (each.port for each in changed))
    for closed in sorted(changed, key=lambda each: each.port):
        tx.put_closed_port(machine.uid, closed)
        act.record(tx, PortClosed(str(machine.id), str(closed.port), closed.on_expiry), machine.id)
    for port in sorted(before - {closed.port for closed in wanted}):
        act.record(tx, PortLeftPolicies(str(machine.id), str(port)), machine.id)
    has_let_go = public_ports.keep_named(
        tx, act, machine, {key for rule in rules for key in rule.port_keys}
    )
    if changed or has_let_go:
        touch(tx, act, machine.uid)


def release(
    tx: ClosingWrites, act: Act, machine: Machine, ports: Iterable[PortKey], by: str
) -> tuple[PortKey, ...]:
    """Let ports go, each with its event; the caller has made sure that no policy names them.

    A port that the server does not hold closed is released all the same: the machine's
    enforcement point may hold it from an earlier life (EDGES A12). What the host's own guard
    keeps closed is not released: it is closed, in no policy.
    """
    released = tuple(sorted(set(ports)))
    if not released or not may_release(tx, machine):
        return ()
    check_room(tx, machine, released)
    generation = touch(tx, act, machine.uid)
    for port in released:
        tx.release_port(machine.uid, port, generation)
        act.record(tx, PortReleased(str(machine.id), str(port), by), machine.id)
    return released


def check_room(tx: ClosedPortReads, machine: Machine, ports: Iterable[PortKey]) -> None:
    """Raise Conflict when the machine's agent would be told of more ports than MOST_PORTS."""
    known = {each.port for each in tx.closed_ports(machine.uid)} | set(
        tx.released_ports(machine.uid)
    )
    new = set(ports) - known
    if new and len(known) + len(new) > MOST_PORTS:
        raise Conflict(
            sentence(
                "{machine} would have {count} closed or released ports; at most {most} "
                "are allowed.",
                machine=machine.id.name,
                count=len(known) + len(new),
                most=MOST_PORTS,
            ),
            code="TooManyKnownPorts",
            advice=sentence(
                "Give fewer ports. A new enrolment forgets the released ones: bascule "
                "machine enrol {machine} --replace.",
                machine=machine.id.name,
            ),
        )


def may_release(tx: PointReads, machine: Machine) -> bool:
    """Does the host, as far as it has said, let a server release its ports?"""
    point = tx.enforcement_point(machine.uid)
    return point is None or point.guard is None or point.guard.may_release


def release_unnamed(
    tx: ClosingWrites, act: Act, machine: Machine, policy: Policy, by: str
) -> tuple[PortKey, ...]:
    """Let go what ``policy`` named on a machine and no policy names any more."""
    rules = policy.rules_for(machine.id)
    if rules is None:
        return ()
    named_then = {key for rule in rules.ports for key in rule.port_keys}
    left = named_then - named_ports(tx, machine)
    if not may_release(tx, machine):
        for each in sorted(left):
            act.record(tx, PortLeftPolicies(str(machine.id), str(each)), machine.id)
    return release(tx, act, machine, left, by)
