"""What of other programs lets a closed port be reached past us, or blocks what we open.

Found by reading: rules of nftables and of the old iptables, translation, sockets. Nothing is sent
and nothing is changed. A way in counts as past us only where no other rule closes it for certain,
and a block counts only where no packet passes (``verdicts``), so that a rule that depends on the
packet's source is no finding.

Not found are programs that answer without a socket of the host's: packet sockets, eBPF, a tunnel
that is dialled from within. Containers' own addresses are closed by routing (``published``).
"""

from __future__ import annotations

import socket
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bascule.domain.net import Address, PortKey, port_order
from bascule.domain.weaknesses import (
    BLOCKED_ELSEWHERE,
    FORWARDED_PAST,
    REWRITTEN_PAST,
    SOURCE_BLOCKED,
    Weakness,
)
from bascule.drivers.linux import netlink
from bascule.drivers.linux.listeners import Programs
from bascule.drivers.linux.other_rules import (
    AnyTable,
    OtherRules,
    Words,
    admitting,
    manager,
    where,
)
from bascule.drivers.linux.ruleset import INET, NETDEV, Attributes, Base, text, value
from bascule.drivers.linux.second_doors import second_doors
from bascule.drivers.linux.verdicts import INPUT, PREROUTING, Drop

MOST_OF_A_KIND = 8  # findings of one kind that are told; who mends those sees the others
_LAST = 2**31 - 1  # the priority of our own chain at the end of ``input``
_LOOPBACK = 1  # the index of ``lo`` in every network namespace
_UNMENTIONED = range(49151, 1024, -1)  # where a port is looked for that no rule names
_ORDER: Literal["little", "big"] = sys.byteorder
# Where a packet's source stands in its header, from and up to.
_SOURCES = {socket.AF_INET: (12, 16), socket.AF_INET6: (8, 24), INET: (8, 24)}


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look found, and what could not be looked at."""

    found: tuple[Weakness, ...] = ()
    unread: tuple[str, ...] = ()  # rules
    are_programs_read: bool = True  # False: other users' processes could not be


def look(
    closed: Collection[PortKey],
    admitted: Collection[tuple[PortKey, Address]],
    is_ours: Callable[[int, str], bool],
    words: Words,
) -> Looked:
    """All that is found of these closed ports; ``admitted`` are single sources let in now.

    ``is_ours`` tells our own tables apart. Raises OSError.
    """
    if not closed:
        return Looked()
    host = OtherRules(is_ours, words)
    own = [port for port in closed if port.at is None]
    programs = Programs()
    found = (
        *_rewritten(host),
        *_forwarded(host, own),
        *second_doors(host, own, programs),
        *_blocked(host, closed, admitted),
    )
    return Looked(tuple(_bounded(found)), tuple(host.unread), programs.has_all(host.listening))


def _bounded(found: Iterable[Weakness]) -> Iterator[Weakness]:
    counts: Counter[str] = Counter()
    for each in found:
        counts[each.code] += 1
        if counts[each.code] <= MOST_OF_A_KIND:
            yield each


# -- what blocks ----------------------------------------------------------------------------


def _blocked(
    host: OtherRules, closed: Collection[PortKey], admitted: Collection[tuple[PortKey, Address]]
) -> Iterator[Weakness]:
    """Only of the IP versions that something listens to: what would arrive nowhere is not missed."""
    for port in sorted(closed, key=port_order):
        ends: dict[int, tuple[AnyTable, Drop]] = {}
        served = host.served(port)
        for version in served:
            end = _end(host, port, version)
            if end is not None:
                ends[version] = end
        if ends:
            table, end_ = next(iter(ends.values()))
            hows = dict.fromkeys(admitting(each, drop.chain, port) for each, drop in ends.values())
            only = "" if len(ends) == len(served) else f" over IPv{min(ends)}"
            weakness = BLOCKED_ELSEWHERE(
                port=port,
                where=manager(table, end_.chain) + only,
                rule=host.as_written(table, end_.chain, end_.at),
                how=" && ".join(hows),
            )
            yield weakness
        for to, source in sorted(admitted, key=str):
            if to != port or source.version in ends:
                continue
            end = _end(host, port, source.version, source)
            if end is not None:
                table, end_ = end
                weakness = SOURCE_BLOCKED(
                    port=port,
                    source=source,
                    where=manager(table, end_.chain),
                    rule=host.as_written(table, end_.chain, end_.at),
                )
                yield weakness


def _end(
    host: OtherRules, port: PortKey, version: int, source: Address | None = None
) -> tuple[AnyTable, Drop] | None:
    """Where every packet of that IP version ends, whichever way it comes; None: some may arrive."""
    ways = [way for way in host.ways if way.address.version == version]
    ends = [host.drop(port, way, source) for way in ways]
    found = [end for end in ends if end is not None]
    return found[0] if found and len(found) == len(ends) else None


# -- what leads past us ---------------------------------------------------------------------


def _forwarded(host: OtherRules, closed: Collection[PortKey]) -> Iterator[Weakness]:
    """Another port that is sent on to where a closed published port leads."""
    leads = {port: host.targets(port) for port in sorted(closed)}
    wanted = {target: port for port, targets in leads.items() for target in targets}
    if not wanted or host.translators is None:
        return
    numbers = host.translators.mentioned()
    another = next((each for each in _UNMENTIONED if each not in numbers), None)
    protocols = {port.protocol for port in closed}
    for number in sorted({*numbers, *((another,) if another else ())}):
        for protocol in sorted(protocols):
            other = PortKey(protocol, number)
            if other in closed:
                continue
            for target, way in host.translators.ways(other).items():
                if target not in wanted:
                    continue
                if host.reach(other, {target[0].version}) is None:
                    continue
                name = f"any other port, such as {other}" if number == another else str(other)
                yield FORWARDED_PAST(
                    port=wanted[target],
                    other=name,
                    target=f"{target[0]} {target[1]}",
                    rule=host.as_written(way.table, way.chain, way.at),
                )


def _rewritten(host: OtherRules) -> Iterator[Weakness]:
    """Rules that change a packet where our own do not see what it was."""
    for table in host.tables:
        for name, base in _reached(table):
            for at, rule in enumerate(table.rules.get(name, ())):
                registers: dict[int, bytes] = {}
                for expression, parts in rule:
                    if expression == "immediate" and 1 in parts:
                        register = int.from_bytes(parts[1], "big")
                        registers[register] = value(parts.get(2, b""))
                    if _is_past(expression, parts, table, base, registers):
                        yield REWRITTEN_PAST(
                            where=where(table, name), rule=host.as_written(table, name, at)
                        )


def _reached(table: AnyTable) -> Iterator[tuple[str, Base]]:
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


def _is_past(
    expression: str,
    parts: Attributes,
    table: AnyTable,
    base: Base,
    registers: Mapping[int, bytes],
) -> bool:
    """Does it put another source in a packet's place before our chains look, give the packet to the
    loopback, which they let pass, or change its destination after them?
    """
    if expression == "fwd" and table.family in (NETDEV, INET):
        device = registers.get(int.from_bytes(parts.get(1, b""), "big"), b"")
        return int.from_bytes(device[:4], _ORDER) == _LOOPBACK
    if expression != "payload" or 5 not in parts or table.family == NETDEV:
        return False
    place, offset, size = (int.from_bytes(parts.get(each, b""), "big") for each in (2, 3, 4))
    sources = _SOURCES[table.family]
    is_source = place == 1 and offset < sources[1] and offset + size > sources[0]
    if is_source and base.hook in (PREROUTING, INPUT):
        return True
    return base.hook == INPUT and base.priority >= _LAST and place == 2 and offset < 4
