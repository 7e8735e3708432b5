"""The rules of machines behind a gateway: one firewall guards several machines. Pure.

A machine's rules name its own ports (``desired.rule_set``). In the gateway's firewall they name the
same ports at the address to which the gateway forwards (``net.PortBehind``), beside the ports of the
gateway itself. What is not here: which machine is at which address (``bindings``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.held import few_cuts
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, PortBehind, PortKey, PortMapped, PublicPort, PublicPorts


def behind(
    rules: RuleSet,
    addresses: Collection[Address],
    former: Collection[Address],
    mapped: PublicPorts = MappingProxyType({}),
) -> RuleSet:
    """The rules of one machine, as the gateway in front of it has them: ``rules`` for each address
    to which it forwards.

    ``former`` are addresses at which the machine was reached before. Nothing opens there, and what
    was closed stays closed. A source opens nothing at an address of the other IP version.

    ``mapped`` are the public ports that stand for the machine's own. Each is closed, and leads the
    sources of an opening, for its time, to the machine's address of the same IP version. What ends
    their connections are the rules of the machine's port.
    """
    everywhere = dict.fromkeys((*addresses, *former))
    return RuleSet(
        frozenset(
            [
                *(
                    ClosedPort(closed.port.behind(address), closed.on_expiry)
                    for closed in rules.closed
                    for address in everywhere
                ),
                *(
                    ClosedPort(closed.port.mapped(public))
                    for closed in rules.closed
                    for public in mapped.get(closed.port, ())
                ),
            ]
        ),
        {
            key: replace(opening, key=key)
            for opening in rules.openings.values()
            for there in _at(opening.key, addresses)
            for key in (there, *_through(there, mapped.get(opening.key.port, ())))
        },
        few_cuts({key: left for own, left in rules.cuts.items() for key in _at(own, everywhere)}),
        {key: left for own, left in rules.drains.items() for key in _at(own, addresses)},
    )


def united(parts: Iterable[RuleSet]) -> RuleSet:
    """The rules of a firewall that guards several machines.

    Machines have addresses of their own, so their ports are different ones. If two name one port
    all the same, because one machine has the former address of another: it is closed if either
    closes it, ``kill`` if either says so, and open while either opens it.
    """
    closed: dict[PortKey, ClosedPort] = {}
    openings: dict[OpeningKey, Opening] = {}
    cuts: dict[OpeningKey, timedelta] = {}
    drains: dict[OpeningKey, timedelta] = {}
    for part in parts:
        closed |= {
            each.port: each for each in part.closed if each.is_kill or each.port not in closed
        }
        for key, opening in part.openings.items():
            if key not in openings or openings[key].remaining < opening.remaining:
                openings[key] = opening
        for key, left in part.cuts.items():
            cuts[key] = max(left, cuts.get(key, left))
        for key, left in part.drains.items():
            drains[key] = max(left, drains.get(key, left))
    return RuleSet(frozenset(closed.values()), openings, few_cuts(cuts), drains)


def part_at(rules: RuleSet, address: Address | None) -> RuleSet:
    """The part of a firewall's rules that is about one address behind its host; None: about the
    host itself. The ports in it are the machine's own. No public port is in it.
    """

    def is_there(port: PortKey) -> bool:
        return port.at == address and not isinstance(port, PortMapped)

    def own_key(key: OpeningKey) -> OpeningKey:
        return OpeningKey(key.source, key.port.own)

    return RuleSet(
        frozenset(
            ClosedPort(each.port.own, each.on_expiry)
            for each in rules.closed
            if is_there(each.port)
        ),
        {
            own_key(key): replace(opening, key=own_key(key))
            for key, opening in rules.openings.items()
            if is_there(key.port)
        },
        {own_key(key): left for key, left in rules.cuts.items() if is_there(key.port)},
        {own_key(key): left for key, left in rules.drains.items() if is_there(key.port)},
    )


def _through(there: OpeningKey, public: Iterable[PublicPort]) -> Iterable[OpeningKey]:
    """The same source at the public ports that stand for a port behind."""
    for each in public:
        if isinstance(there.port, PortBehind) and each.address.version == there.port.at.version:
            yield OpeningKey(there.source, there.port.mapped(each, there.port))


def _at(key: OpeningKey, addresses: Iterable[Address]) -> Iterable[OpeningKey]:
    return (
        OpeningKey(key.source, key.port.behind(address))
        for address in addresses
        if address.version == key.source.version
    )
