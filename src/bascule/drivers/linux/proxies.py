"""Programs of a gateway that pass connections on to closed TCP ports of machines behind it.

What a gateway's own program sends passes no ``forward`` chain, so whoever reaches the port on which
it listens needs no grant. It is known by a connection that it, or a process that it made, has now, or
by its command line or a file that this names, where the machine's address stands, or a name that
/etc/hosts has for it. What is not here: names of a DNS server, and UDP.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.domain.weaknesses import PROXIED_BEHIND, Weakness
from bascule.drivers.linux.listeners import Program, Programs, connections
from bascule.drivers.linux.other_rules import OtherRules
from bascule.drivers.linux.second_doors import endpoint, is_its

_HOSTS = Path("/etc/hosts")
_MOST_WORDS = 200  # characters of what is shown of a program's file
# An address or name with a port: in brackets, IPv6 with a space, any other.
_ENDPOINTS = (
    re.compile(r"\[([0-9A-Fa-f:.]+)\][:\s](\d{1,5})(?![\d.])"),
    re.compile(r"(?<![\w.:])([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\s(\d{1,5})(?![\d.])"),
    re.compile(r"(?<![\w.-])([\w.-]+)[:\s](\d{1,5})(?![\d.])"),
)

_Doors = Mapping[tuple[Address, int], PortKey]


def proxies(
    host: OtherRules, closed: Collection[PortKey], programs: Programs
) -> Iterator[Weakness]:
    """Those whose port may be reached from outside. Raises OSError."""
    doors = {
        (port.at, port.number): port
        for port in closed
        if port.at is not None and port.protocol is TransportProtocol.TCP
    }
    if not doors:
        return
    shut = {port.number for port in closed if port.at is None}
    others = [each for each in host.listening if each.port not in shut]
    names = names_of({address for address, _ in doors})
    out = connections(lambda address, port: (address, port) in doors)
    told: set[tuple[int, PortKey]] = set()
    for each in sorted(others, key=lambda each: (each.port, str(each.address))):
        program = programs.of(each)
        other = PortKey(TransportProtocol.TCP, each.port)
        if program is None or host.reach(other, each.families) is None:
            continue
        found = dict(_written(programs, program, doors, names))
        for way in out:
            if is_its(programs, program, way):
                at = doors[way.address, way.to]
                found.setdefault(at, f"listener {endpoint(each)}, with a connection to port {at}")
        for port, words in found.items():
            if (each.port, port) not in told:
                told.add((each.port, port))
                yield PROXIED_BEHIND(port=port, other=other, program=program.name, rule=words)


def names_of(addresses: Collection[Address]) -> Mapping[str, Address]:
    """Each of these addresses by how a file may name it."""
    found = {str(each): each for each in addresses}
    try:
        lines = _HOSTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        words = line.partition("#")[0].split()
        for address in addresses:
            if words and words[0] == str(address):
                found |= {word.casefold(): address for word in words[1:]}
    return found


def _written(
    programs: Programs, program: Program, doors: _Doors, names: Mapping[str, Address]
) -> Iterator[tuple[PortKey, str]]:
    """The closed ports that its command lines and their files name, each with those words."""
    for pid in sorted(program.pids):
        yield from in_line(" ".join(programs.words(pid)), doors, names)
        for path, content in programs.files(pid):
            for line in content.splitlines():
                if not line.lstrip().startswith("#"):
                    for port, words in in_line(line.strip(), doors, names):
                        yield port, f"{path}: {words}"[:_MOST_WORDS]


def in_line(
    line: str, doors: _Doors, names: Mapping[str, Address]
) -> Iterator[tuple[PortKey, str]]:
    for pattern in _ENDPOINTS:
        for name, number in pattern.findall(line):
            address = names.get(name.casefold()) or _parsed(name)
            port = doors.get((address, int(number))) if address is not None else None
            if port is not None:
                yield port, line[:_MOST_WORDS]


def _parsed(name: str) -> Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
