"""Which packets of existing connections pass, as nft text; and how a packet is looked up. Pure.

An established TCP connection passes, unless its port is ``kill`` or its source was cut. On a kill port it
passes as long as an element of a drain set says so, and then the kernel ends it (EDGES J14). A packet with
SYN and without ACK never passes as established.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bascule.drivers.nftables.layout import DRAIN, ENDED, KILL, KILL_BEHIND, SourceSet

HEADER = {4: "ip", 6: "ip6"}
PORT = "meta l4proto . th dport"
OF_TCP = "meta l4proto tcp"
NO_SYN = "tcp flags & (syn | ack) != syn"


def established(version: int, sources: Sequence[SourceSet]) -> Iterator[str]:
    ended = not_ended(version, sources)
    yield f"ct state established {NO_SYN} {PORT} != @{KILL} {ended} accept"
    for each in _draining(version, sources):
        yield _staying(each, ended)


def established_behind(version: int, sources: Sequence[SourceSet]) -> Iterator[str]:
    not_killed = f"{port_behind(version)} != @{KILL_BEHIND[version]}"
    ended = not_ended(version, sources)
    yield f"ct state established {NO_SYN} {not_killed} {ended} accept"
    for each in _draining(version, sources):
        yield _staying(each, ended)


def established_translated(version: int, sources: Sequence[SourceSet]) -> Iterator[str]:
    """What passes before it is translated, by where conntrack leads it."""
    there = led(version)
    ended = not_ended(version, sources, there)
    yield f"{OF_TCP} {there} != @{KILL_BEHIND[version]} {ended} return"
    for each in _draining(version, sources):
        yield f"{OF_TCP} {lookup(each, there)} @{each.name} {ended} return"


def not_ended(version: int, sources: Sequence[SourceSet], there: str = "") -> str:
    return " ".join(
        f"{lookup(each, there)} != @{each.name}"
        for each in sources
        if each.kind == ENDED and each.version == version
    )


def _staying(each: SourceSet, ended: str) -> str:
    return f"ct state established {NO_SYN} {lookup(each)} @{each.name} {ended} accept"


def _draining(version: int, sources: Sequence[SourceSet]) -> Iterator[SourceSet]:
    return (each for each in sources if each.kind == DRAIN and each.version == version)


def led(version: int) -> str:
    """Where conntrack has a translated connection lead, in the place of address and port.

    A rule names TCP before this: nft 1.0.6 takes the type of ``proto-src`` from the protocol of its rule.
    """
    header = HEADER[version]
    return f"ct reply {header} saddr . meta l4proto . ct reply proto-src"


def port_behind(version: int) -> str:
    return f"{HEADER[version]} daddr . {PORT}"


def lookup(each: SourceSet, there: str = "") -> str:
    """``there``: in the place of a machine's address and port."""
    header = HEADER[each.version]
    port = (there or port_behind(each.version)) if each.is_behind else PORT
    if each.length == 0:
        return port if each.is_behind else f"{header} version {each.version} {port}"
    mask = "" if each.is_exact else f" & {each.mask}"
    return f"{header} saddr{mask} . {port}"
