"""The tables of the old iptables, in the form in which ``ruleset`` tells nftables' own.

Source: linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h, netfilter/x_tables.h:
getsockopt with IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, which needs CAP_NET_ADMIN alone. Only
tables that exist are asked for, since to ask for another makes it. Conditions of addresses,
protocol and interface become nftables' expressions; other matches and targets stay as they are.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bascule.drivers.linux import netlink
from bascule.drivers.linux.ruleset import Base, Element, Rule

_PROC = Path("/proc/thread-self/net")
_NAMES: Mapping[int, str] = {socket.AF_INET: "ip_tables_names", socket.AF_INET6: "ip6_tables_names"}
_LEVELS: Mapping[int, int] = {
    socket.AF_INET: socket.IPPROTO_IP,
    socket.AF_INET6: socket.IPPROTO_IPV6,
}
_GET_INFO, _GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32s I5I5I II")  # name, hooks, entry points, underflows, number, size
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_EQUAL, _NOT_EQUAL = 0, 1
_REGISTER = 8  # the first of four bytes
_DROPPED, _RETURN = -1, -5  # verdicts: -NF_DROP - 1, XT_RETURN
_TRIES = 3  # the table may change between the two questions


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of one entry, by family."""

    address: int  # bytes
    elements: int  # where its matches begin
    offsets: int  # where the two offsets stand: of its target, of the next entry
    interfaces: int
    protocol: int
    inverse: int
    goto: int  # IPT_F_GOTO, IP6T_F_GOTO
    has_protocol: bool  # IP6T_F_PROTO must say so


_SHAPES: Mapping[int, _Shape] = {
    socket.AF_INET: _Shape(4, 112, 88, 16, 80, 83, 2, has_protocol=False),
    socket.AF_INET6: _Shape(16, 168, 140, 64, 128, 132, 4, has_protocol=True),
}
# Bits of invflags: VIA_IN, VIA_OUT, SRCIP, DSTIP, PROTO.
_IN, _OUT, _SOURCE, _DESTINATION, _PROTOCOL = 0x01, 0x02, 0x08, 0x10, 0x40


class LegacyTable:
    """One table of the old iptables, read now. Raises OSError."""

    def __init__(self, family: int, name: str) -> None:
        self.family = family
        self.name = name
        self.bases: dict[str, Base] = {}
        self.rules: dict[str, list[Rule]] = {}
        self.handles: dict[str, list[int]] = {}  # the number of each rule in its chain
        info, blob = _entries(family, name)
        _Reader(self, info, blob).read()

    @property
    def entries(self) -> list[str]:
        """Chains that translate what comes in, as of ``ruleset.Table``."""
        return ["PREROUTING"] if self.name == "nat" and "PREROUTING" in self.bases else []

    def elements(self, name: str) -> list[Element]:
        """None: ipsets are no part of it."""
        del name
        return []


def legacy_tables() -> list[tuple[int, str]]:
    """Family and name of each that exists. Raises OSError where that cannot be read."""
    found: list[tuple[int, str]] = []
    for family, file in _NAMES.items():
        try:
            names = (_PROC / file).read_text("ascii").split()
        except FileNotFoundError:
            continue
        found += [(family, name) for name in sorted(names) if name in _PRIORITIES]
    return found


def _entries(family: int, name: str) -> tuple[tuple[int, ...], bytes]:
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        last = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        for _ in range(_TRIES):
            head = name.encode().ljust(32, b"\0")
            _, *info = _INFO.unpack(_get(asked, _LEVELS[family], _GET_INFO, head, _INFO.size))
            size = info[-1]
            body = head + struct.pack("=I4x", size)
            try:
                answer = _get(asked, _LEVELS[family], _GET_ENTRIES, body, len(body) + size)
            except OSError as error:
                last = error
                continue
            return tuple(info), answer[len(body) :]
    raise last


def _get(asked: socket.socket, level: int, option: int, head: bytes, size: int) -> bytes:
    """socket.getsockopt hands no input over, which these options need."""
    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(head, size)
    length = ctypes.c_uint32(size)
    if library.getsockopt(asked.fileno(), level, option, buffer, ctypes.byref(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw[: length.value]


class _Reader:
    def __init__(self, table: LegacyTable, info: tuple[int, ...], blob: bytes) -> None:
        self._table = table
        self._shape = _SHAPES[table.family]
        self._hooks, self._begins, self._ends = info[0], info[1:6], info[6:11]
        self._blob = blob
        self._chains: dict[int, str] = {}  # by the offset at which it begins

    def read(self) -> None:
        entries = self._split()
        heads = {at for at, entry in entries if self._target(entry)[0] == "ERROR"}
        for hook, name in enumerate(_HOOKS):
            if self._hooks & 1 << hook:
                self._chains[self._begins[hook]] = name
        for at, entry in entries:
            name = self._user_chain(entry)
            if name:
                self._chains[at + len(entry)] = name
        policies = {
            self._ends[hook]: name for hook, name in enumerate(_HOOKS) if self._hooks & 1 << hook
        }
        chain = ""
        for at, entry in entries:
            chain = self._chains.get(at, chain)
            if at in policies:
                self._base(policies[at], entry)
                chain = ""
                continue
            is_end = at + len(entry) in heads and self._returns(entry)
            if chain and at not in heads and not is_end:
                rules = self._table.rules.setdefault(chain, [])
                rules.append(self._rule(entry))
                self._table.handles.setdefault(chain, []).append(len(rules))

    def _split(self) -> list[tuple[int, bytes]]:
        found, at = [], 0
        while at + self._shape.elements <= len(self._blob):
            length = struct.unpack_from("=H", self._blob, at + self._shape.offsets + 2)[0]
            if length < self._shape.elements:
                break
            found.append((at, self._blob[at : at + length]))
            at += length
        return found

    def _target(self, entry: bytes) -> tuple[str, int, bytes]:
        start = struct.unpack_from("=H", entry, self._shape.offsets)[0]
        return _extension(entry[start:])

    def _user_chain(self, entry: bytes) -> str:
        """The name of the chain that begins after this entry; empty: none does."""
        name, _, info = self._target(entry)
        return info[:29].split(b"\0")[0].decode(errors="replace") if name == "ERROR" else ""

    def _returns(self, entry: bytes) -> bool:
        return self._target(entry)[0] == "" and self._verdict(entry) == _RETURN

    def _verdict(self, entry: bytes) -> int:
        return int(struct.unpack_from("=i", self._target(entry)[2])[0])

    def _base(self, name: str, entry: bytes) -> None:
        hook = _HOOKS.index(name)
        priority = _PRIORITIES[self._table.name]
        kind = "nat" if self._table.name == "nat" else "filter"
        self._table.bases[name] = Base(hook, priority, kind, drops=self._verdict(entry) == _DROPPED)

    def _rule(self, entry: bytes) -> Rule:
        rule = [*self._conditions(entry)]
        at = self._shape.elements
        end = struct.unpack_from("=H", entry, self._shape.offsets)[0]
        while at + 32 <= end:
            size = struct.unpack_from("=H", entry, at)[0]
            name, revision, info = _extension(entry[at : at + size])
            rule.append(("match", _parts(name, revision, info)))
            at += max(size, 32)
        name, revision, info = self._target(entry)
        if name:
            rule.append(("target", _parts(name, revision, info)))
        else:
            rule.append(("immediate", self._jump(struct.unpack_from("=i", info)[0], entry)))
        return rule

    def _jump(self, verdict: int, entry: bytes) -> dict[int, bytes]:
        """In nftables' form: negative ones are -NF_X - 1, except XT_RETURN; others are offsets."""
        is_goto = bool(entry[self._shape.inverse - 1] & self._shape.goto)
        if verdict >= 0:
            code, chain = (-4 if is_goto else -3), self._chains.get(verdict, "")
            if not chain:  # to the rule after it: nothing follows from that one
                code = -1
        else:
            code, chain = (_RETURN if verdict == _RETURN else -verdict - 1), ""
        inner = netlink.attribute(1, struct.pack(">i", code))
        if chain:
            inner += netlink.attribute(2, chain.encode() + b"\0")
        return {1: struct.pack(">I", 0), 2: netlink.attribute(2, inner)}

    def _conditions(self, entry: bytes) -> Rule:
        shape = self._shape
        inverse = entry[shape.inverse]
        width = shape.address
        offsets = {4: (12, 16), 16: (8, 24)}[width]
        found: Rule = []
        for place, flag in ((0, _SOURCE), (1, _DESTINATION)):
            address = entry[place * width : (place + 1) * width]
            mask = entry[(place + 2) * width : (place + 3) * width]
            if any(mask):
                found += _header(offsets[place], width, mask)
                found.append(_compare(address, is_not=bool(inverse & flag)))
        for place, (key, flag) in enumerate(((6, _IN), (7, _OUT))):
            name = entry[shape.interfaces + 16 * place :][:16]
            length = len(entry[shape.interfaces + 32 + 16 * place :][:16].rstrip(b"\0"))
            if length:
                found.append(("meta", {1: _word(_REGISTER), 2: _word(key)}))
                found.append(_compare(name[:length], is_not=bool(inverse & flag)))
        protocol = struct.unpack_from("=H", entry, shape.protocol)[0]
        if protocol and (not shape.has_protocol or entry[shape.inverse - 1] & 1):
            found.append(("meta", {1: _word(_REGISTER), 2: _word(16)}))
            found.append(_compare(bytes([protocol & 0xFF]), is_not=bool(inverse & _PROTOCOL)))
        return found


def _extension(raw: bytes) -> tuple[str, int, bytes]:
    size = struct.unpack_from("=H", raw)[0]
    return raw[2:31].split(b"\0")[0].decode(errors="replace"), raw[31], raw[32:size]


def _parts(name: str, revision: int, info: bytes) -> dict[int, bytes]:
    return {1: name.encode() + b"\0", 2: _word(revision), 3: info}


def _word(number: int) -> bytes:
    return struct.pack(">I", number)


def _header(offset: int, size: int, mask: bytes) -> Rule:
    load = {1: _word(_REGISTER), 2: _word(1), 3: _word(offset), 4: _word(size)}
    if mask == b"\xff" * size:
        return [("payload", load)]
    flip = netlink.attribute(1, b"\0" * size)
    masked = {1: _word(_REGISTER), 2: _word(_REGISTER), 3: _word(size)}
    masked |= {4: netlink.attribute(1, mask), 5: flip}
    return [("payload", load), ("bitwise", masked)]


def _compare(data: bytes, *, is_not: bool) -> tuple[str, dict[int, bytes]]:
    operation = _NOT_EQUAL if is_not else _EQUAL
    return "cmp", {1: _word(_REGISTER), 2: _word(operation), 3: netlink.attribute(1, data)}
