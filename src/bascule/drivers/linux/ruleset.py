"""The kernel's nftables ruleset as netlink tells it: tables, their chains, rules and sets; and
flow tables.

Source: linux/netfilter/nf_tables.h. The netlink form is read, since nft shows what iptables
wrote in text only where it finds iptables' own libraries. What is not here: what the rules
do, which is ``nat_rules`` and ``verdicts``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from bascule.drivers.linux import netlink

_NETFILTER = 12  # NETLINK_NETFILTER
_NFTABLES = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_CHAIN, _GET_RULE, _GET_SET, _GET_ELEMENTS, _GET_GENERATION = (
    _NFTABLES | number for number in (4, 7, 10, 13, 16)
)
_GET_FLOW_TABLE = _NFTABLES | 23
_FAMILY_NAMES = {1: "inet", 2: "ip", 10: "ip6"}
INET, NETDEV = 1, 5  # NFPROTO_*; those of IPv4 and IPv6 are AF_INET and AF_INET6
_FAMILIES = (INET, socket.AF_INET, socket.AF_INET6)
_PREROUTING = 0
_INTERVAL, _INTERVAL_END, _CATCHALL = 4, 1, 2  # NFT_SET_INTERVAL, NFT_SET_ELEM_*


Attributes = Mapping[int, bytes]
Rule = list[tuple[str, Attributes]]  # expressions: name, attributes


def generation() -> int:
    """A number that changes with every change of the ruleset. Raises OSError."""
    reply = netlink.ask(_NETFILTER, _GET_GENERATION, _head(socket.AF_UNSPEC))
    return int.from_bytes(dict(netlink.attributes(reply[4:])).get(1, b""), "big")


def _head(family: int) -> bytes:
    return struct.pack("=BBH", family, 0, 0)


def text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _named(table: str) -> bytes:
    return netlink.attribute(1, table.encode() + b"\0")


def flow_tables() -> list[str]:
    """Each flow table, as nft names it: family, table, name. Raises OSError."""
    found = []
    for reply in netlink.dump(_NETFILTER, _GET_FLOW_TABLE, _head(socket.AF_UNSPEC)):
        entry = dict(netlink.attributes(reply[4:]))
        family = _FAMILY_NAMES.get(reply[0], str(reply[0]))
        found.append(f"{family} {text(entry.get(1, b''))} {text(entry.get(2, b''))}")
    return found


def nat_tables() -> list[tuple[int, str]]:
    """Family and name of each table in which ``prerouting`` is translated."""
    found: dict[tuple[int, str], None] = {}
    for reply in netlink.dump(_NETFILTER, _GET_CHAIN, _head(socket.AF_UNSPEC)):
        entry = dict(netlink.attributes(reply[4:]))
        if reply[0] in _FAMILIES and _is_entry(entry):
            found[reply[0], text(entry.get(1, b""))] = None
    return list(found)


def hooked_tables() -> list[tuple[int, str]]:
    """Family and name of each table that has a chain in a hook of IP or of a device."""
    found: dict[tuple[int, str], None] = {}
    for reply in netlink.dump(_NETFILTER, _GET_CHAIN, _head(socket.AF_UNSPEC)):
        entry = dict(netlink.attributes(reply[4:]))
        if reply[0] in (*_FAMILIES, NETDEV) and 4 in entry:
            found[reply[0], text(entry.get(1, b""))] = None
    return list(found)


def _is_entry(chain: Attributes) -> bool:
    hook = dict(netlink.attributes(chain.get(4, b"")))
    is_nat = text(chain.get(7, b"")) == "nat"
    return is_nat and int.from_bytes(hook.get(1, b"\xff"), "big") == _PREROUTING


@dataclass(frozen=True, slots=True)
class Base:
    """What a chain that hangs in a hook says of itself."""

    hook: int  # NF_INET_*; of NETDEV: NF_NETDEV_*
    priority: int
    kind: str  # filter, nat, route
    drops: bool  # its policy: what no rule decides is dropped


def _base(chain: Attributes) -> Base | None:
    """None for a chain in no hook."""
    if 4 not in chain:
        return None
    hook = dict(netlink.attributes(chain[4]))
    return Base(
        int.from_bytes(hook.get(1, b""), "big"),
        int.from_bytes(hook.get(2, b""), "big", signed=True),
        text(chain.get(7, b"")),
        drops=chain.get(5) == b"\0\0\0\0",  # NFTA_CHAIN_POLICY: NF_DROP
    )


@dataclass(frozen=True, slots=True)
class Element:
    first: bytes  # empty: whatever is in no other element
    last: bytes  # inclusive
    data: bytes = b""


class Table:
    """One table, as it is read now; sets are read when a rule asks for them."""

    def __init__(self, family: int, name: str) -> None:
        self.family = family
        body = _head(family) + _named(name)
        self._body = body
        self.name = name
        self.entries: list[str] = []
        self.bases: dict[str, Base] = {}
        for reply in netlink.dump(_NETFILTER, _GET_CHAIN, body):
            chain = dict(netlink.attributes(reply[4:]))
            if reply[0] != family or text(chain.get(1, b"")) != name:
                continue
            if _is_entry(chain):
                self.entries.append(text(chain.get(3, b"")))
            if (base := _base(chain)) is not None:
                self.bases[text(chain.get(3, b""))] = base
        self.rules: dict[str, list[Rule]] = {}
        self.handles: dict[str, list[int]] = {}  # of those rules, in the same order
        for reply in netlink.dump(_NETFILTER, _GET_RULE, body):
            rule = dict(netlink.attributes(reply[4:]))
            if text(rule.get(1, b"")) == name:
                expressions = [
                    _expression(each) for _, each in netlink.attributes(rule.get(4, b""))
                ]
                chain_name = text(rule.get(2, b""))
                self.rules.setdefault(chain_name, []).append(expressions)
                handle = int.from_bytes(rule.get(3, b""), "big")
                self.handles.setdefault(chain_name, []).append(handle)
        self._flags: dict[str, int] | None = None
        self._sets: dict[str, list[Element]] = {}

    def elements(self, name: str) -> list[Element]:
        if self._flags is None:
            described = (
                dict(netlink.attributes(reply[4:]))
                for reply in netlink.dump(_NETFILTER, _GET_SET, self._body)
            )
            self._flags = {
                text(each.get(2, b"")): int.from_bytes(each.get(3, b""), "big")
                for each in described
            }
        if name not in self._sets:
            body = self._body + netlink.attribute(2, name.encode() + b"\0")
            raw = [
                dict(netlink.attributes(element))
                for reply in netlink.dump(_NETFILTER, _GET_ELEMENTS, body)
                for _, element in netlink.attributes(
                    dict(netlink.attributes(reply[4:])).get(3, b"")
                )
            ]
            self._sets[name] = list(_elements(raw, bool(self._flags.get(name, 0) & _INTERVAL)))
        return self._sets[name]


def _expression(raw: bytes) -> tuple[str, Attributes]:
    parts = dict(netlink.attributes(raw))
    return text(parts.get(1, b"")), dict(netlink.attributes(parts.get(2, b"")))


def _elements(raw: Iterable[Attributes], is_interval: bool) -> Iterator[Element]:
    """An interval of one field is two elements, its begin and what is just after its end."""
    bounds = []
    for each in raw:
        flags = int.from_bytes(each.get(3, b""), "big")
        key, end = value(each.get(1, b"")), value(each.get(10, b""))
        if flags & _CATCHALL or end or not is_interval:
            yield Element(key, end or key, each.get(2, b""))
        else:
            bounds.append((key, not flags & _INTERVAL_END, each.get(2, b"")))
    bounds.sort(key=lambda each: each[:2])
    bounds.append((b"", False, b""))
    for (first, is_begin, data), (after, _, _) in pairwise(bounds):
        if is_begin:
            last = int.from_bytes(after, "big") - 1 if after else (1 << 8 * len(first)) - 1
            yield Element(first, last.to_bytes(len(first), "big"), data)


def value(raw: bytes) -> bytes:
    return dict(netlink.attributes(raw)).get(1, b"")


def number_of(parts: Attributes, kind: int) -> int | None:
    """An attribute of any length, in network byte order; None: it is not there."""
    raw = parts.get(kind)
    return None if raw is None else int.from_bytes(raw, "big")


def slot_of(parts: Attributes, kind: int) -> int | None:
    """Which of sixteen slots of four bytes a register begins at; None: it names none.

    Registers have two numberings: four of sixteen bytes, sixteen of four (nf_tables.h,
    ``enum nft_registers``).
    """
    register = number_of(parts, kind)
    if register is None or register == 0:
        return None
    return (register - 1) * 4 if register <= 4 else register - 8
