"""What an enforcement point holds, as rules of an Azure network security group.

Source: names, descriptions, shape and priorities of the rules that Azure's just-in-time
access writes (CONTRACT 2.4, 2.5), with a prefix of our own. Azure's bounds: a name of 80
characters, a description of 140, priorities from 100 to 4096, one address family a rule.

Rules: an allow rule stands above every deny rule; priorities begin at two anchors and take
the next free number; what does not fit in between is gathered into rules of many sources,
and what does not fit even then is counted and left out, never put below a deny.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bascule.domain.ids import is_guid
from bascule.domain.machine import ClosedPort, Machine
from bascule.domain.net import ANY, Address, AddressPrefix, PortKey, TransportProtocol
from bascule.errors import ConfigurationError

PREFIX = "BasculeJITRule"
LONGEST_DESCRIPTION = 140
LOWEST_PRIORITY, HIGHEST_PRIORITY = 100, 4096
MOST_SOURCES = 4000  # of one rule, Azure's bound
_MOST_DENIES = 6  # three kinds of protocol, two address families
_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class Anchors:
    """Where the priorities of allow and of deny rules begin."""

    allow: int = 100
    deny: int = 1000

    def __post_init__(self) -> None:
        last = HIGHEST_PRIORITY - _MOST_DENIES + 1
        if not LOWEST_PRIORITY <= self.allow < self.deny <= last:
            raise ConfigurationError(
                f"Priorities {self.allow} (allow) and {self.deny} (deny) are invalid: they must "
                f"be from {LOWEST_PRIORITY} to {last}, and allow must be the smaller number, "
                f"because a smaller number takes precedence."
            )


@dataclass(frozen=True, slots=True)
class HeldOpening:
    """One opening that the enforcement point was read back to hold."""

    id: str  # of the grant, or of what root opened on the host
    ports: tuple[PortKey, ...]
    sources: tuple[AddressPrefix, ...]
    policy: str = ""  # name; empty: root on the host opened it
    request_id: str = ""
    ends_at: datetime | None = None
    # Of what root opened at a gateway: the gateway's machine, its uid and its name; empty: on the host.
    point_uid: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class SecurityRule:
    name: str
    description: str
    protocol: str  # Tcp, Udp or *
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    ports: tuple[int, ...]
    is_allow: bool
    priority: int
    openings: tuple[HeldOpening, ...] = ()  # of an allow rule


@dataclass(frozen=True, slots=True)
class RuleView:
    rules: tuple[SecurityRule, ...]  # the strongest first
    left_out: int = 0  # allow rules that no priority was left for


def security_rules(
    machine: Machine,
    closed: Iterable[ClosedPort],
    openings: Iterable[HeldOpening],
    policies: Sequence[str],
    anchors: Anchors,
) -> RuleView:
    """The rules of one machine's group; ``policies`` are the names of those that name it."""
    shut = frozenset(each.port for each in closed)
    denies = _number(_denies(machine, shut, policies), anchors.deny)
    room = anchors.deny - anchors.allow
    allows = list(_allows(machine, shut, openings))
    if len(allows) > room:
        allows = list(_gathered(machine, allows))
    numbered = _number(allows[:room], anchors.allow)
    return RuleView((*numbered, *denies), max(0, len(allows) - room))


def _number(rules: Iterable[SecurityRule], first: int) -> tuple[SecurityRule, ...]:
    return tuple(replace(rule, priority=first + place) for place, rule in enumerate(rules))


def _denies(
    machine: Machine, shut: frozenset[PortKey], policies: Sequence[str]
) -> Iterable[SecurityRule]:
    """One rule a protocol and address family, with all its ports."""
    by_protocol: dict[str, list[int]] = {}
    for number in sorted({port.number for port in shut}):
        carried = [port.protocol for port in shut if port.number == number]
        by_protocol.setdefault(protocol_word(carried), []).append(number)
    for protocol, numbers in sorted(by_protocol.items()):
        for destinations in _reached_by(0, machine.addresses):
            yield SecurityRule(
                rule_name(machine.uid, f"deny {protocol} {destinations}", is_allow=False),
                deny_description(policies, machine.id.name),
                protocol,
                (ANY,),
                destinations,
                tuple(numbers),
                is_allow=False,
                priority=0,
            )


def _allows(
    machine: Machine, shut: frozenset[PortKey], openings: Iterable[HeldOpening]
) -> Iterable[SecurityRule]:
    """One rule an opening and address family; of a port that is not closed there is none."""
    for opening in openings:
        ports = [port for port in opening.ports if port in shut]
        if not ports:
            continue
        for family, sources in _by_family(opening.sources):
            for destinations in _reached_by(family, machine.addresses):
                yield SecurityRule(
                    rule_name(machine.uid, f"{opening.id} {family} {destinations}", is_allow=True),
                    allow_description(opening.policy, machine.id.name),
                    protocol_word(port.protocol for port in ports),
                    sources,
                    destinations,
                    tuple(sorted({port.number for port in ports})),
                    is_allow=True,
                    priority=0,
                    openings=(opening,),
                )


def _gathered(machine: Machine, rules: Iterable[SecurityRule]) -> Iterable[SecurityRule]:
    """Rules that differ in their sources alone, as few rules of many sources."""
    alike: dict[tuple[object, ...], list[SecurityRule]] = {}
    for rule in rules:
        is_ipv6 = ":" in rule.sources[0]
        key = (rule.description, rule.protocol, rule.destinations, rule.ports, is_ipv6)
        alike.setdefault(key, []).append(rule)
    for what, same in alike.items():
        sources = tuple(dict.fromkeys(source for rule in same for source in rule.sources))
        if ANY in sources:
            sources = (ANY,)
        for start in range(0, len(sources), MOST_SOURCES):
            some = frozenset(sources[start : start + MOST_SOURCES])
            yield replace(
                same[0],
                name=rule_name(machine.uid, f"{what} {start}", is_allow=True),
                sources=sources[start : start + MOST_SOURCES],
                openings=tuple(
                    opening
                    for rule in same
                    if ANY in some or not some.isdisjoint(rule.sources)
                    for opening in rule.openings
                ),
            )


def protocol_word(carried: Iterable[TransportProtocol]) -> str:
    """A security rule's word for one protocol, or for both."""
    found = set(carried)
    if len(found) > 1:
        return ANY
    return "Tcp" if TransportProtocol.TCP in found else "Udp"


def _reached_by(family: int, addresses: Sequence[Address]) -> Sequence[tuple[str, ...]]:
    """The machine's addresses that a source of this family comes to, one entry a family.

    Family 0 comes to all. Where none is known it is everything: what is held is told.
    """
    wanted = (family,) if family else sorted({address.version for address in addresses})
    found = [
        tuple(str(each) for each in addresses if each.version == version) for version in wanted
    ]
    return [some for some in found if some] or [(ANY,)]


def _by_family(
    sources: Sequence[AddressPrefix],
) -> Iterable[tuple[int, tuple[str, ...]]]:
    """Sources by family; ``*`` is family 0: it goes with each, and covers the others."""
    if any(source.network is None for source in sources):
        return [(0, (ANY,))]
    networks = [network for source in sources for network in source.networks]
    return [
        (family, tuple(str(AddressPrefix(each)) for each in networks if each.version == family))
        for family in sorted({network.version for network in networks})
    ]


def rule_name(machine_uid: str, what: str, *, is_allow: bool) -> str:
    """Azure's pattern: hex digits that are the machine's own, a signed number for the rule.

    The number is the same whenever it is asked for.
    """
    digits = machine_uid.replace("-", "") if is_guid(machine_uid) else _digest(machine_uid).hex()
    number = int.from_bytes(_digest(what)[:4], "big", signed=True)
    mark = "-" if is_allow else "_"
    return f"{PREFIX}{mark}{number}{mark}{digits[:32].upper()}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def deny_description(policies: Sequence[str], machine: str) -> str:
    if not policies:
        return _fitted("Bascule JIT Network Access rule of VM '{1}', in no policy.", "", machine)
    named = "', '".join(policies)
    word = "policy" if len(policies) == 1 else "policies"
    return _fitted(
        f"Bascule JIT Network Access rule for {word} '{{0}}' of VM '{{1}}'.", named, machine
    )


def allow_description(policy: str, machine: str) -> str:
    if not policy:
        return _fitted(
            "Bascule JIT Network Access rule opened by root on the host of VM '{1}'.", "", machine
        )
    return _fitted(
        "Bascule JIT Network Access rule created by an initiation request for policy '{0}' of "
        "VM '{1}'.",
        policy,
        machine,
    )


def _fitted(template: str, policy: str, machine: str) -> str:
    """Fill in both names; where they are too long, the longer one is cut, and says so."""
    room = LONGEST_DESCRIPTION - len(template.format("", ""))
    half = room // 2
    if len(policy) + len(machine) > room:
        if len(machine) <= half:
            policy = _cut(policy, room - len(machine))
        elif len(policy) <= half:
            machine = _cut(machine, room - len(policy))
        else:
            policy, machine = _cut(policy, half), _cut(machine, room - half)
    return template.format(policy, machine)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(_ELLIPSIS)] + _ELLIPSIS
