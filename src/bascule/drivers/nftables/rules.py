"""Between the driver-neutral rule set and the elements of our table, both ways. Pure.

``from_table(to_elements(r))`` gives ``r`` back, so that a plan made from what was read is
empty right after it was applied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import Address, PortBehind, PortKey, PortMapped, TransportProtocol
from bascule.drivers.linux.sockets import Connection
from bascule.drivers.linux.unanswered import Repeated
from bascule.drivers.nftables.layout import (
    ADOPTED,
    ADOPTED_BEHIND,
    ADOPTED_FOR,
    ADOPTED_SETS,
    AGAIN,
    CLOSED,
    CLOSED_SETS,
    DRAIN,
    ENDED,
    GRANTED,
    INSIDE,
    KILL,
    KILL_SETS,
    LEARN_FOR,
    LEARNING,
    LEARNT,
    LEARNT_SETS,
    PORT_SETS,
    REPEATED_FOR,
    REPEATED_SETS,
    SEEN_SETS,
    TARGETS,
    TO,
    SourceSet,
    canonical,
    closed_port,
    connection_port,
    connection_words,
    key_words,
    opening_key,
    parse_set_name,
    port_set,
    port_words,
    read_port,
    source_set,
)
from bascule.drivers.nftables.parse import ReadElement, Table, Unreadable
from bascule.drivers.nftables.render import Element, ElementKey
from bascule.interfaces.driver import Blocked

_MILLISECOND = timedelta(milliseconds=1)


def timed(remaining: timedelta, comment: str = "") -> Element | None:
    """An element with whole milliseconds left, rounded down; None when not even one is."""
    milliseconds = remaining // _MILLISECOND
    return Element(milliseconds, comment) if milliseconds >= 1 else None


def aged(
    wanted: Mapping[ElementKey, Element | None], elapsed: timedelta
) -> dict[ElementKey, Element | None]:
    """The same elements ``elapsed`` later; those that ended meanwhile are to be removed."""
    return {
        key: each
        if each is None or each.timeout_ms is None
        else timed(timedelta(milliseconds=each.timeout_ms) - elapsed, each.comment)
        for key, each in wanted.items()
    }


def to_elements(rules: RuleSet) -> dict[ElementKey, Element | None]:
    """Every element that ``rules`` ask for."""
    found: dict[ElementKey, Element | None] = {}
    for closed in rules.closed:
        found.update(closed_elements(closed))
    for opening in rules.openings.values():
        found[granted(opening.key)] = timed(opening.remaining, opening.grant_id)
    for key, remaining in rules.cuts.items():
        found[ended(key)] = timed(remaining)
    for key, remaining in rules.drains.items():
        found[draining(key)] = timed(remaining)
    return found


def closed_elements(closed: ClosedPort) -> dict[ElementKey, Element | None]:
    words = port_words(closed.port)
    shut: dict[ElementKey, Element | None] = {(port_set(CLOSED, closed.port), words): Element()}
    if isinstance(closed.port, PortMapped):  # what ends its connections is the machine's port
        return shut
    return shut | {killing(closed.port): Element() if closed.is_kill else None}


def killing(port: PortKey) -> ElementKey:
    """The element of a kill port: when an opening ends, its connections end too."""
    return port_set(KILL, port), port_words(port)


def closed_ports(wanted: Mapping[ElementKey, Element | None]) -> set[PortKey]:
    """The inverse of ``closed_elements``."""
    return {
        closed_port(name, words)
        for (name, words), element in wanted.items()
        if name in CLOSED_SETS and element is not None
    }


def released_elements(port: PortKey) -> dict[ElementKey, Element | None]:
    closed = port_set(CLOSED, port), port_words(port)
    if isinstance(port, PortMapped):
        return {closed: None}
    return dict.fromkeys([closed, killing(port), *learning([port])])


def granted(key: OpeningKey) -> ElementKey:
    """What admits a source to a port, or leads it on from a public one."""
    kind = TO if isinstance(key.port, PortMapped) else GRANTED
    return source_set(kind, key).name, key_words(key)


def opened(wanted: Mapping[ElementKey, Element | None]) -> Iterator[OpeningKey]:
    """The inverse of ``granted``, for every opening that is to admit somebody; and of ``draining``."""
    for (name, words), element in wanted.items():
        where = parse_set_name(name)
        if element is not None and where is not None and where.kind in (GRANTED, DRAIN):
            yield opening_key(where, words)


def ended(key: OpeningKey) -> ElementKey:
    return source_set(ENDED, key).name, key_words(key)


def draining(key: OpeningKey) -> ElementKey:
    """What lets a source's connections stay, and lets nobody in."""
    return source_set(DRAIN, key).name, key_words(key)


def adopted(connection: Connection) -> ElementKey:
    """The element that admits exactly this connection, and no SYN."""
    source, port = connection.source, connection.to
    names = ADOPTED if port.at is None else ADOPTED_BEHIND
    words = connection_words(str(source), str(connection.source_port), port)
    return names[source.version], words


def adoption(
    connections: Iterable[Connection], again: Collection[ElementKey] = ()
) -> dict[ElementKey, Element | None]:
    """The elements that let these connections continue.

    Those in ``again`` were found when their port was closed again. They are marked in the
    kernel, so that any later agent knows that a cut or the end of a lease ends them.
    """
    keys = map(adopted, connections)
    return {key: timed(ADOPTED_FOR, AGAIN if key in again else "") for key in keys}


def learning(ports: Iterable[PortKey]) -> dict[ElementKey, Element | None]:
    """The elements by which the kernel adopts connections to these ports that it did not track.

    A gateway may have tracked nothing before its first port was closed. Only TCP ports of machines
    behind it have such elements: of the host's own, sockets tell.
    """
    return {
        (LEARNING[port.at.version], (str(port.at), str(port.number))): timed(LEARN_FOR)
        for port in ports
        if isinstance(port, PortBehind) and port.protocol is TransportProtocol.TCP
    }


def published_elements(
    targets: Iterable[tuple[Address, PortKey]], inside: Iterable[str]
) -> dict[ElementKey, Element | None]:
    """The targets of closed published ports, and the interfaces that may reach them directly."""
    found: dict[ElementKey, Element | None] = {
        (TARGETS[address.version], (str(address), *port_words(port))): Element()
        for address, port in targets
    }
    return found | {(INSIDE, (f'"{name}"',)): Element() for name in inside}


def published_in(table: Table) -> set[ElementKey]:
    """The keys of ``published_elements`` that a table holds."""
    return {
        (name, element.words if name == INSIDE else canonical(name, element.words))
        for name in (INSIDE, *TARGETS.values())
        for element in table.elements.get(name, ())
    }


def source_sets(names: Iterable[str]) -> frozenset[SourceSet]:
    """Those of ``names`` that are source sets."""
    found = (parse_set_name(name) for name in names)
    return frozenset(each for each in found if each is not None)


def from_table(table: Table) -> RuleSet:
    """The rule set that a table holds. Raises Unreadable for elements we never write."""
    if table.strange:
        raise Unreadable(f"{table.strange[0]} is not an element of ours")
    try:
        return RuleSet(
            _closed(table, strict=True),
            _openings(table),
            _times(table, ENDED),
            _times(table, DRAIN),
        )
    except (TypeError, ValueError) as error:
        raise Unreadable(str(error)) from error


def carried(
    table: Table, elapsed: timedelta, names: Iterable[str] | None = None
) -> dict[ElementKey, Element | None]:
    """A table's elements (of the sets ``names``; None: of all that are ours).

    They are written to another table ``elapsed`` after they were read. Left out are elements
    that have ended since, those without the timeout that they should have, and counts of
    blocked attempts.
    """
    ours = {*PORT_SETS, INSIDE, *ADOPTED_SETS, *LEARNING.values(), *LEARNT_SETS, *TARGETS.values()}
    ours |= {each.name for each in source_sets(table.elements)}
    found: dict[ElementKey, Element | None] = {}
    for name in ours if names is None else ours & set(names):
        for element in table.elements.get(name, ()):
            kept = _carried(name, element, elapsed)
            with suppress(TypeError, ValueError):  # not of our form: not carried
                if kept is not None:
                    found[name, canonical(name, element.words)] = kept
    return found


def _carried(name: str, element: ReadElement, elapsed: timedelta) -> Element | None:
    if name in (*PORT_SETS, INSIDE, *TARGETS.values()):
        return Element()
    if element.remaining is None:
        return None
    return timed(element.remaining - elapsed, element.comment)


def closed_in(table: Table | None) -> frozenset[ClosedPort]:
    """The closed ports of a table, as far as they can be read; none without a table."""
    return frozenset() if table is None else _closed(table, strict=False)


def _closed(table: Table, *, strict: bool) -> frozenset[ClosedPort]:
    kill = {element.words for name in KILL_SETS for element in table.elements.get(name, ())}
    found = set()
    for name in CLOSED_SETS:
        for element in table.elements.get(name, ()):
            try:
                port = closed_port(name, element.words)
            except (TypeError, ValueError):
                if strict:
                    raise
                continue
            is_kill = element.words in kill and not isinstance(port, PortMapped)
            found.add(ClosedPort(port, OnExpiry.KILL if is_kill else OnExpiry.KEEP))
    return frozenset(found)


def _openings(table: Table) -> dict[OpeningKey, Opening]:
    return {
        key: Opening(key, _left(element), element.comment)
        for kind in (GRANTED, TO)
        for key, element in _sources(table, kind)
    }


def _times(table: Table, kind: str) -> dict[OpeningKey, timedelta]:
    """The time left of cuts or drains."""
    return {key: _left(element) for key, element in _sources(table, kind)}


def _sources(table: Table, kind: str) -> Iterable[tuple[OpeningKey, ReadElement]]:
    for name, elements in table.elements.items():
        where = parse_set_name(name)
        if where is not None and where.kind == kind:
            for element in elements:
                if _left(element) > timedelta(0):
                    yield opening_key(where, element.words), element


def _left(element: ReadElement) -> timedelta:
    return timedelta.max if element.remaining is None else element.remaining


def adopted_left(table: Table) -> dict[ElementKey, timedelta]:
    """Adopted connections by the element that we write for them, with the time left to each."""
    found: dict[ElementKey, timedelta] = {}
    for key, element in _adopted(table):
        found[key] = max(_left(element), found.get(key, timedelta(0)))
    return found


def without_adoption(key: ElementKey) -> dict[ElementKey, Element | None]:
    """The elements that are to be gone, whoever wrote them, for this connection to be adopted no
    more.
    """
    name, words = key
    version = ADOPTED_SETS[name]
    return dict.fromkeys([key] if version is None else [key, (LEARNT[version], words)])


def adopted_again(table: Table) -> set[ElementKey]:
    """Those of them that were found when their port was closed again."""
    return {key for key, element in _adopted(table) if element.comment == AGAIN}


def _adopted(table: Table) -> Iterator[tuple[ElementKey, ReadElement]]:
    ours = {ADOPTED_BEHIND[version]: LEARNT[version] for version in LEARNT}
    for name in ADOPTED_SETS:
        learnt = table.elements.get(ours.get(name, ""), ())
        for element in (*table.elements.get(name, ()), *learnt):
            with suppress(TypeError, ValueError):  # not of our form: no connection's
                yield (name, canonical(name, element.words)), element


def adopted_port(key: ElementKey) -> PortKey:
    """The port of an adopted connection's element."""
    return connection_port(*key)


def knocks(table: Table) -> list[Blocked]:
    """Dropped packets by source, as far as the kernel remembers them."""
    found = []
    for name, version in SEEN_SETS.items():
        for element in table.elements.get(name, ()):
            with suppress(TypeError, ValueError):  # not of our form
                source, *words = element.words
                port = read_port(version, tuple(words))
                seen = Blocked(str(ip_address(source)), port, element.packets, _left(element))
                found.append(seen)
    return found


def repeated(table: Table) -> list[Repeated]:
    """Connections whose clients repeat their first packet, as far as the kernel remembers them."""
    found = []
    for name in REPEATED_SETS:
        for element in table.elements.get(name, ()):
            with suppress(TypeError, ValueError):  # not of our form
                port = connection_port(name, element.words)
                if isinstance(port, PortBehind):
                    ago = (REPEATED_FOR - _left(element)).total_seconds()
                    found.append(Repeated(ip_address(element.words[0]), port, element.packets, ago))
    return found
