"""Other programs' rules on this host, and what they do with packets from outside.

Read once for each look: nftables' tables and those of the old iptables, the host's addresses, and
translation. What is not here: what is found wrong in them (``shadows``), how a rule is judged
(``verdicts``).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.drivers.linux.addresses import addresses_of_interfaces
from bascule.drivers.linux.legacy import LegacyTable, legacy_tables
from bascule.drivers.linux.links import container_bridges
from bascule.drivers.linux.listeners import Listener, listeners
from bascule.drivers.linux.nat_rules import Target, Translators
from bascule.drivers.linux.ruleset import INET, NETDEV, Table, hooked_tables
from bascule.drivers.linux.verdicts import FORWARD, INPUT, PREROUTING, Drop, Packet, drops

_FAMILIES = {INET: "inet", socket.AF_INET: "ip", socket.AF_INET6: "ip6", NETDEV: "netdev"}
_IPTABLES = frozenset({"raw", "mangle", "nat", "filter", "security"})
_UFW = ("ufw-", "ufw6-")

AnyTable = Table | LegacyTable
Words = Callable[[AnyTable, str, int], str]  # a rule of a table's chain, as written


@dataclass(frozen=True, slots=True)
class Way:
    """How a packet from outside comes in."""

    interface: tuple[int, str]
    address: Address


class OtherRules:
    """Rules, addresses and translations of this host, read once.

    ``is_ours`` tells our own tables apart. Where rules cannot be read, ``unread`` says which, and
    they count as if they were not there. Raises OSError.
    """

    def __init__(self, is_ours: Callable[[int, str], bool], words: Words) -> None:
        self._words = words
        self.tables: list[AnyTable] = []
        self.unread: list[str] = []
        self.translators: Translators | None = None
        try:
            self.tables += [Table(*each) for each in hooked_tables() if not is_ours(*each)]
            self.translators = Translators(is_ours)
        except PermissionError:
            self.unread.append("the rules of nftables and iptables")
        try:
            self.tables += [LegacyTable(*each) for each in legacy_tables()]
        except OSError:
            self.unread.append("the tables of iptables-legacy")

    def as_written(self, table: AnyTable, chain: str, at: int) -> str:
        if at < 0:
            return f"{where(table, chain)}: policy drop"
        return f"{where(table, chain)}: {self._words(table, chain, at)}"

    @cached_property
    def addresses(self) -> list[tuple[int, Address]]:
        return addresses_of_interfaces()

    @cached_property
    def own(self) -> frozenset[Address]:
        return frozenset(address for _, address in self.addresses)

    @cached_property
    def listening(self) -> list[Listener]:
        return listeners()

    @cached_property
    def ways(self) -> list[Way]:
        """How packets from outside come in: not from containers, and not within the link alone."""
        names = dict(socket.if_nameindex())
        inside = container_bridges()
        ways = [
            Way((index, names[index]), address)
            for index, address in self.addresses
            if index in names and not address.is_loopback and not address.is_link_local
        ]
        outer = [way for way in ways if way.interface[0] not in inside]
        seen = {way.address.version for way in outer}
        return [*outer, *(way for way in ways if way.address.version not in seen)]

    def targets(self, port: PortKey) -> frozenset[Target]:
        if self.translators is None or port.at is not None:
            return frozenset()
        return frozenset(self.translators.ways(port))

    def drop(
        self, port: PortKey, way: Way, source: Address | None = None
    ) -> tuple[AnyTable, Drop] | None:
        """Where every packet that comes so is dropped; None: some may arrive."""
        if port.at is not None:
            packet = Packet(port.own, port.at, source, way.interface, is_forwarded=True)
            return self._first(PREROUTING, packet) or self._first(FORWARD, packet)
        packet = Packet(port, way.address, source, way.interface)
        first = self._first(PREROUTING, packet)
        if first is not None:
            return first
        targets = [each for each in self.targets(port) if each[0].version == way.address.version]
        if not targets:
            return self._first(INPUT, packet)
        ends = [
            self._first(
                FORWARD,
                Packet(own, address, source, way.interface, is_translated=True, is_forwarded=True),
            )
            for address, own in targets
        ]
        return ends[0] if all(ends) else None

    def _first(self, hook: int, packet: Packet) -> tuple[AnyTable, Drop] | None:
        for table in self.tables:
            end = drops(table, hook, packet)
            if end is not None:
                return table, end
        return None

    def served(self, port: PortKey) -> tuple[int, ...]:
        """The IP versions over which somebody answers at this port; all that the host has, where
        nobody does.
        """
        if port.at is not None:
            return (port.at.version,)
        versions: set[int] = {address.version for address, _ in self.targets(port)}
        if port.protocol is TransportProtocol.TCP:
            for each in self.listening:
                versions |= each.families if each.port == port.number else frozenset()
        return tuple(sorted(versions or {way.address.version for way in self.ways}))

    def reach(self, port: PortKey, versions: Collection[int]) -> Way | None:
        """A way by which a packet to this port may arrive."""
        for way in self.ways:
            if way.address.version in versions and self.drop(port, way) is None:
                return way
        return None


def where(table: AnyTable, chain: str) -> str:
    """A chain, by the program that writes it where its name tells."""
    family = _FAMILIES.get(table.family, str(table.family))
    if isinstance(table, LegacyTable):
        program = "ip6tables-legacy" if family == "ip6" else "iptables-legacy"
        return f"{program} -t {table.name}, chain {chain}"
    return f"table {family} {table.name}, chain {chain}"


def manager(table: AnyTable, chain: str) -> str:
    """The program whose rules these are."""
    if any(name.startswith(_UFW) for name in (chain, *table.rules)):
        return "ufw"
    if table.name == "firewalld":
        return "firewalld"
    if chain.startswith("DOCKER"):
        return "Docker"
    if isinstance(table, LegacyTable):
        return "iptables-legacy"
    return "iptables" if table.name in _IPTABLES and table.family != INET else "nftables"


def admitting(table: AnyTable, chain: str, port: PortKey) -> str:
    """The command by which that program admits a port."""
    word = "ip6tables" if table.family == socket.AF_INET6 else "iptables"
    match manager(table, chain):
        case "ufw":
            return f"ufw allow {port}"
        case "firewalld":
            return f"firewall-cmd --permanent --add-port={port} && firewall-cmd --reload"
        case "iptables-legacy" | "iptables" | "Docker":
            legacy = "-legacy" if isinstance(table, LegacyTable) else ""
            kind = port.protocol.lower()
            into = "DOCKER-USER" if manager(table, chain) == "Docker" else _base_of(table, chain)
            return f"{word}{legacy} -I {into} -p {kind} --dport {port.number} -j ACCEPT"
    family = _FAMILIES.get(table.family, "")
    into = _base_of(table, chain)
    return (
        f"nft insert rule {family} {table.name} {into} {port.protocol.lower()} dport "
        f"{port.number} accept"
    )


def _base_of(table: AnyTable, chain: str) -> str:
    if chain in table.bases:
        return chain
    filtering = (name for name, base in table.bases.items() if base.hook == INPUT)
    return next(filtering, chain)
