"""The rules as nft text: pure, no I/O. ``parse`` reads them back.

The gate hangs in two hooks: ``prerouting`` sees published container ports, ``input`` sees
what redirects, broadcast and multicast deliver, at the end of the hook: another table may have
written a closed number into a packet before. Its rules, in order (EDGES A1 to A4):

* loopback passes;
* an established TCP connection passes as ``passing`` says, and ``related`` never;
* a closed port goes to ``guard``: exact tuples of adopted connections pass, no SYN;
* what is routed on to a container's own port, past the host's that is closed, passes only
  from a container network or translated (EDGES E3);
* DCCP, SCTP and UDP-Lite to the number of a closed port are dropped: nothing opens those;
* then the grant sets alone decide; a TCP packet of a connection whose grant is over is
  answered by a reset, everything else is remembered by source, counted and dropped.

What is forwarded to a machine behind this host is judged by the same rules in ``forward``, by the
machine's address and port: there a packet has them whichever way it came, and still has its true
source. A reset of an ended connection passes on, so that the machine lets go of it. For two minutes
after a first closing, connections that nobody had tracked are adopted when they speak.

A public port that stands for one of such a machine is translated for the sources of its openings alone,
before other tables' translations; who is not led on is dropped there. What is translated is judged in
``forward`` like everything else, so that a map alone opens nothing.

Every grant set has a default timeout of a second, so that a mistake closes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bascule.drivers.nftables.layout import (
    ADOPTED,
    ADOPTED_BEHIND,
    ADOPTED_FOR,
    BLOCKED,
    BLOCKED_BEHIND,
    CLOSED,
    CLOSED_BEHIND,
    CLOSED_MAPPED,
    ENDED,
    ENDED_FOR,
    GRANTED,
    INSIDE,
    KILL,
    KILL_BEHIND,
    LEARNING,
    LEARNT,
    MAX_GRANTS,
    MAX_LEARNT,
    MAX_SEEN,
    REPEATED,
    REPEATED_FOR,
    SEEN,
    SEEN_BEHIND,
    TARGETS,
    SourceSet,
    is_behind,
    is_mapped,
    parse_set_name,
)
from bascule.drivers.nftables.passing import (
    HEADER,
    NO_SYN,
    OF_TCP,
    PORT,
    established,
    established_behind,
    established_translated,
    led,
    lookup,
    port_behind,
)

_COMMENT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # a grant id; nft prints comments unescaped
_CHUNK = 500  # elements of one command
_DATA = 2  # words of a map's element that are not its key: address and port
_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_EARLY = "mangle - 10"  # the kernel translates later, whatever priority a chain names for it
_BEFORE_OTHERS = "dstnat - 1"  # of the chains that translate
_LAST = 2**31 - 1  # of chains with one priority those that came later look first
_ADOPTED_TIMEOUT = f"timeout {int(ADOPTED_FOR.total_seconds())}s"
_REPEATED_TIMEOUT = f"timeout {int(REPEATED_FOR.total_seconds())}s"
_BY_NUMBER = (33, 132, 136)  # DCCP, SCTP, UDP-Lite
# Look such a packet up as if it were TCP or UDP: the mask takes its own protocol away.
_AS_TCP_OR_UDP = ("meta l4proto & 0x0 ^ 0x6", "meta l4proto & 0x0 ^ 0x11")


@dataclass(frozen=True, slots=True)
class Element:
    """What one element is to hold, beside its set and its key."""

    timeout_ms: int | None = None  # None: the set has no timeouts
    comment: str = ""


ElementKey = tuple[str, tuple[str, ...]]  # set name, the words between the dots
Changes = Mapping[ElementKey, Element | None]  # None: it is to be gone


def definition(
    table: str, sets: Iterable[SourceSet], flags: Sequence[str], unused: Iterable[str] = ()
) -> str:
    """The whole table: rules are written anew, sets that exist keep their elements.

    ``unused`` names sets in the kernel that no rule looks up any more: they are deleted.
    """
    head = _flags(flags)
    ordered = sorted(sets, key=lambda each: (each.is_behind, each.kind, each.version, -each.length))
    has_behind = any(each.is_behind for each in ordered)
    has_mapped = any(each.is_map for each in ordered)
    more_sets = [*(_sets_behind() if has_behind else ()), *(_sets_mapped() if has_mapped else ())]
    chains = _chains(ordered, has_behind=has_behind, has_mapped=has_mapped)  # exact sources first
    body = [*head, *_counters(has_behind=has_behind), *_sets(ordered), *more_sets, *chains]
    return "\n".join(
        [
            ownership(table, flags) + f"flush table inet {table}",
            *(f"delete {_noun(name)} inet {table} {name}" for name in sorted(unused)),
            f"table inet {table} {{",
            *body,
            "}",
            "",
        ]
    )


def ownership(table: str, flags: Sequence[str]) -> str:
    """Only the flags: whoever loads this owns the table, its rules stay."""
    return "\n".join([f"table inet {table} {{", *_flags(flags), "}", ""])


def delete(table: str) -> str:
    return f"delete table inet {table}\n"


def flush_sets(table: str, names: Iterable[str]) -> str:
    return "".join(f"flush {_noun(name)} inet {table} {name}\n" for name in sorted(names))


def _noun(name: str) -> str:
    return "map" if _is_map(name) else "set"


def _is_map(name: str) -> bool:
    found = parse_set_name(name)
    return found is not None and found.is_map


def in_sets(wanted: Changes, names: Collection[str]) -> Changes:
    """Without what is to be gone from sets that are not there."""
    return {
        key: element for key, element in wanted.items() if element is not None or key[0] in names
    }


def is_about_behind(wanted: Changes) -> bool:
    """Does an element of it need what is there for machines behind alone?"""
    return any(each is not None and is_behind(name) for (name, _), each in wanted.items())


def is_about_mapped(wanted: Changes) -> bool:
    """Or what is there for public ports alone?"""
    return any(each is not None and is_mapped(name) for (name, _), each in wanted.items())


def changes(table: str, wanted: Changes) -> str:
    """Element changes that never fail, whether an element exists, is over or is absent.

    Each is added, deleted and added again within the transaction: deleting what is absent
    would be refused, and adding what exists would keep its old time or comment. What is to be gone
    comes first: in a map an element of another target may come in its place.
    """
    by_set: dict[str, dict[tuple[str, ...], Element | None]] = {}
    for (name, words), element in wanted.items():
        by_set.setdefault(name, {})[words] = element
    lines: list[str] = []
    for name, elements in by_set.items():
        cut = -_DATA if _is_map(name) else None
        gone = [words for words, element in elements.items() if element is None]
        lasting = {words: each for words, each in elements.items() if each is not None}
        for verb, items in (
            ("add", [_text(words, cut) for words in gone]),
            ("delete", [" . ".join(words[:cut]) for words in gone]),
            ("add", [_text(words, cut) for words in lasting]),
            ("delete", [" . ".join(words[:cut]) for words in lasting]),
            ("add", [_text(words, cut, _attributes(each)) for words, each in lasting.items()]),
        ):
            lines.extend(
                f"{verb} element inet {table} {name} {{ {', '.join(chunk)} }}"
                for chunk in _chunks(items)
            )
    return "".join(line + "\n" for line in lines)


def _text(words: tuple[str, ...], cut: int | None, attributes: str = "") -> str:
    """An element; ``cut`` is where a map's data begin."""
    data = "" if cut is None else f" : {' . '.join(words[cut:])}"
    return " . ".join(words[:cut]) + attributes + data


def _attributes(element: Element) -> str:
    text = ""
    if element.timeout_ms is not None:
        if element.timeout_ms < 1:  # 0 would never end
            raise ValueError("an element needs at least a millisecond")
        text += f" timeout {element.timeout_ms}ms"
    if _COMMENT.fullmatch(element.comment):
        text += f' comment "{element.comment}"'
    return text


def _chunks(items: list[str]) -> Iterator[list[str]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _flags(flags: Sequence[str]) -> list[str]:
    return [f"flags {', '.join(flags)}"] if flags else []


def _counters(*, has_behind: bool) -> list[str]:
    names = (BLOCKED, *((BLOCKED_BEHIND,) if has_behind else ()), "cut")
    return [line for name in names for line in (f"counter {name} {{", "}")]


def _sets(sources: Sequence[SourceSet]) -> Iterator[str]:
    for name in (CLOSED, KILL):
        yield from _set(name, "type inet_proto . inet_service")
    for each in sources:
        address = _ADDRESS[each.version]
        addresses = (each.length > 0) + each.is_behind
        seconds = 1 if each.kind != ENDED else int(ENDED_FOR.total_seconds())
        data = f" : {address} . inet_service" if each.is_map else ""
        yield from _set(
            each.name,
            f"type {f'{address} . ' * addresses}inet_proto . inet_service{data}",
            "flags timeout",
            f"timeout {seconds}s",
            # Of machines behind there may be any number.
            *([] if each.is_behind else [f"size {MAX_GRANTS}"]),
        )
    for version, name in ADOPTED.items():
        key = f"type {_ADDRESS[version]} . inet_service . inet_service"
        yield from _set(name, key, "flags timeout", _ADOPTED_TIMEOUT)
    yield from _set(INSIDE, "type ifname")
    for version, name in TARGETS.items():
        yield from _set(name, f"type {_ADDRESS[version]} . inet_proto . inet_service")
    for version, name in SEEN.items():
        yield from _seen(name, f"type {_ADDRESS[version]} . inet_proto . inet_service")


def _seen(name: str, key: str, timeout: str = "timeout 10m") -> list[str]:
    lines = "flags dynamic,timeout", timeout, f"size {MAX_SEEN}", "counter"
    return _set(name, key, *lines)


def _sets_behind() -> Iterator[str]:
    for version, address in _ADDRESS.items():
        port = f"type {address} . inet_proto . inet_service"
        yield from _set(CLOSED_BEHIND[version], port)
        yield from _set(KILL_BEHIND[version], port)
        key = f"type {address} . inet_service . {address} . inet_service"
        yield from _set(ADOPTED_BEHIND[version], key, "flags timeout", _ADOPTED_TIMEOUT)
        size = f"size {MAX_LEARNT}"
        yield from _set(LEARNT[version], key, "flags dynamic,timeout", _ADOPTED_TIMEOUT, size)
        learning = f"type {address} . inet_service"
        yield from _set(LEARNING[version], learning, "flags timeout", "timeout 1s")
        yield from _seen(SEEN_BEHIND[version], f"type {address} . {port.removeprefix('type ')}")
        yield from _seen(REPEATED[version], key, _REPEATED_TIMEOUT)


def _sets_mapped() -> Iterator[str]:
    for version, address in _ADDRESS.items():
        yield from _set(CLOSED_MAPPED[version], f"type {address} . inet_proto . inet_service")


def _set(name: str, *lines: str) -> list[str]:
    return [f"{_noun(name)} {name} {{", *lines, "}"]


def _chains(sources: Sequence[SourceSet], *, has_behind: bool, has_mapped: bool) -> Iterator[str]:
    own = [each for each in sources if not each.is_behind]
    behind = [each for each in sources if each.is_behind and not each.is_map]
    passing = [line for version in (4, 6) for line in established(version, own)]
    first = [
        *(["ct status dnat ct direction original jump behind_translated"] if has_behind else ()),
        *(_untranslated() if has_mapped else ()),
    ]
    yield from _gate("published", "prerouting", _EARLY, [*first, *passing], "fib daddr type local ")
    yield from _gate("delivered", "input", _LAST, passing, guard="arrived")
    yield from _chain(
        "arrived",  # whose source was translated on the way in cannot be told from a grant's
        "ct direction original ct status snat counter name blocked drop",
        "goto guard",
    )
    yield from _chain(
        "routed",
        f"type filter hook forward priority {_LAST}; policy accept;",
        *(_judge_behind(behind) if has_behind else [f"ct state established {NO_SYN} accept"]),
        f"iifname @{INSIDE} accept",
        "ct status dnat accept",  # it came by a port of the host, and was judged there
        *(
            f"{HEADER[version]} daddr . meta l4proto . th dport @{name} counter name blocked drop"
            for version, name in TARGETS.items()
        ),
    )
    yield from _chain(
        "by_number",
        f"meta l4proto != {{ {', '.join(map(str, _BY_NUMBER))} }} return",
        *(f"{protocol} . th dport @{CLOSED} goto granted" for protocol in _AS_TCP_OR_UDP),
    )
    yield from _chain(
        "guard",
        "tcp flags & (syn | ack) == syn goto granted",
        *(
            f"{HEADER[version]} saddr . tcp sport . tcp dport @{name} accept"
            for version, name in ADOPTED.items()
        ),
        "goto granted",
    )
    yield from _chain(
        "granted",
        *(f"{lookup(each)} @{each.name} accept" for each in own if each.kind == GRANTED),
        f"{OF_TCP} ct state established {NO_SYN} counter name cut reject with tcp reset",
        "ip version 4 update @seen4 { ip saddr . meta l4proto . th dport }",
        "ip6 version 6 update @seen6 { ip6 saddr . meta l4proto . th dport }",
        "counter name blocked drop",
    )
    if has_behind:
        yield from _chains_behind(behind)
    if has_mapped:
        yield from _chain(
            "mapped_ports",
            f"type nat hook prerouting priority {_BEFORE_OTHERS}; policy accept;",
            *(
                f"meta l4proto {{ tcp, udp }} dnat {HEADER[each.version]} to "
                f"{lookup(each)} map @{each.name}"
                for each in sources
                if each.is_map
            ),
            *_strangers_at_mapped(),
        )


def _untranslated() -> Iterator[str]:
    """No translation is asked for what conntrack calls neither new nor established."""
    for version, name in CLOSED_MAPPED.items():
        stray = "ct state != { new, established }"
        yield f"{stray} {port_behind(version)} @{name} counter name {BLOCKED_BEHIND} drop"


def _strangers_at_mapped() -> Iterator[str]:
    for version, name in CLOSED_MAPPED.items():
        header = HEADER[version]
        yield (
            f"{port_behind(version)} @{name} update @{SEEN_BEHIND[version]} "
            f"{{ {header} saddr . {header} daddr . meta l4proto . th dport }} "
            f"counter name {BLOCKED_BEHIND} drop"
        )


def _judge_behind(sources: Sequence[SourceSet]) -> Iterator[str]:
    """The first rules of ``routed`` where a machine is behind this host."""
    for version in (4, 6):
        yield from established_behind(version, sources)
    for version, name in CLOSED_BEHIND.items():
        yield f"{port_behind(version)} @{name} goto behind_guard"
    yield f"meta l4proto >= {_BY_NUMBER[0]} jump behind_by_number"


def _chains_behind(behind: Sequence[SourceSet]) -> Iterator[str]:
    yield from _chain("behind_translated", *_reset_translated(behind))
    yield from _chain(
        "behind_by_number",
        f"meta l4proto != {{ {', '.join(map(str, _BY_NUMBER))} }} return",
        *(
            f"{HEADER[version]} daddr . {protocol} . th dport @{name} goto behind_granted"
            for version, name in CLOSED_BEHIND.items()
            for protocol in _AS_TCP_OR_UDP
        ),
    )
    yield from _chain(
        "behind_guard",
        *_repeated(),
        "tcp flags & (syn | ack) == syn goto behind_granted",
        *(
            f"{header} saddr . tcp sport . {header} daddr . tcp dport @{names[version]} accept"
            for names in (ADOPTED_BEHIND, LEARNT)
            for version, header in HEADER.items()
        ),
        "goto behind_granted",
    )
    yield from _chain(
        "behind_granted",
        *(f"{lookup(each)} @{each.name} accept" for each in behind if each.kind == GRANTED),
        *_learning(),
        f"{OF_TCP} ct state established {NO_SYN} tcp flags & rst == rst accept",
        f"{OF_TCP} ct state established {NO_SYN} counter name cut reject with tcp reset",
        *(
            f"{header} version {version} update @{name} "
            f"{{ {header} saddr . {header} daddr . meta l4proto . th dport }}"
            for version, name in SEEN_BEHIND.items()
            for header in (HEADER[version],)
        ),
        f"counter name {BLOCKED_BEHIND} drop",
    )


def _repeated() -> Iterator[str]:
    """Count the first packets that come again although the one before was let through: conntrack has
    *confirmed* a connection when its first packet has left this host. It judges nothing.
    """
    for version, header in HEADER.items():
        connection = f"{header} saddr . tcp sport . {header} daddr . tcp dport"
        yield (
            "tcp flags & (syn | ack) == syn ct status & (seen-reply | confirmed) == confirmed "
            f"update @{REPEATED[version]} {{ {connection} }}"
        )


def _reset_translated(behind: Sequence[SourceSet]) -> Iterator[str]:
    """Answer a connection that is over before it is translated: in ``forward`` the answer would have
    the machine's address, which the client does not know. Nothing is let through by this.
    """
    yield "meta l4proto != tcp return"
    yield "ct state != established return"
    yield "tcp flags & (syn | ack) == syn return"
    yield "tcp flags & rst == rst return"
    for version, header in HEADER.items():
        yield from established_translated(version, behind)
        for names in (ADOPTED_BEHIND, LEARNT):
            yield (
                f"{header} saddr . tcp sport . ct reply {header} saddr . ct reply proto-src "
                f"@{names[version]} return"
            )
        yield from (
            f"{OF_TCP} {lookup(each, led(version))} @{each.name} return"
            for each in behind
            if each.kind == GRANTED and each.version == version
        )
    for version, name in CLOSED_BEHIND.items():
        yield f"{OF_TCP} {led(version)} @{name} counter name cut reject with tcp reset"


def _learning() -> Iterator[str]:
    """Adopt what conntrack met in its middle: of the client's first packet it says ``new``, or that
    the machine has begun, if that spoke first. A lease's connection is neither.
    """
    for version, header in HEADER.items():
        connection = f"{header} saddr . tcp sport . {header} daddr . tcp dport"
        for met in ("ct state new", "ct direction reply"):
            yield (
                f"tcp flags & (syn | ack) == ack {met} "
                f"{header} daddr . tcp dport @{LEARNING[version]} "
                f"add @{LEARNT[version]} {{ {connection} }} accept"
            )


def _gate(
    chain: str,
    hook: str,
    priority: int | str,
    passing: Iterable[str],
    reach: str = "",
    guard: str = "guard",
) -> Iterator[str]:
    yield from _chain(
        chain,
        f"type filter hook {hook} priority {priority}; policy accept;",
        "iiftype loopback accept",  # by what it is: its name may be given to another
        *passing,
        f"{reach}{PORT} @{CLOSED} goto {guard}",
        f"meta l4proto >= {_BY_NUMBER[0]} {reach}jump by_number",  # neither TCP nor UDP
    )


def _chain(name: str, *lines: str) -> list[str]:
    return [f"chain {name} {{", *lines, "}"]
