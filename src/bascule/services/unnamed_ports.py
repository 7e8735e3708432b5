"""Closed ports that no policy names: an owner releases them, or takes them over (EDGES A10, E7).

A port stays closed when policies stop naming it. An agent may also claim ports: it keeps them
closed, and this server does not know of them. What is not here: the ports that policies name
(``policies``), and the writing of either (``closed_ports``).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.bounds import GUARD_FILE
from bascule.domain.facts.machines import PortClosed
from bascule.domain.ids import ResourceId
from bascule.domain.net import PortKey
from bascule.errors import Conflict, InvalidInput
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import PlanReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.replicas import ListeningReads
from bascule.interfaces.roles import RoleReads
from bascule.sentences import sentence
from bascule.services import closed_ports, own_ports
from bascule.services.act import Act
from bascule.services.claims import claimed_ports
from bascule.services.closed_ports import ClosingWrites
from bascule.services.grants import touch
from bascule.services.known_machine import known_machine
from bascule.services.policy_rights import check_may_set_rules


class UnnamedPortWrites(
    ClosingWrites, ListeningReads, MachineReads, PlanReads, PrincipalReads, RoleReads, Protocol
):
    """Closed ports, what policies name, and the right to release a port."""


def release_ports(
    tx: UnnamedPortWrites,
    act: Act,
    subject: Subject,
    machine_id: ResourceId,
    ports: Collection[PortKey] | None,
) -> tuple[PortKey, ...]:
    """Release these ports; None: all that are closed, or claimed to be, and in no policy.

    Raises Conflict for a port that a policy names, which would be closed again at once, and
    where the host does not allow releases.
    """
    check_may_set_rules(tx, act, subject, machine_id)
    machine = known_machine(tx, machine_id)
    named = closed_ports.named_ports(tx, machine)
    if ports is None:
        known = tx.closed_ports(machine.uid) | claimed_ports(tx, machine.uid)
        ports = {each.port for each in known} - named
    still_named = sorted(set(ports) & named)
    if still_named:
        raise Conflict(
            sentence(
                "A policy still names port {ports} of {machine}.",
                ports=", ".join(map(str, still_named)),
                machine=machine.id.name,
            ),
            code="PortInPolicy",
            advice=sentence(
                "Remove it from the policy first: bascule policy remove {machine}.",
                machine=machine.id.name,
            ),
        )
    if ports and not closed_ports.may_release(tx, machine):
        raise Conflict(
            sentence(
                "The host {machine} keeps {ports} closed, because its guard file does not"
                " allow releases.",
                machine=machine.id.name,
                ports=", ".join(map(str, sorted(ports))),
            ),
            code="ReleaseNotAdmittedByHost",
            advice=sentence(
                "To allow them, root on the host sets release = true in {file} and "
                "restarts the agent.",
                file=GUARD_FILE,
            ),
        )
    return closed_ports.release(tx, act, machine, ports, "release by name")


def take_ports(
    tx: UnnamedPortWrites,
    act: Act,
    subject: Subject,
    machine_id: ResourceId,
    ports: Collection[PortKey] | None,
) -> tuple[PortKey, ...]:
    """Make ports that only the machine's agent keeps closed ports of the server; None: all of them.

    Raises Conflict for a port that the agent does not claim, InvalidInput for one that this
    host needs for itself or for the server (EDGES A4, E7).
    """
    check_may_set_rules(tx, act, subject, machine_id)
    machine = known_machine(tx, machine_id)
    claims = {each.port: each for each in claimed_ports(tx, machine.uid)}
    wanted = sorted(set(claims) if ports is None else set(ports))
    missing = [port for port in wanted if port not in claims]
    if missing:
        raise Conflict(
            sentence(
                "Port {ports} of {machine} is not claimed closed.",
                ports=", ".join(map(str, missing)),
                machine=machine.id.name,
            ),
            code="PortNotClaimed",
            advice=sentence(
                "To see claimed ports: bascule machine show {machine}.", machine=machine.id.name
            ),
        )
    problems = list(own_ports.check_claims(tx, act, machine, [claims[port] for port in wanted]))
    if problems:
        raise InvalidInput.of(problems)
    closed_ports.check_room(tx, machine, wanted)
    for port in wanted:
        tx.put_closed_port(machine.uid, claims[port])
        act.record(tx, PortClosed(str(machine.id), str(port), claims[port].on_expiry), machine.id)
    if wanted:
        touch(tx, act, machine.uid)
    return tuple(wanted)
