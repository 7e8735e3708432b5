"""What of other programs lets a closed port be reached past us, or blocks what we open.

Found by reading: rules of nftables and of the old iptables, translation, sockets, links. Nothing is sent
and nothing is changed. A way in counts as past us only where no other rule closes it for certain,
and a block counts only where no packet passes (``verdicts``), so that a rule that depends on the
packet's source is no finding.

What is wrong at a gateway alone is in ``rewriting``, ``bridges`` and ``proxies``.

Not found are programs that answer without a socket of the host's: packet sockets, eBPF, a tunnel
that is dialled from within. Containers' own addresses are closed by routing (``published``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from bascule.domain.net import Address, PortKey, port_order
from bascule.domain.shadows import PAST_US
from bascule.domain.weaknesses import (
    BLOCKED_ELSEWHERE,
    FORWARDED_PAST,
    KINDS,
    MORE_BLOCKED,
    MORE_FOUND,
    SOURCE_BLOCKED,
    Weakness,
)
from bascule.drivers.linux.bridges import bridged
from bascule.drivers.linux.listeners import Programs
from bascule.drivers.linux.other_rules import (
    AnyTable,
    OtherRules,
    Words,
    admitting,
    manager,
)
from bascule.drivers.linux.proxies import proxies
from bascule.drivers.linux.rewriting import rewritten
from bascule.drivers.linux.second_doors import second_doors
from bascule.drivers.linux.verdicts import Drop

MOST_OF_A_KIND = 8  # findings of one kind that are told; who mends those sees the others
_UNMENTIONED = range(49151, 1024, -1)  # where a port is looked for that no rule names


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
        *rewritten(host, closed),
        *bridged(closed),
        *_forwarded(host, own),
        *second_doors(host, own, programs),
        *proxies(host, closed, programs),
        *_blocked(host, closed, admitted),
    )
    return Looked(tuple(bounded(found)), tuple(host.unread), programs.has_all(host.listening))


def bounded(found: Iterable[Weakness]) -> Iterator[Weakness]:
    """Not more than some of each kind, and how many more there are: first, since a report is cut at
    its end.
    """
    told: list[Weakness] = []
    counts: Counter[str] = Counter()
    for each in dict.fromkeys(found):
        counts[each.code] += 1
        if counts[each.code] <= MOST_OF_A_KIND:
            told.append(each)
    more = {
        code: count - MOST_OF_A_KIND for code, count in counts.items() if count > MOST_OF_A_KIND
    }
    for kind, is_past in ((MORE_FOUND, True), (MORE_BLOCKED, False)):
        codes = [code for code in sorted(more) if (KINDS[code].shadow in PAST_US) is is_past]
        if codes:
            number = sum(more[code] for code in codes)
            yield kind(number=number, codes=", ".join(codes), most=MOST_OF_A_KIND)
    yield from told


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
