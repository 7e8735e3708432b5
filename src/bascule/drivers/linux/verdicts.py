"""What other programs' rules do with one packet, as far as reading them tells.

Source: linux/netfilter/nf_tables.h, x_tables.h, xt_tcpudp.h, xt_multiport.h, xt_conntrack.h,
xt_addrtype.h. A chain's outcome is a set: what reading decides narrows it, and a condition that
is not understood leaves both ways in. So "dropped" is said only where no way leads past the drop,
and a rule by an unknown source, mark, limit or set of addresses is no certain drop.

The packet is the first of a new connection. What is not here: where rules are read (``ruleset``,
``legacy``), and translation (``nat_rules``).
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Protocol

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.drivers.linux import netlink
from bascule.drivers.linux.ruleset import (
    Attributes,
    Base,
    Element,
    Rule,
    number_of,
    slot_of,
    text,
    value,
)

PREROUTING, INPUT, FORWARD = 0, 1, 2  # NF_INET_*
_DROP, _ACCEPT = 0, 1
_CONTINUE, _JUMP, _GOTO, _RETURN = -1, -3, -4, -5
_SYN, _NEW = 0x02, 8
_DNAT = 1 << 5  # IPS_DST_NAT
_TARGET_HOST = 0  # PACKET_HOST
_PROTOCOLS = {TransportProtocol.TCP: socket.IPPROTO_TCP, TransportProtocol.UDP: socket.IPPROTO_UDP}

# By which attribute an expression says that it writes to the packet, not to a register.
_WRITES = {"meta": 3, "payload": 5, "ct": 4, "exthdr": 7}

ACCEPTED = "accepted"
RETURNED = "returned"  # from a chain that was jumped to
_NEXT = "next"  # on to the next rule


@dataclass(frozen=True, slots=True)
class Drop:
    """Where a packet ends: a rule, or with ``at`` -1 the policy of a chain in a hook."""

    chain: str
    at: int


@dataclass(frozen=True, slots=True)
class _Jump:
    chain: str
    is_goto: bool


Outcome = str | Drop | _Jump


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a new connection, at one hook; None: not known."""

    port: PortKey  # of its destination, as that hook sees it
    address: Address  # its destination
    source: Address | None = None
    interface: tuple[int, str] | None = None  # through which it came
    out_interface: tuple[int, str] | None = None
    is_translated: bool = False  # its destination was
    is_forwarded: bool = False  # to another host or a container

    @property
    def family(self) -> int:
        return socket.AF_INET if self.address.version == 4 else socket.AF_INET6


class Rules(Protocol):
    """A table, of nftables or of the old iptables."""

    family: int
    name: str
    bases: dict[str, Base]
    rules: dict[str, list[Rule]]

    def elements(self, name: str) -> list[Element]: ...


def drops(table: Rules, hook: int, packet: Packet) -> Drop | None:
    """Where every packet like this one is dropped in that hook; None: some may pass."""
    if table.family not in (1, packet.family):
        return None
    for name, base in sorted(table.bases.items(), key=lambda each: each[1].priority):
        if base.hook != hook:
            continue
        outcomes = _Chains(table, packet).outcomes(name)
        ends = [each for each in outcomes if isinstance(each, Drop)]
        if RETURNED in outcomes and base.drops:
            ends.append(Drop(name, -1))
        may_pass = ACCEPTED in outcomes or (RETURNED in outcomes and not base.drops)
        if ends and not may_pass:
            return ends[-1]  # those before it are perhaps
    return None


def may_match(table: Rules, rule: Rule, packet: Packet) -> bool:
    """May a packet like this one meet all conditions of a rule?"""
    if table.family not in (1, packet.family):
        return False
    return _RuleReader(table, packet, "", 0).read(rule) != {_NEXT}


class _Chains:
    """What each chain of a table does with one packet; each is looked through once."""

    def __init__(self, table: Rules, packet: Packet) -> None:
        self._table = table
        self._packet = packet
        self._known: dict[str, tuple[Outcome, ...]] = {}

    def outcomes(self, name: str) -> tuple[Outcome, ...]:
        """In the order of the rules."""
        if name not in self._known:
            self._known[name] = (ACCEPTED, RETURNED)  # no kernel takes rules that go round
            self._known[name] = self._look(name)
        return self._known[name]

    def _look(self, name: str) -> tuple[Outcome, ...]:
        found: dict[Outcome, None] = {}
        for at, rule in enumerate(self._table.rules.get(name, ())):
            goes_on = False
            for outcome in _RuleReader(self._table, self._packet, name, at).read(rule):
                if isinstance(outcome, _Jump):
                    inner = self.outcomes(outcome.chain)
                    is_back = RETURNED in inner and not outcome.is_goto
                    found |= dict.fromkeys(
                        each for each in inner if each != RETURNED or not is_back
                    )
                    goes_on |= is_back
                elif outcome is _NEXT:
                    goes_on = True
                else:
                    found[outcome] = None
            if not goes_on:
                return tuple(found)
        return (*found, RETURNED)


@dataclass(slots=True)
class _RuleReader:
    """One rule: its conditions in order, over registers whose bytes may not be known."""

    table: Rules
    packet: Packet
    chain: str
    at: int
    slots: dict[int, bytes | None] = field(default_factory=dict)  # by register of four bytes

    def read(self, rule: Rule) -> set[Outcome]:
        found: set[Outcome] = set()
        for name, parts in rule:
            try:
                holds, ends = self._expression(name, parts)
            except (struct.error, IndexError):  # of another form than that of the sources above
                holds, ends = None, {ACCEPTED, _NEXT}
            if holds is False:
                return {*found, _NEXT}
            if holds is None:
                found.add(_NEXT)
            if ends:
                return found | ends
        return {*found, _NEXT}

    def _expression(self, name: str, parts: Attributes) -> tuple[bool | None, set[Outcome]]:
        """Does the packet go on within this rule (None: perhaps), and how does the rule end?"""
        match name:
            case "meta" | "payload" | "ct" | "fib" | "rt" | "exthdr" | "socket" | "hash" | "numgen":
                return self._load(name, parts)
            case "bitwise":
                self._mask(parts)
                return True, set()
            case "cmp" | "range":
                return self._compare(name, parts), set()
            case "lookup":
                return self._lookup(parts)
            case "immediate":
                return self._immediate(parts)
            case "match":
                return _match(parts, self.packet), set()
            case "target":
                return True, self._target(parts)
        return self._statement(name)

    def _statement(self, name: str) -> tuple[bool | None, set[Outcome]]:
        match name:
            case "reject":
                return True, {Drop(self.chain, self.at)}
            case "counter" | "log" | "dynset" | "last" | "notrack" | "objref":
                return True, set()
            case "limit" | "quota" | "connlimit" | "osf":
                return None, set()
            case "nat" | "masq" | "redir" | "queue" | "synproxy" | "tproxy":
                return True, {ACCEPTED, _NEXT}
        self.slots.clear()  # another may have written to any register
        return None, set()

    # -- registers ----------------------------------------------------------------------

    def _put(self, slot: int | None, data: bytes | None, size: int = 16) -> None:
        if slot is None:
            return
        length = size if data is None else len(data)
        for at in range(0, length, 4):
            held = None if data is None else data[at : at + 4].ljust(4, b"\0")
            self.slots[slot + at // 4] = held

    def _bytes(self, slot: int | None, size: int) -> bytes | None:
        if slot is None or size == 0:
            return None
        held = [self.slots.get(at) for at in range(slot, slot + (size + 3) // 4)]
        known = [each for each in held if each is not None]
        return b"".join(known)[:size] if len(known) == len(held) else None

    def _load(self, name: str, parts: Attributes) -> tuple[bool | None, set[Outcome]]:
        if _WRITES.get(name, 0) in parts:
            # A changed packet is another one: nothing certain is said of it. A mark is unknown anyhow.
            return True, {ACCEPTED, _NEXT} if name == "payload" else set()
        where = slot_of(parts, 1)
        match name:
            case "meta":
                self._put(where, _meta(number_of(parts, 2), self.packet))
            case "payload":
                place = number_of(parts, 2), number_of(parts, 3), number_of(parts, 4)
                self._put(where, _payload(place, self.packet), place[2] or 16)
            case "ct":
                self._put(where, _ct(number_of(parts, 2), self.packet))
            case "fib":
                is_type = number_of(parts, 2) == 3  # NFT_FIB_RESULT_ADDRTYPE
                of_destination = bool((number_of(parts, 3) or 0) & 2)  # NFTA_FIB_F_DADDR
                here = struct.pack("=I", 2)  # RTN_LOCAL
                is_here = is_type and of_destination and not self.packet.is_forwarded
                self._put(where, here if is_here else None, 4)
            case _:
                self._put(where, None)
        return True, set()

    def _mask(self, parts: Attributes) -> None:
        size = number_of(parts, 3) or 0
        data = self._bytes(slot_of(parts, 1), size)
        mask, flip = value(parts.get(4, b"")), value(parts.get(5, b""))
        is_plain = (number_of(parts, 6) or 0) == 0 and len(mask) == size == len(flip)
        result = None
        if data is not None and is_plain:
            result = bytes(a & b ^ c for a, b, c in zip(data, mask, flip, strict=True))
        self._put(slot_of(parts, 2), result, size)

    # -- conditions ---------------------------------------------------------------------

    def _compare(self, name: str, parts: Attributes) -> bool | None:
        low = value(parts.get(3, b""))
        high = value(parts.get(4, b"")) if name == "range" else low
        held = self._bytes(slot_of(parts, 1), len(low))
        if held is None or len(high) != len(low):
            return None
        match number_of(parts, 2):
            case 0:
                return low <= held <= high
            case 1:
                return not low <= held <= high
            case 2:
                return held < low
            case 3:
                return held <= low
            case 4:
                return held > low
            case 5:
                return held >= low
        return None

    def _lookup(self, parts: Attributes) -> tuple[bool | None, set[Outcome]]:
        source = slot_of(parts, 2)
        is_inverse = bool((number_of(parts, 5) or 0) & 1)
        elements = self.table.elements(text(parts.get(1, b"")))
        certain = [each for each in elements if each.first and self._is(source, each) is True]
        maybe = [each for each in elements if each.first and self._is(source, each) is None]
        rest = [each for each in elements if not each.first]
        if 3 not in parts:
            is_in = True if certain else None if maybe else bool(rest)
            return (is_in if is_in is None else is_in is not is_inverse), set()
        ends: set[Outcome] = set()
        if slot_of(parts, 3) is not None:  # a map of values, of which one is not told here
            self._put(slot_of(parts, 3), None)
        else:
            for each in (*certain, *maybe, *(() if certain else rest)):
                ends |= self._verdict(each.data)
        is_sure = bool(certain or rest)
        return (True if is_sure else None if maybe else False), ends

    def _is(self, source: int | None, element: Element) -> bool | None:
        """Is what the registers hold within this element, part by part?"""
        if source is None:
            return None
        answer: bool | None = True
        size = len(element.first)
        whole = self._bytes(source, size)
        if whole is not None and (size <= 4 or element.first == element.last):
            return element.first <= whole <= element.last
        for at in range(0, size, 4):
            held = self.slots.get(source + at // 4)
            low, high = element.first[at : at + 4], element.last[at : at + 4]
            if held is None:
                answer = None
            elif not low <= held[: len(low)] <= high:
                return False
        return answer

    # -- ends ---------------------------------------------------------------------------

    def _immediate(self, parts: Attributes) -> tuple[bool | None, set[Outcome]]:
        where = slot_of(parts, 1)
        data = parts.get(2, b"")
        if where is not None:
            self._put(where, value(data))
            return True, set()
        return True, self._verdict(data)

    def _verdict(self, data: bytes) -> set[Outcome]:
        verdict = dict(netlink.attributes(dict(netlink.attributes(data)).get(2, b"")))
        code = int.from_bytes(verdict.get(1, b""), "big", signed=True)
        chain = text(verdict.get(2, b""))
        match code:
            case int() if code == _DROP:
                return {Drop(self.chain, self.at)}
            case int() if code == _CONTINUE:
                return {_NEXT}
            case int() if code in (_JUMP, _GOTO):
                return {_Jump(chain, is_goto=code == _GOTO)}
            case int() if code == _RETURN:
                return {RETURNED}
        return {ACCEPTED} if code == _ACCEPT else {ACCEPTED, _NEXT}  # a queue, or not known

    def _target(self, parts: Attributes) -> set[Outcome]:
        """A target of iptables'."""
        match text(parts.get(1, b"")):
            case "REJECT":
                return {Drop(self.chain, self.at)}
            case "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "CT" | "TCPMSS" | "SET" | "TRACE":
                return set()
            case "DSCP" | "TOS" | "CHECKSUM" | "CLASSIFY" | "SECMARK" | "CONNSECMARK" | "AUDIT":
                return set()
        return {ACCEPTED, _NEXT}


# -- what is known of the packet ------------------------------------------------------------


def _meta(key: int | None, packet: Packet) -> bytes | None:
    is_4 = packet.family == socket.AF_INET
    interface, out = packet.interface, packet.out_interface
    match key:
        case 1:
            return struct.pack(">H", 0x0800 if is_4 else 0x86DD)
        case 4 if interface is not None:
            return struct.pack("=I", interface[0])
        case 5 if out is not None:
            return struct.pack("=I", out[0])
        case 6 if interface is not None:
            return interface[1].encode().ljust(16, b"\0")
        case 7 if out is not None:
            return out[1].encode().ljust(16, b"\0")
        case 15:
            return bytes([packet.family])
        case 16:
            return bytes([_PROTOCOLS[packet.port.protocol]])
        case 19:
            return bytes([_TARGET_HOST])
    return None


def _payload(place: tuple[int | None, int | None, int | None], packet: Packet) -> bytes | None:
    base, offset, size = place
    if base is None or offset is None or size is None:
        return None
    end = offset + size
    if base == 2:
        if (offset, size) == (2, 2):
            return packet.port.number.to_bytes(2, "big")
        is_tcp = packet.port.protocol is TransportProtocol.TCP
        return bytes([_SYN]) if is_tcp and (offset, size) == (13, 1) else None
    if base != 1:
        return None
    at_source, at_destination = (12, 16) if packet.family == socket.AF_INET else (8, 24)
    width = len(packet.address.packed)
    if at_destination <= offset and end <= at_destination + width:
        return packet.address.packed[offset - at_destination : end - at_destination]
    if packet.source is not None and at_source <= offset and end <= at_source + width:
        return packet.source.packed[offset - at_source : end - at_source]
    is_protocol = (offset, size) == ((9, 1) if packet.family == socket.AF_INET else (6, 1))
    return bytes([_PROTOCOLS[packet.port.protocol]]) if is_protocol else None


def _ct(key: int | None, packet: Packet) -> bytes | None:
    match key:
        case 0:  # NFT_CT_STATE
            return struct.pack("=I", _NEW)
        case 1:  # NFT_CT_DIRECTION: original
            return b"\0"
        case 2:  # NFT_CT_STATUS: rules ask for its bits of translation alone
            return struct.pack("=I", _DNAT if packet.is_translated else 0)
    return None


# -- conditions of iptables' ----------------------------------------------------------------


def _match(parts: Attributes, packet: Packet) -> bool | None:
    name, revision, info = text(parts.get(1, b"")), number_of(parts, 2) or 0, parts.get(3, b"")
    match name:
        case "comment":
            return True
        case "tcp" | "udp":
            return _ports(name, info, packet)
        case "multiport" if revision == 1:
            return _multiport(info, packet)
        case "state":
            return bool(struct.unpack_from("=I", info)[0] & _NEW)
        case "conntrack" if revision >= 2:
            wanted, inverse, states = struct.unpack_from("=3H", info, 146)
            if wanted != 1:  # XT_CONNTRACK_STATE alone
                return None
            return bool(states & _NEW) is not bool(inverse & 1)
        case "addrtype" if revision == 1:
            of_source, of_destination, flags = struct.unpack_from("=HHI", info)
            if of_source or of_destination != 1 << 2 or packet.is_forwarded:
                return None
            return not flags & 2  # XT_ADDRTYPE_INVERT_DEST
    return None


def _ports(name: str, info: bytes, packet: Packet) -> bool | None:
    is_tcp = name == "tcp"
    if (packet.port.protocol is TransportProtocol.TCP) is not is_tcp:
        return False
    first, last, low, high = struct.unpack_from("=4H", info)
    inverse = info[11 if is_tcp else 8]
    answers: list[bool | None] = [(low <= packet.port.number <= high) is not bool(inverse & 2)]
    if (first, last) != (0, 65535) or inverse & 1:
        answers.append(None)
    if is_tcp:
        option, mask, wanted = info[8:11]
        answers.append((_SYN & mask == wanted) is not bool(inverse & 4))
        if option:
            answers.append(None)
    return False if False in answers else None if None in answers else True


def _multiport(info: bytes, packet: Packet) -> bool | None:
    """xt_multiport_v1."""
    if info[0] != 1:  # XT_MULTIPORT_DESTINATION
        return None
    numbers, at, is_in = struct.unpack_from("=15H", info, 2)[: info[1]], 0, False
    while at < len(numbers):
        is_range = bool(info[32 + at]) and at + 1 < len(numbers)
        last = numbers[at + 1] if is_range else numbers[at]
        is_in |= numbers[at] <= packet.port.number <= last
        at += 2 if is_range else 1
    return is_in is not bool(info[47])
