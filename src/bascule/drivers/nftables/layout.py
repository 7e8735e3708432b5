"""Names and shapes of our table: what is written and what is read back agree here.

Exact sources stand in one hash set a family, prefixes in one masked hash set per prefix
length in use (interval sets refuse overlaps depending on order). A set's name tells its
family and length: ``g4`` /32, ``g4_24`` /24, ``g6_64`` /64, ``g4_0`` everybody. ``ended``
sets are alike. Elements are ``source . protocol . port``, without a source for /0.
What is not here: nft's syntax (``render``, ``parse``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from bascule.domain.desired import OpeningKey
from bascule.domain.net import EVERY_IPV4, EVERY_IPV6, Network, PortKey, TransportProtocol

TABLE = "bascule"
HANDOVER = "bascule_handover"  # stands in while the first changes hands
MAX_HANDOVERS = 10  # more than a service manager stores sockets (FileDescriptorStoreMax=8)
# The others are for when agents that died in a hand-over left those before them owned.
HANDOVERS = (HANDOVER, *(f"{HANDOVER}_{number}" for number in range(2, MAX_HANDOVERS + 1)))
FLAGS = ("owner", "persist")

CLOSED, KILL = "closed", "kill"
GRANTED, ENDED = "g", "ended"
ADOPTED = {4: "adopted4", 6: "adopted6"}
SEEN = {4: "seen4", 6: "seen6"}
TARGETS = {4: "target4", 6: "target6"}  # what closed published ports stand for
INSIDE = "inside"  # container networks' own interfaces, by name
BLOCKED = "blocked"  # the counter

ADOPTED_FOR = timedelta(minutes=10)
AGAIN = "again"  # comment of a connection found when its port was closed again: a cut ends it
ENDED_FOR = timedelta(minutes=2)
MAX_GRANTS = 65536  # elements of one set
MAX_SEEN = 4096

_NAME = re.compile(r"(g|ended)([46])(?:_(\d{1,3}))?")
_FULL = {4: 32, 6: 128}
_INTERFACE = re.compile(r'"[A-Za-z0-9_.-]{1,15}"')


@dataclass(frozen=True, slots=True, order=True)
class SourceSet:
    """One set of sources: of grants (``g``) or of ended ones, of one prefix length."""

    kind: str
    version: int  # 4 or 6
    length: int

    @property
    def name(self) -> str:
        suffix = "" if self.length == _FULL[self.version] else f"_{self.length}"
        return f"{self.kind}{self.version}{suffix}"

    @property
    def is_exact(self) -> bool:
        return self.length == _FULL[self.version]

    @property
    def mask(self) -> str:
        """The netmask, as nft takes it on the right of ``&``."""
        network: Network = (
            IPv4Network((0, self.length)) if self.version == 4 else IPv6Network((0, self.length))
        )
        return str(network.netmask)


def source_set(kind: str, network: Network) -> SourceSet:
    return SourceSet(kind, network.version, network.prefixlen)


def parse_set_name(name: str) -> SourceSet | None:
    """The inverse of ``SourceSet.name``; None for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    version = int(match[2])
    length = _FULL[version] if match[3] is None else int(match[3])
    found = SourceSet(match[1], version, length)
    return found if length <= _FULL[version] and found.name == name else None


ALWAYS = frozenset(
    SourceSet(kind, version, _FULL[version]) for kind in (GRANTED, ENDED) for version in (4, 6)
)


def port_words(port: PortKey) -> tuple[str, str]:
    return port.protocol.lower(), str(port.number)


def key_words(key: OpeningKey) -> tuple[str, ...]:
    """The element of a source set that stands for ``key``."""
    if key.source.prefixlen == 0:
        return port_words(key.port)
    return str(key.source.network_address), *port_words(key.port)


def opening_key(where: SourceSet, words: tuple[str, ...]) -> OpeningKey:
    """The inverse of ``key_words``. Raises ValueError for what we never write."""
    *address, protocol, number = words
    if len(address) != (0 if where.length == 0 else 1):
        raise ValueError(f"{where.name} has an element of another shape: {words}")
    port = port_key(protocol, number)
    if not address:
        return OpeningKey(EVERY_IPV4 if where.version == 4 else EVERY_IPV6, port)
    return OpeningKey(ip_network(f"{address[0]}/{where.length}"), port)


def canonical(name: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """One spelling of an element of set ``name``, however nft printed it.

    One element under two spellings would be deleted twice in a transaction, which is
    refused. Raises ValueError for what we never write.
    """
    if name in (CLOSED, KILL):
        return port_words(port_key(*words))
    if name == INSIDE:
        (interface,) = words
        if _INTERFACE.fullmatch(interface) is None:
            raise ValueError(f"{interface} is no interface of ours")
        return (interface,)
    if name in TARGETS.values():
        address, protocol, number = words
        return str(ip_address(address)), *port_words(port_key(protocol, number))
    where = parse_set_name(name)
    if where is not None:
        return key_words(opening_key(where, words))
    source, source_port, port = words  # an adopted connection
    return str(ip_address(source)), str(int(source_port)), str(int(port))


_PROTOCOLS = {"tcp": TransportProtocol.TCP, "udp": TransportProtocol.UDP}
_PROTOCOLS |= {"6": TransportProtocol.TCP, "17": TransportProtocol.UDP}


def port_key(protocol: str, number: str) -> PortKey:
    """Read ``tcp``/``6`` or ``udp``/``17`` and a number. Raises ValueError."""
    if protocol not in _PROTOCOLS:
        raise ValueError(f"protocol {protocol} is not one of ours")
    return PortKey(_PROTOCOLS[protocol], int(number))
