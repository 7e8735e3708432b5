"""Rules of others that change packets, or send them on, where ours do not see what they were.

Source: linux/netfilter/nf_tables.h (payload, fwd, dup, tproxy), xt_TEE.h, xt_TPROXY.h; RFC 791 and 8200
for where addresses stand. A host's ports are reached so by a source that is written over before our
chains look, by a destination that is written over after them, and by what is given to the loopback.
Of machines behind a gateway also by what passes no ``forward``: sent straight to an interface, copied
to the machine, or taken by a transparent proxy. Translation with connection tracking is not here: our
chains judge what comes out of it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from bascule.domain.net import PortKey, port_order
from bascule.domain.weaknesses import REWRITTEN_BEHIND, REWRITTEN_PAST, Weakness, WeaknessKind
from bascule.drivers.linux import netlink
from bascule.drivers.linux.other_rules import AnyTable, OtherRules, where
from bascule.drivers.linux.routes import hop_to
from bascule.drivers.linux.ruleset import INET, NETDEV, Attributes, Base, Rule, text, value
from bascule.drivers.linux.verdicts import FORWARD, INPUT, PREROUTING, Packet, may_match

POSTROUTING = 4  # NF_INET_POST_ROUTING
_INGRESS = 5  # NF_INET_INGRESS
_EGRESS = 1  # NF_NETDEV_EGRESS
_BEFORE = (_INGRESS, PREROUTING, INPUT)
_LAST = 2**31 - 1  # the priority of our own chains at the end of ``input`` and ``forward``
_LOOPBACK = 1  # the index of ``lo`` in every network namespace
_ORDER: Literal["little", "big"] = sys.byteorder
_ADDRESSES_6 = ((8, 16), (24, 16))  # offset and size, as no field of IPv4 has them
_SOURCE, _DESTINATION = "source", "destination"


def rewritten(host: OtherRules, closed: Collection[PortKey]) -> Iterator[Weakness]:
    """Such rules, as far as they concern these closed ports. Raises OSError."""
    behind = _Behind(closed)
    for table in host.tables:
        for name, base in reached(table):
            for at, rule in enumerate(table.rules.get(name, ())):
                kind = _kind(table, base, rule, behind)
                if kind is not None:
                    yield kind(where=where(table, name), rule=host.as_written(table, name, at))


class _Behind:
    """The closed ports of machines behind this gateway, and the interfaces that lead to them."""

    def __init__(self, closed: Collection[PortKey]) -> None:
        self.ports = sorted((each for each in closed if each.at is not None), key=port_order)
        self.addresses = {each.at for each in self.ports if each.at is not None}
        self._interfaces: set[int] | None = None

    def leads_there(self, device: bytes) -> bool:
        """Does this interface's index; empty: it is not known which."""
        if self._interfaces is None:
            hops = map(hop_to, self.addresses)
            self._interfaces = {each.interface for each in hops if each is not None}
        index = int.from_bytes(device[:4], _ORDER)
        return index in self._interfaces if device else bool(self._interfaces)

    def is_there(self, address: bytes) -> bool:
        sizes: Mapping[int, type[IPv4Address | IPv6Address]] = {
            4: IPv4Address,
            16: IPv6Address,
        }
        kind = sizes.get(len(address))
        return kind is not None and kind(address) in self.addresses


def _kind(table: AnyTable, base: Base, rule: Rule, behind: _Behind) -> WeaknessKind | None:
    """What is wrong with it; None: nothing."""
    registers: dict[int, bytes] = {}
    found: WeaknessKind | None = None
    for expression, parts in rule:
        if expression == "immediate" and 1 in parts:
            registers[int.from_bytes(parts[1], "big")] = value(parts.get(2, b""))
        here = _Expression(table, base, expression, parts, registers)
        if here.is_past():
            return REWRITTEN_PAST
        if behind.ports and (
            here.is_past_forward(behind) or (here.takes() and _meets(table, rule, behind))
        ):
            found = REWRITTEN_BEHIND
    return found


@dataclass(frozen=True, slots=True)
class _Expression:
    table: AnyTable
    base: Base
    name: str
    parts: Attributes
    registers: Mapping[int, bytes]

    def _register(self, kind: int) -> bytes:
        """What the register holds that this attribute names; empty: none, or not known."""
        return self.registers.get(int.from_bytes(self.parts.get(kind, b""), "big"), b"")

    @property
    def _writes(self) -> str:
        """Which address or port it writes to the packet; empty: none."""
        if self.name != "payload" or 5 not in self.parts:
            return ""
        place, offset, size = (
            int.from_bytes(self.parts.get(each, b""), "big") for each in (2, 3, 4)
        )
        if place == 2:
            return _DESTINATION if offset < 4 and offset + size > 2 else ""
        return written(self.table.family, offset, offset + size) if place == 1 else ""

    def is_past(self) -> bool:
        """Past what judges the host's own ports, and those of machines behind it?"""
        is_device = self.table.family == NETDEV
        if self.name == "fwd" and self.table.family in (NETDEV, INET):
            return int.from_bytes(self._register(1)[:4], _ORDER) == _LOOPBACK
        if self._writes == _SOURCE:
            return self.base.hook != _EGRESS if is_device else self.base.hook in _BEFORE
        is_late = self.base.hook == INPUT and self.base.priority >= _LAST
        return not is_device and is_late and self._writes == _DESTINATION

    def is_past_forward(self, behind: _Behind) -> bool:
        """Past what judges forwarded packets alone?"""
        if self.name == "fwd":
            return behind.leads_there(self._register(1))
        if self.name == "dup":
            if self.table.family == NETDEV:
                return behind.leads_there(self._register(2))
            return behind.is_there(self._register(1))
        if self.name == "target" and text(self.parts.get(1, b"")) == "TEE":
            to = self.parts.get(3, b"")[:16]
            return behind.is_there(to if self.table.family != 2 else to[:4])
        if self.table.family == NETDEV:
            return self.base.hook == _EGRESS and self._writes == _DESTINATION
        if self.base.hook == FORWARD:
            is_late = self.base.priority >= _LAST
            return self._writes == _SOURCE or (is_late and self._writes == _DESTINATION)
        return self.base.hook == POSTROUTING and self._writes == _DESTINATION

    def takes(self) -> bool:
        """Does it give packets for others to a socket of this host?"""
        is_target = self.name == "target" and text(self.parts.get(1, b"")) == "TPROXY"
        return self.base.hook == PREROUTING and (self.name == "tproxy" or is_target)


def written(family: int, first: int, end: int) -> str:
    """Which address of the network header these bytes are of. In a table of both IP versions it is
    IPv6's only where it is a whole one, or lies beyond IPv4's header.
    """
    is_6 = (first, end - first) in _ADDRESSES_6 or end > 20
    if family == 10 or (family in (INET, NETDEV) and is_6):
        source, destination = (8, 24), (24, 40)
    else:
        source, destination = (12, 16), (16, 20)
    if first < source[1] and end > source[0]:
        return _SOURCE
    return _DESTINATION if first < destination[1] and end > destination[0] else ""


def _meets(table: AnyTable, rule: Rule, behind: _Behind) -> bool:
    """May a packet to one of the machines' closed ports come to the end of this rule?"""
    return any(
        may_match(table, rule, Packet(port.own, port.at, is_forwarded=True))
        for port in behind.ports
        if port.at is not None
    )


def reached(table: AnyTable) -> Iterator[tuple[str, Base]]:
    """Every chain with the hook from which it is reached."""
    for entry, base in table.bases.items():
        been, left = {entry}, [entry]
        while left:
            name = left.pop()
            yield name, base
            for rule in table.rules.get(name, ()):
                for expression, parts in rule:
                    if expression == "immediate":
                        inner = dict(netlink.attributes(parts.get(2, b"")))
                        to = text(dict(netlink.attributes(inner.get(2, b""))).get(2, b""))
                        if to and to not in been:
                            been.add(to)
                            left.append(to)
