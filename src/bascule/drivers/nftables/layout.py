"""Names and shapes of our table: what is written and what is read back agree here.

Exact sources stand in one hash set a family, prefixes in one masked hash set per prefix
length in use (interval sets refuse overlaps depending on order). A set's name tells its
family and length: ``g4`` /32, ``g4_24`` /24, ``g6_64`` /64, ``g4_0`` everybody. ``ended``
sets are alike. Elements are ``source . protocol . port``, without a source for /0.

What begins with ``behind_`` is about machines to which this host forwards: there the machine's
address stands before protocol and port, and each set has one IP version. All of that is in the table
from the first such machine on: most hosts have none, and every set costs time when it is read back.

What begins with ``mapped_`` is about public ports that stand for those of such machines, and is there
from the first of them on. ``mapped_to4`` and its like are maps: from source, public address, protocol
and port to the machine's address and port.
What is not here: nft's syntax (``render``, ``parse``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from bascule.domain.desired import OpeningKey
from bascule.domain.net import (
    EVERY_IPV4,
    EVERY_IPV6,
    Network,
    PortBehind,
    PortKey,
    PortMapped,
    PublicPort,
    TransportProtocol,
)

TABLE = "bascule"
HANDOVER = "bascule_handover"  # stands in while the first changes hands
MAX_HANDOVERS = 10  # more than a service manager stores sockets (FileDescriptorStoreMax=8)
# The others are for when agents that died in a hand-over left those before them owned.
HANDOVERS = (HANDOVER, *(f"{HANDOVER}_{number}" for number in range(2, MAX_HANDOVERS + 1)))
FLAGS = ("owner", "persist")

CLOSED, KILL = "closed", "kill"
GRANTED, ENDED = "g", "ended"
DRAIN = "drain"  # whose connections on a kill port may stay
TO = "to"  # where a public port leads a source
ADOPTED = {4: "adopted4", 6: "adopted6"}
SEEN = {4: "seen4", 6: "seen6"}
TARGETS = {4: "target4", 6: "target6"}  # what closed published ports stand for
INSIDE = "inside"  # container networks' own interfaces, by name
BLOCKED, BLOCKED_BEHIND = "blocked", "behind_blocked"  # counters

_BEHIND = "behind_"
CLOSED_BEHIND = {4: "behind_closed4", 6: "behind_closed6"}
KILL_BEHIND = {4: "behind_kill4", 6: "behind_kill6"}
ADOPTED_BEHIND = {4: "behind_adopted4", 6: "behind_adopted6"}
LEARNING = {4: "behind_learning4", 6: "behind_learning6"}  # address and TCP port, for LEARN_FOR
# What the kernel adopts by itself has sets of its own: however full strangers make them, the
# agent's transactions find room.
LEARNT = {4: "behind_learnt4", 6: "behind_learnt6"}
SEEN_BEHIND = {4: "behind_seen4", 6: "behind_seen6"}
# Connections whose client repeats its first packet: it was let through, and no answer came back.
REPEATED = {4: "behind_repeated4", 6: "behind_repeated6"}

_MAPPED = "mapped_"
CLOSED_MAPPED = {4: "mapped_closed4", 6: "mapped_closed6"}


def _versions(own: Iterable[str], behind: Mapping[int, str]) -> dict[str, int | None]:
    return {
        **dict.fromkeys(own, None),
        **{name: version for version, name in behind.items()},
    }


# By name, the IP version of the addresses in it; None: of the host's own ports.
CLOSED_SETS = {**_versions([CLOSED], CLOSED_BEHIND), **_versions((), CLOSED_MAPPED)}
KILL_SETS = _versions([KILL], KILL_BEHIND)
PORT_SETS = {**CLOSED_SETS, **KILL_SETS}
ADOPTED_SETS = _versions(ADOPTED.values(), ADOPTED_BEHIND)
LEARNT_SETS = _versions((), LEARNT)
SEEN_SETS = _versions(SEEN.values(), SEEN_BEHIND)
REPEATED_SETS = _versions((), REPEATED)

ADOPTED_FOR = timedelta(minutes=10)
AGAIN = "again"  # comment of a connection found when its port was closed again: a cut ends it
LEARN_FOR = timedelta(minutes=2)  # after a first closing: connections tracked by nobody are adopted
ENDED_FOR = timedelta(minutes=2)
REPEATED_FOR = timedelta(minutes=10)  # after the last repetition
MAX_GRANTS = 65536  # elements of one set; the kernel makes room for them at once
MAX_LEARNT = 16384
MAX_SEEN = 4096

_NAME = re.compile(r"(behind_|mapped_)?(g|ended|drain|to)([46])(?:_(\d{1,3}))?")
_FULL = {4: 32, 6: 128}
_INTERFACE = re.compile(r'"[A-Za-z0-9_.-]{1,15}"')


@dataclass(frozen=True, slots=True, order=True)
class SourceSet:
    """One set of sources, of one prefix length: of grants (``g``), of ended ones (``ended``), of those
    whose connections may stay (``drain``), or of those whom public ports lead somewhere (``to``), which is a map.
    """

    kind: str
    version: int  # 4 or 6
    length: int
    is_behind: bool = False  # of ports of machines behind this host

    @property
    def name(self) -> str:
        prefix = _BEHIND if self.is_behind else ""
        prefix = _MAPPED if self.is_map else prefix
        suffix = "" if self.length == _FULL[self.version] else f"_{self.length}"
        return f"{prefix}{self.kind}{self.version}{suffix}"

    @property
    def is_map(self) -> bool:
        return self.kind == TO

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


def source_set(kind: str, key: OpeningKey) -> SourceSet:
    source = key.source
    return SourceSet(kind, source.version, source.prefixlen, key.port.at is not None)


def parse_set_name(name: str) -> SourceSet | None:
    """The inverse of ``SourceSet.name``; None for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    version = int(match[3])
    length = _FULL[version] if match[4] is None else int(match[4])
    found = SourceSet(match[2], version, length, match[1] is not None or match[2] == TO)
    return found if length <= _FULL[version] and found.name == name else None


def is_behind(name: str) -> bool:
    """Is this set, chain or counter about machines behind this host?"""
    return name.startswith(_BEHIND)


def is_mapped(name: str) -> bool:
    """Is it about public ports that stand for those of such machines?"""
    return name.startswith(_MAPPED)


ALWAYS, ALWAYS_BEHIND = (
    frozenset(
        SourceSet(kind, version, _FULL[version], is_behind)
        for kind in (GRANTED, ENDED)
        for version in (4, 6)
    )
    for is_behind in (False, True)
)


ALWAYS_MAPPED = frozenset(SourceSet(TO, version, _FULL[version], True) for version in (4, 6))


def port_set(name: str, port: PortKey) -> str:
    """Of CLOSED or KILL, the set that holds this port."""
    if port.at is None:
        return name
    if name == CLOSED and isinstance(port, PortMapped):
        return CLOSED_MAPPED[port.at.version]
    return (CLOSED_BEHIND if name == CLOSED else KILL_BEHIND)[port.at.version]


def port_words(port: PortKey) -> tuple[str, ...]:
    words = port.protocol.lower(), str(port.number)
    return words if port.at is None else (str(port.at), *words)


def read_port(version: int | None, words: tuple[str, ...]) -> PortKey:
    """The inverse of ``port_words``; ``version`` is that of the machine's address, None for the
    host's own port. Raises ValueError for what we never write.
    """
    *address, protocol, number = words
    port = port_key(protocol, number)
    if version is None and not address:
        return port
    if version is not None and len(address) == 1:
        at = ip_address(address[0])
        if at.version == version:
            return port.behind(at)
    raise ValueError(f"{' . '.join(words)} is no port of ours")


def closed_port(name: str, words: tuple[str, ...]) -> PortKey:
    """The port of an element of one of CLOSED_SETS. Raises ValueError for what we never write."""
    port = read_port(CLOSED_SETS[name], words)
    if name in CLOSED_MAPPED.values() and port.at is not None:
        return port.mapped(PublicPort(port.at, port.number))
    return port


def key_words(key: OpeningKey) -> tuple[str, ...]:
    """The element of a source set that stands for ``key``; of a map, its data too."""
    source = () if key.source.prefixlen == 0 else (str(key.source.network_address),)
    to = key.port.to if isinstance(key.port, PortMapped) else None
    leads = () if to is None else (str(to.at), str(to.number))
    return *source, *port_words(key.port), *leads


def opening_key(where: SourceSet, words: tuple[str, ...]) -> OpeningKey:
    """The inverse of ``key_words``. Raises ValueError for what we never write."""
    source = words[: 0 if where.length == 0 else 1]
    version = where.version if where.is_behind else None
    ends = len(words) - 2 * where.is_map
    port = read_port(version, words[len(source) : ends])
    if where.is_map:
        address, number = words[ends:]
        there = read_port(version, (address, port.protocol.lower(), number))
        if port.at is None or not isinstance(there, PortBehind):
            raise ValueError(f"{' . '.join(words)} is no mapping of ours")
        port = there.mapped(PublicPort(port.at, port.number), there)
    if not source:
        return OpeningKey(EVERY_IPV4 if where.version == 4 else EVERY_IPV6, port)
    return OpeningKey(ip_network(f"{source[0]}/{where.length}"), port)


def connection_words(source: str, source_port: str, port: PortKey) -> tuple[str, ...]:
    """The element of an adopted connection, of TCP."""
    at = () if port.at is None else (str(port.at),)
    return (source, source_port, *at, str(port.number))


def connection_port(name: str, words: tuple[str, ...]) -> PortKey:
    """The port of a connection's element. Raises ValueError for what we never write."""
    _, _, *at, number = words
    return read_port({**ADOPTED_SETS, **LEARNT_SETS, **REPEATED_SETS}[name], (*at, "tcp", number))


def canonical(name: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """One spelling of an element of set ``name``, however nft printed it.

    One element under two spellings would be deleted twice in a transaction, which is
    refused. Raises ValueError for what we never write.
    """
    if name in PORT_SETS:
        return port_words(read_port(PORT_SETS[name], words))
    if name == INSIDE:
        (interface,) = words
        if _INTERFACE.fullmatch(interface) is None:
            raise ValueError(f"{interface} is no interface of ours")
        return (interface,)
    if name in TARGETS.values():
        address, protocol, number = words
        return str(ip_address(address)), *port_words(port_key(protocol, number))
    if name in LEARNING.values():
        address, number = words
        return str(ip_address(address)), str(int(number))
    where = parse_set_name(name)
    if where is not None:
        return key_words(opening_key(where, words))
    source, source_port, *_ = words  # an adopted connection
    port = connection_port(name, words)
    return connection_words(str(ip_address(source)), str(int(source_port)), port)


_PROTOCOLS = {"tcp": TransportProtocol.TCP, "udp": TransportProtocol.UDP}
_PROTOCOLS |= {"6": TransportProtocol.TCP, "17": TransportProtocol.UDP}


def port_key(protocol: str, number: str) -> PortKey:
    """Read ``tcp``/``6`` or ``udp``/``17`` and a number. Raises ValueError."""
    if protocol not in _PROTOCOLS:
        raise ValueError(f"protocol {protocol} is not one of ours")
    return PortKey(_PROTOCOLS[protocol], int(number))
