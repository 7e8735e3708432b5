"""Where this host's rules send what is addressed to its ports: published container ports.

Source: linux/netfilter/nf_tables.h, x_tables.h, xt_tcpudp.h, xt_multiport.h, nf_nat.h. Every
chain of type ``nat`` in the hook ``prerouting`` is followed, and what it jumps to, in any
table: iptables-nft writes such ones, Docker's and Podman's among them, and so does nft itself.

Conditions of protocol, port and this host's address are understood: what is for another's
address, as a service's in a cluster, is nobody's published port here. Any other is taken to
hold, so that a target is found too often rather than not at all. A translation that is not
understood is counted: ``unread`` says what.
The old iptables' tables are followed as well, where they can be read (``legacy``).
What is not here: translation without either (IPVS, eBPF).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.drivers.linux import netlink
from bascule.drivers.linux.addresses import is_local
from bascule.drivers.linux.legacy import LegacyTable, legacy_tables
from bascule.drivers.linux.ruleset import (
    Attributes,
    Element,
    Rule,
    Table,
    nat_tables,
    number_of,
    slot_of,
    text,
    value,
)

_JUMPS = (-3, -4)  # NFT_JUMP, NFT_GOTO
_EQUAL, _, _LESS, _AT_MOST, _MORE, _AT_LEAST = range(6)  # enum nft_cmp_ops
_DESTINATION = 1  # NFT_NAT_DNAT
_PORTS_GIVEN, _PORTS_SHIFTED, _MAPS_PREFIX = 1 << 1, 1 << 5, 1 << 6  # NF_NAT_RANGE_*
_NUMBERS = {TransportProtocol.TCP: socket.IPPROTO_TCP, TransportProtocol.UDP: socket.IPPROTO_UDP}
_L4PROTO = 16  # NFT_META_L4PROTO
_HAS_DATA = 3  # NFTA_LOOKUP_DREG
_LONGEST = 16  # bytes that one expression loads at most, where it does not say how many
_MOST_TARGETS = 1024  # that one rule may have for one port
_MOST_OF_RANGE = 64  # ports of one range that are looked at one by one
_LEGACY = "the tables of iptables-legacy"

Target = tuple[Address, PortKey]  # a container's address, and its own port


class _Word(Enum):
    """What a register holds, as far as it matters here."""

    PROTOCOL = 1
    PORT = 2
    ADDRESS4 = 3  # the destination's
    ADDRESS6 = 4
    OTHER = 5


_ADDRESSES = (_Word.ADDRESS4, _Word.ADDRESS6)
_Slots = dict[int, _Word | bytes]  # by register of four bytes
_Ports = frozenset[PortKey]


@dataclass(frozen=True, slots=True)
class Translations:
    targets: frozenset[Target] = frozenset()
    redirected: frozenset[PortKey] = frozenset()  # those for which another of this host answers
    unread: tuple[str, ...] = ()  # what may lead elsewhere and is not understood


@dataclass(frozen=True, slots=True)
class Way:
    """One rule that sends packets on."""

    table: Table | LegacyTable
    chain: str
    at: int


def _nobodys(_family: int, _name: str) -> bool:
    return False


class Translators:
    """The tables in which ``prerouting`` is translated, as they are read now. Raises OSError.

    ``is_ours`` tells by family and name the caller's own tables, which are passed over. ``at`` is the
    one address of this host that is asked about; None: any.
    """

    def __init__(
        self, is_ours: Callable[[int, str], bool] = _nobodys, at: Address | None = None
    ) -> None:
        self._at = at
        self._here: dict[bytes, bool] = {}
        self._tables: list[Table | LegacyTable] = [
            Table(*each) for each in nat_tables() if not is_ours(*each)
        ]
        self._unread: tuple[str, ...] = ()
        try:
            self._tables += [LegacyTable(*each) for each in legacy_tables() if each[1] == "nat"]
        except OSError:
            self._unread = (_LEGACY,)

    def of(self, ports: Collection[PortKey]) -> Translations:
        """Where a packet to one of ``ports`` may be sent on to. Raises OSError."""
        ways, redirected, unread = self._follow(ports)
        return Translations(frozenset(ways), redirected, (*unread, *self._unread))

    def ways(self, port: PortKey) -> Mapping[Target, Way]:
        """Where a packet to ``port`` may be sent on to, and one rule that sends it there."""
        return self._follow((port,))[0]

    def mentioned(self) -> frozenset[int]:
        """Every port number that some rule asks for, and those between two of them up to a bound."""
        numbers: set[int] = set()
        for table in self._tables:
            for low, high in _mentioned(table):
                numbers |= {*range(low, min(high, low + _MOST_OF_RANGE) + 1), high}
        return frozenset(each for each in numbers if 0 < each < 1 << 16)

    def _is_here(self, address: bytes) -> bool:
        if self._at is not None:
            return address == self._at.packed
        if address not in self._here:
            self._here[address] = is_local(address)
        return self._here[address]

    def _follow(
        self, ports: Collection[PortKey]
    ) -> tuple[dict[Target, Way], frozenset[PortKey], dict[str, None]]:
        found: dict[Target, Way] = {}
        redirected: set[PortKey] = set()
        unread: dict[str, None] = {}
        for table in self._tables:
            walk = _Walk(table, self._is_here)
            walk.from_hooks(frozenset(ports))
            found = {**walk.targets, **found}
            redirected |= walk.redirected
            unread.update(walk.unread)
        return found, frozenset(redirected), unread


def translations(
    ports: Collection[PortKey],
    is_ours: Callable[[int, str], bool] = _nobodys,
    at: Address | None = None,
) -> Translations:
    """``Translators.of``, read now. Raises OSError."""
    return Translators(is_ours, at).of(ports)


def _mentioned(table: Table | LegacyTable) -> Iterator[tuple[int, int]]:
    """What may be a port among the constants of a table's rules: too much rather than too little."""
    for rule in (each for some in table.rules.values() for each in some):
        for name, parts in rule:
            if name in ("cmp", "range"):
                low = value(parts.get(3, b""))
                high = value(parts.get(4, b"")) if name == "range" else low
                if len(low) == len(high) == 2:
                    yield int.from_bytes(low, "big"), int.from_bytes(high, "big")
            elif name == "lookup":
                for each in table.elements(text(parts.get(1, b""))):
                    yield from _fields(each)
            elif name == "match":
                yield from _ports_of_match(parts)


def _fields(element: Element) -> Iterator[tuple[int, int]]:
    for at in range(0, len(element.first), 4):
        low, high = element.first[at : at + 2], element.last[at : at + 2]
        yield int.from_bytes(low, "big"), int.from_bytes(high, "big")


def _ports_of_match(parts: Attributes) -> Iterator[tuple[int, int]]:
    name, info = text(parts.get(1, b"")), parts.get(3, b"")
    if name in ("tcp", "udp") and len(info) >= 8:
        low, high = struct.unpack_from("=HH", info, 4)
        yield low, high
    elif name == "multiport" and len(info) >= 48:
        yield from _multiport(info)


@dataclass(slots=True)
class _State:
    """Of a packet at one place in a rule: which of the ports it may still be for."""

    ports: _Ports
    is_here: Callable[[bytes], bool]  # is what comes to this address delivered here?
    slots: _Slots = field(default_factory=dict)

    def where(self, holds: Callable[[PortKey], bool]) -> None:
        self.ports = frozenset(each for each in self.ports if holds(each))


class _Walk:
    """Follow every way through one table's translating chains."""

    def __init__(self, table: Table | LegacyTable, is_here: Callable[[bytes], bool]) -> None:
        self._table = table
        self._is_here = is_here
        self._been: set[tuple[str, _Ports]] = set()
        self._at = 0  # the rule of its chain that is being read
        self.targets: dict[Target, Way] = {}
        self.redirected: set[PortKey] = set()
        self.unread: dict[str, None] = {}

    def from_hooks(self, ports: _Ports) -> None:
        for chain in self._table.entries:
            self._chain(chain, ports)

    def _chain(self, name: str, ports: _Ports) -> None:
        if not ports or (name, ports) in self._been:
            return
        self._been.add((name, ports))
        for at, rule in enumerate(self._table.rules.get(name, ())):
            self._at = at
            try:
                self._rule(rule, 0, _State(ports, self._is_here), name)
            except (struct.error, IndexError):  # of another form than that of the sources above
                self._not_understood(name)

    def _rule(self, rule: Rule, at: int, state: _State, chain: str) -> None:
        while at < len(rule) and state.ports:
            name, parts = rule[at]
            at += 1
            if name == "lookup":
                self._lookup(parts, rule, at, state, chain)
                if _HAS_DATA in parts:
                    return  # a map: each of its elements went on by itself
            elif name == "immediate":
                self._immediate(parts, state)
            elif name == "nat":
                self._native(parts, state, chain)
            elif name == "redir":
                self.redirected |= state.ports
            elif name == "target":
                self._target(parts, state, chain)
            else:
                _condition(name, parts, state, self._table.family)

    def _immediate(self, parts: Attributes, state: _State) -> None:
        register = slot_of(parts, 1)
        data = parts.get(2, b"")
        if register is None:
            self._verdict(data, state.ports)
        else:
            _put_bytes(state, register, value(data))

    def _verdict(self, data: bytes, ports: _Ports) -> None:
        verdict = dict(netlink.attributes(dict(netlink.attributes(data)).get(2, b"")))
        code = int.from_bytes(verdict.get(1, b""), "big", signed=True)
        if code in _JUMPS:
            self._chain(text(verdict.get(2, b"")), ports)

    def _lookup(self, parts: Attributes, rule: Rule, at: int, state: _State, chain: str) -> None:
        source = slot_of(parts, 2)
        if source is None or (number_of(parts, 5) or 0) & 1:  # NFT_LOOKUP_F_INV
            return
        elements = self._table.elements(text(parts.get(1, b"")))
        if _HAS_DATA not in parts:
            kept = [_within(state, source, each) for each in elements]
            state.ports = frozenset().union(*kept)
            return
        goes_to = slot_of(parts, _HAS_DATA)
        for each in elements:
            ports = _within(state, source, each)
            if goes_to is None:
                self._verdict(each.data, ports)
                continue
            following = _State(ports, self._is_here, dict(state.slots))
            _put_bytes(following, goes_to, value(each.data))
            self._rule(rule, at, following, chain)

    def _native(self, parts: Attributes, state: _State, chain: str) -> None:
        if number_of(parts, 1) != _DESTINATION:
            return
        size = 16 if number_of(parts, 2) == socket.AF_INET6 else 4
        first = _bytes(state, slot_of(parts, 3), size)
        last = _bytes(state, slot_of(parts, 4), size) if 4 in parts else first
        low = _bytes(state, slot_of(parts, 5), 2) if 5 in parts else b""
        high = _bytes(state, slot_of(parts, 6), 2) if 6 in parts else low
        if 3 not in parts:  # to another port of this host: ``input`` sees it
            self.redirected |= state.ports
            return
        if first is None or last is None or low is None or high is None:
            self._not_understood(chain)
            return
        self._add(state.ports, (first, last), (low, high), None, chain)

    def _target(self, parts: Attributes, state: _State, chain: str) -> None:
        name, info = text(parts.get(1, b"")), parts.get(3, b"")
        if name == "REDIRECT":
            self.redirected |= state.ports
        if name not in ("DNAT", "NETMAP"):
            return
        is_old = (number_of(parts, 2) or 0) == 0 and self._table.family == socket.AF_INET
        if is_old:  # nf_nat_ipv4_multi_range_compat, of one range
            flags = struct.unpack_from("=I", info, 4)[0]
            first, last, low, high = info[8:12], info[12:16], info[16:18], info[18:20]
            base = b""
        else:  # nf_nat_range, or nf_nat_range2 with a base
            flags = struct.unpack_from("=I", info)[0]
            size = 16 if self._table.family == socket.AF_INET6 else 4
            first, last = info[4 : 4 + size], info[20 : 20 + size]
            low, high, base = info[36:38], info[38:40], info[40:42]
        if not flags & _PORTS_GIVEN:
            low = high = b""
        shift = int.from_bytes(base, "big") if flags & _PORTS_SHIFTED else None
        self._add(state.ports, (first, last), (low, high), shift, chain)

    def _add(
        self,
        ports: _Ports,
        addresses: tuple[bytes, bytes],
        numbers: tuple[bytes, bytes],
        shift: int | None,
        chain: str,
    ) -> None:
        """``numbers`` empty: the port stays as it is; with ``shift`` it is moved by as much as
        it is above that.
        """
        first, last = (int.from_bytes(each, "big") for each in addresses)
        low, high = (int.from_bytes(each, "big") for each in numbers)
        for port in ports:
            if not numbers[0]:
                range_ = range(port.number, port.number + 1)
            elif shift is not None:
                moved = low + port.number - shift
                range_ = range(moved, moved + 1)
            else:
                range_ = range(low, high + 1)
            if not 0 < (last - first + 1) * len(range_) <= _MOST_TARGETS:
                self._not_understood(chain)
                continue
            kind = IPv6Address if len(addresses[0]) == 16 else IPv4Address
            self.targets |= {
                (kind(address), PortKey(port.protocol, number)): Way(self._table, chain, self._at)
                for address in range(first, last + 1)
                for number in range_
                if 0 < number < 1 << 16
            }

    def _not_understood(self, chain: str) -> None:
        self.unread[f"a translation in chain {chain[:60]}"] = None


def _condition(name: str, parts: Attributes, state: _State, family: int) -> None:
    """What an expression says of the packet, or what it has a register hold."""
    match name:
        case "meta":
            is_protocol = number_of(parts, 2) == _L4PROTO
            word, size = (_Word.PROTOCOL, 1) if is_protocol else (_Word.OTHER, _LONGEST)
            _put(state, slot_of(parts, 1), word, size)
        case "payload":
            size = number_of(parts, 4) or _LONGEST
            _put(state, slot_of(parts, 1), _payload(parts, family), size)
        case "cmp" | "range":
            _compare(name, parts, state)
        case "match":
            _match(parts, state)
        case "counter" | "log" | "limit" | "quota" | "connlimit" | "dynset" | "last":
            pass
        case _:
            state.slots.clear()  # it may have written to any register


def _put(state: _State, slot: int | None, word: _Word, size: int) -> None:
    """What is longer than a register's four bytes takes those after it as well."""
    if slot is not None:
        state.slots |= dict.fromkeys(range(slot, slot + (size + 3) // 4), _Word.OTHER)
        state.slots[slot] = word


def _put_bytes(state: _State, slot: int, data: bytes) -> None:
    for at in range(0, len(data), 4):
        state.slots[slot + at // 4] = data[at : at + 4]


def _bytes(state: _State, slot: int | None, size: int) -> bytes | None:
    """The bytes that a translation is to use; None when they are not known."""
    if slot is None:
        return None
    found = b""
    for at in range(slot, slot + (size + 3) // 4):
        held = state.slots.get(at)
        if not isinstance(held, bytes):
            return None
        found += held
    return found[:size] if len(found) >= size else None


def _payload(parts: Attributes, family: int) -> _Word:
    place = (number_of(parts, 2), number_of(parts, 3), number_of(parts, 4))
    if place == (2, 2, 2):  # transport header: the destination's port
        return _Word.PORT
    if place == (1, 9, 1) and family == socket.AF_INET:
        return _Word.PROTOCOL
    if place == (1, 6, 1) and family == socket.AF_INET6:
        return _Word.PROTOCOL
    if place == (1, 16, 4) and family != socket.AF_INET6:
        return _Word.ADDRESS4
    return _Word.ADDRESS6 if place == (1, 24, 16) and family != socket.AF_INET else _Word.OTHER


def _holds(
    word: object, low: bytes, high: bytes, state: _State
) -> Callable[[PortKey], bool] | None:
    """Is a port's number, its protocol, or an address of this host, within these?"""
    if word is _Word.PORT:
        first, last = int.from_bytes(low[:2], "big"), int.from_bytes(high[:2], "big")
        return lambda port: first <= port.number <= last
    if word is _Word.PROTOCOL:
        return lambda port: low[0] <= _NUMBERS[port.protocol] <= high[0]
    if word in _ADDRESSES and low == high:
        return lambda _: state.is_here(low)
    return None


def _compare(name: str, parts: Attributes, state: _State) -> None:
    source = slot_of(parts, 1)
    word = state.slots.get(source) if source is not None else None
    operation = number_of(parts, 2)
    low = value(parts.get(3, b""))
    high = value(parts.get(4, b"")) if name == "range" else low
    if not low or not high:
        return
    if operation in (_LESS, _AT_LEAST):
        high = b"\xff" * len(low)
    elif operation in (_AT_MOST, _MORE):
        low = b"\0" * len(low)
    holds = _holds(word, low, high, state)
    if word in _ADDRESSES and operation != _EQUAL:
        return  # others than one address may be this host's
    if holds is not None:
        is_within = operation in (_EQUAL, _AT_LEAST, _AT_MOST)
        state.where(lambda port: holds(port) is is_within)


def _within(state: _State, source: int, element: Element) -> _Ports:
    """The ports for which a packet's fields, from register ``source`` on, may be this element."""
    ports = state.ports
    for at in range(0, len(element.first), 4):
        word = state.slots.get(source + at // 4)
        end = at + (16 if word is _Word.ADDRESS6 else 4)
        holds = _holds(word, element.first[at:end], element.last[at:end], state)
        if holds is not None:
            ports = frozenset(each for each in ports if holds(each))
    return ports


def _match(parts: Attributes, state: _State) -> None:
    """A condition of iptables'."""
    name, info = text(parts.get(1, b"")), parts.get(3, b"")
    if name in ("tcp", "udp"):
        protocol = TransportProtocol.TCP if name == "tcp" else TransportProtocol.UDP
        low, high = struct.unpack_from("=HH", info, 4)
        is_other = info[11 if name == "tcp" else 8] & 2  # XT_TCP_INV_DSTPT, XT_UDP_INV_DSTPT
        state.where(lambda port: port.protocol is protocol)
        if not is_other:
            state.where(lambda port: low <= port.number <= high)
    elif name == "multiport" and (number_of(parts, 2) or 0) == 1 and info[0] == 1 and not info[47]:
        state.where(_any_of(list(_multiport(info))))


def _multiport(info: bytes) -> Iterable[tuple[int, int]]:
    """xt_multiport_v1: numbers, of which some are the begin of a range that the next ends."""
    numbers = struct.unpack_from("=15H", info, 2)[: info[1]]
    at = 0
    while at < len(numbers):
        is_range = bool(info[32 + at]) and at + 1 < len(numbers)
        yield numbers[at], numbers[at + 1] if is_range else numbers[at]
        at += 2 if is_range else 1


def _any_of(ranges: Collection[tuple[int, int]]) -> Callable[[PortKey], bool]:
    return lambda port: any(low <= port.number <= high for low, high in ranges)
