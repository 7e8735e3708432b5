"""Ports that a host needs for itself, which no policy may have closed (EDGES A4).

Its range for outbound connections, where a kill or UDP port would cut them, and a server's own
port on that server's own host, which would cut off its agents and everybody who asks it. Of several
servers on one database each refuses it for all: the database says where the others listen. Who is
refused learns nothing else of another server, such as its host's name. Refused when rules or addresses
are written; of what is learnt later the machine says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.features import KNOWN, too_old_words
from bascule.domain.machine import ClosedPort, EnforcementPoint, Machine
from bascule.domain.net import (
    Address,
    AddressPrefix,
    RuleProtocol,
    TransportProtocol,
    parse_address,
)
from bascule.domain.policy import MachineRules, PortRule, cannot_drain_words, drains, missing_for
from bascule.domain.weaknesses import SERVER_PORT_CLOSED, Weakness
from bascule.errors import InvalidInput, Part, Place, Problem
from bascule.interfaces.points import PointReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.replicas import ListeningReads
from bascule.sentences import Sentence, sentence
from bascule.services import closed_ports
from bascule.services.act import IN_PROCESS_KEY, Act, ServerPlace


class OwnPortReads(ListeningReads, PointReads, Protocol):
    """What is known of a machine's host, and where servers listen."""


class AddressReads(ListeningReads, PolicyReads, Protocol):
    """What policies close, and where servers listen."""


def check_rules(
    tx: OwnPortReads, act: Act, machine: Machine, rules: MachineRules, here: Place
) -> Iterable[Problem]:
    """Every port of these rules that this machine cannot have closed, as far as is known now."""
    yield from _check_agent(tx, machine, rules, here)
    yield from _check_host(tx, machine, rules, here)
    yield from _check_servers(tx, act, machine, rules, here)


def check_claims(
    tx: OwnPortReads, act: Act, machine: Machine, claims: Iterable[ClosedPort]
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
    return check_rules(tx, act, machine, MachineRules(machine.id, rules), Place(Part.PORTS))


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


def _check_servers(
    tx: OwnPortReads, act: Act, machine: Machine, rules: MachineRules, here: Place
) -> Iterable[Problem]:
    """Closing a server's own port on its own host would cut off its agents and everybody who asks it."""
    servers = [each for each in _servers(tx, act) if _is_host_of(tx, each, machine)]
    for p, rule in enumerate(rules.ports):
        cut_off = next((each for each in servers if _closes_server(rule, each.ports)), None)
        if cut_off is not None:
            words = _closing_words(cut_off, rule, machine)
            yield Problem("PortOfServer", words, replace(here, part=Part.NUMBER, port=p))


def _servers(tx: ListeningReads, act: Act) -> Sequence[ServerPlace]:
    """Where the servers of this database listen, this one first; read once in an act."""
    if act.place.is_alone:
        return (act.place,)
    if act.others is None:
        act.others = [
            ServerPlace(each.ports, each.addresses.__contains__, is_other=True)
            for each in tx.listening_replicas()
        ]
    return (act.place, *act.others)


def _is_host_of(tx: PointReads, server: ServerPlace, machine: Machine) -> bool:
    """Does this server run on this machine?"""
    point = None if server.is_other else tx.enforcement_point(machine.uid)
    is_inside = point is not None and point.public_key == IN_PROCESS_KEY
    return is_inside or any(map(server.is_own_address, machine.addresses))


def _closing_words(server: ServerPlace, rule: PortRule, machine: Machine) -> Sentence:
    if server.is_other:
        return sentence(
            "Another server of this installation listens on port {port} of {machine}, or did within "
            "the last day. Closing it would cut off the agents and users of that server. Use another "
            "port, or let that server listen elsewhere (serve --listen).",
            port=rule.number,
            machine=machine.id.name,
        )
    return sentence(
        "This server itself listens on port {port} of {machine}. Closing it "
        "would cut off all agents and users. Use another port, or let the "
        "server listen elsewhere (serve --listen).",
        port=rule.number,
        machine=machine.id.name,
    )


def check_addresses(tx: AddressReads, act: Act, machine: Machine, came: Iterable[Address]) -> None:
    """Raise InvalidInput when an address that came makes it the host of a server, and a
    policy names for it the port that the server listens on: the same, the other way round.
    """
    for address in came:
        for server in _servers(tx, act):
            if not server.is_own_address(address):
                continue
            rules = closed_ports.rules_naming(tx, machine)
            shut = {each.number for each in rules if _closes_server(each, server.ports)}
            if shut:
                raise InvalidInput(
                    _address_words(server, address, shut, machine),
                    code="AddressOfServer",
                    target="addresses",
                    advice=sentence(
                        "Remove the machine's rules first: bascule policy remove {machine}.",
                        machine=machine.id.name,
                    ),
                )


def _address_words(
    server: ServerPlace, address: Address, shut: Iterable[int], machine: Machine
) -> Sentence:
    ports = ", ".join(map(str, sorted(shut)))
    if server.is_other:
        return sentence(
            "{address} is an address of another server of this installation, and a policy names port "
            "{ports} of {machine}, on which that server listens, or did within the last day. Closing "
            "it would cut off the agents and users of that server.",
            address=address,
            ports=ports,
            machine=machine.id.name,
        )
    return sentence(
        "{address} is this server's own address, and a policy names port {ports} "
        "of {machine}, on which it listens. Closing it would cut off all agents "
        "and users.",
        address=address,
        ports=ports,
        machine=machine.id.name,
    )


def _closes_server(rule: PortRule, ports: Collection[int]) -> bool:
    return rule.number in ports and TransportProtocol.TCP in {
        key.protocol for key in rule.port_keys
    }


def _covers_udp(rule: PortRule) -> bool:
    return any(key.protocol is TransportProtocol.UDP for key in rule.port_keys)


def learnt_late(
    tx: ListeningReads, act: Act, point: EnforcementPoint, closed_there: Iterable[ClosedPort]
) -> tuple[Weakness, ...]:
    """What was learnt after the rules were set: that they are of a server's own host (A4)."""
    ports = {
        each.port.number for each in closed_there if each.port.protocol is TransportProtocol.TCP
    }
    if not ports:
        return ()
    there = [each for each in _servers(tx, act) if _is_beside(act, each, point)]
    shut = sorted(ports & frozenset().union(*(each.ports for each in there)))
    return (SERVER_PORT_CLOSED(ports=", ".join(map(str, shut))),) if shut else ()


def _is_beside(act: Act, server: ServerPlace, point: EnforcementPoint) -> bool:
    """Does the agent run beside this server, by the address that it calls from?"""
    if not server.is_other and point.public_key == IN_PROCESS_KEY:
        return True
    return bool(act.actor.address) and server.is_own_address(parse_address(act.actor.address))
