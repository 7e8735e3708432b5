"""Ports that a host needs for itself, which no policy may have closed (EDGES A4).

Its range for outbound connections, where a kill or UDP port would cut them, and the server's own
port on the server's own host, which would shut off every agent and everybody who asks. Refused
when rules or addresses are written; of what is learnt later the machine says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from bascule.domain.features import KNOWN, too_old_words
from bascule.domain.machine import ClosedPort, EnforcementPoint, Machine
from bascule.domain.net import Address, AddressPrefix, TransportProtocol, parse_address
from bascule.domain.policy import (
    MAXIMUM_DURATION,
    MachineRules,
    PortRule,
    RuleProtocol,
    cannot_drain_words,
    drains,
    missing_for,
)
from bascule.domain.weaknesses import SERVER_PORT_CLOSED, Weakness
from bascule.errors import InvalidInput, Part, Place, Problem
from bascule.interfaces.points import PointReads
from bascule.interfaces.policies import PolicyReads
from bascule.sentences import sentence
from bascule.services import closed_ports
from bascule.services.act import IN_PROCESS_KEY, Act, ServerPlace


def check_rules(
    tx: PointReads, place: ServerPlace, machine: Machine, rules: MachineRules, here: Place
) -> Iterable[Problem]:
    """Every port of these rules that this machine cannot have closed, as far as is known now."""
    yield from _check_agent(tx, machine, rules, here)
    yield from _check_host(tx, machine, rules, here)
    yield from _check_server(tx, place, machine, rules, here)


def check_claims(
    tx: PointReads, place: ServerPlace, machine: Machine, claims: Iterable[ClosedPort]
) -> Iterable[Problem]:
    """The same of ports that its agent alone keeps closed."""
    everybody = (AddressPrefix(None),)
    rules = tuple(
        PortRule(
            each.port.number,
            RuleProtocol(each.port.protocol),
            everybody,
            MAXIMUM_DURATION,
            each.on_expiry,
        )
        for each in claims
    )
    return check_rules(tx, place, machine, MachineRules(machine.id, rules), Place(Part.PORTS))


def _check_agent(
    tx: PointReads, machine: Machine, rules: MachineRules, here: Place
) -> Iterable[Problem]:
    """A rule that takes more of the agent than its version knows (EDGES F4)."""
    point = tx.points_of([machine.uid]).get(machine.uid)
    knows = KNOWN if point is None else point.knows
    for p, rule in enumerate(rules.ports):
        if missing := missing_for([rule], knows):
            yield Problem(
                "AgentTooOld",
                too_old_words(machine.id.name, missing),
                replace(here, part=Part.NUMBER, port=p),
            )
        if point is not None and point.lacks("drains") and drains(rule):
            words = cannot_drain_words(machine.id.name)
            yield Problem("CannotDrain", words, replace(here, part=Part.NUMBER, port=p))


def _check_host(
    tx: PointReads, machine: Machine, rules: MachineRules, here: Place
) -> Iterable[Problem]:
    """A kill or UDP port in the host's ephemeral range would cut its own connections."""
    point = tx.enforcement_point(machine.uid)
    if point is None or point.local_port_range is None:
        return
    low, high = point.local_port_range
    for p, rule in enumerate(rules.ports):
        kills = any(closed.is_kill for closed in rule.closed_ports())
        if kills and low <= rule.number <= high:
            what = "UDP" if _covers_udp(rule) else f"onExpiry {rule.on_expiry}"
            yield Problem(
                "PortInLocalRange",
                sentence(
                    "Port {port} ({what}) is in the range that {machine} uses for its own"
                    " outbound connections, {low} to {high} "
                    "(net.ipv4.ip_local_port_range). Closing it would break them. Use a "
                    "TCP rule with keep, use another port, or change the range.",
                    port=rule.number,
                    what=what,
                    machine=machine.id.name,
                    low=low,
                    high=high,
                ),
                replace(here, part=Part.NUMBER, port=p),
            )


def _check_server(
    tx: PointReads, place: ServerPlace, machine: Machine, rules: MachineRules, here: Place
) -> Iterable[Problem]:
    """Closing the server's own port on its own host would shut off every agent and person."""
    shut = [p for p, rule in enumerate(rules.ports) if _closes_server(rule, place.ports)]
    if not shut:
        return
    point = tx.enforcement_point(machine.uid)
    is_inside = point is not None and point.public_key == IN_PROCESS_KEY
    if is_inside or any(map(place.is_own_address, machine.addresses)):
        for p in shut:
            yield Problem(
                "PortOfServer",
                sentence(
                    "This server itself listens on port {port} of {machine}. Closing it "
                    "would cut off all agents and users. Use another port, or let the "
                    "server listen elsewhere (serve --listen).",
                    port=rules.ports[p].number,
                    machine=machine.id.name,
                ),
                replace(here, part=Part.NUMBER, port=p),
            )


def check_addresses(
    tx: PolicyReads, place: ServerPlace, machine: Machine, came: Iterable[Address]
) -> None:
    """Raise InvalidInput when an address that came makes it the host of this server, and a
    policy names for it the port that the server listens on: the same, the other way round.
    """
    shut = {
        r.number for r in closed_ports.rules_naming(tx, machine) if _closes_server(r, place.ports)
    }
    own = [each for each in came if place.is_own_address(each)] if shut else []
    if own:
        raise InvalidInput(
            sentence(
                "{address} is this server's own address, and a policy names port {ports} "
                "of {machine}, on which it listens. Closing it would cut off all agents "
                "and users.",
                address=own[0],
                ports=", ".join(map(str, sorted(shut))),
                machine=machine.id.name,
            ),
            code="AddressOfServer",
            target="addresses",
            advice=sentence(
                "Remove the machine's rules first: bascule policy remove {machine}.",
                machine=machine.id.name,
            ),
        )


def _closes_server(rule: PortRule, ports: Collection[int]) -> bool:
    return rule.number in ports and TransportProtocol.TCP in {
        key.protocol for key in rule.port_keys
    }


def _covers_udp(rule: PortRule) -> bool:
    return any(key.protocol is TransportProtocol.UDP for key in rule.port_keys)


def learnt_late(
    act: Act, point: EnforcementPoint, closed_there: Iterable[ClosedPort]
) -> tuple[Weakness, ...]:
    """What was learnt after the rules were set: that they are of the server's own host (A4)."""
    ports = {
        each.port.number for each in closed_there if each.port.protocol is TransportProtocol.TCP
    }
    shut = sorted(ports & act.place.ports)
    if not shut or not _is_of_own_host(act, point):
        return ()
    return (SERVER_PORT_CLOSED(ports=", ".join(map(str, shut))),)


def _is_of_own_host(act: Act, point: EnforcementPoint) -> bool:
    """Does the agent run beside the server, by the address that it calls from?"""
    if point.public_key == IN_PROCESS_KEY:
        return True
    return bool(act.actor.address) and act.place.is_own_address(parse_address(act.actor.address))
