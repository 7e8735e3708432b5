"""Programs by which a closed TCP port's service is reached through another port of this host.

What passes connections on to machines behind a gateway is in ``proxies``.

Either the same program (or the same socket unit of systemd) listens on both, or one that listens
on the other passes connections on to the closed port within the host, where our rules let it:
seen by a connection that it has now, or read in its command line or in a file that this names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.weaknesses import PROXIED_PAST, SECOND_PORT, Weakness
from bascule.drivers.linux.listeners import (
    Inner,
    Listener,
    Program,
    Programs,
    connections,
    evidence,
    socket_units,
)
from bascule.drivers.linux.other_rules import OtherRules

_LOOPBACKS = ("localhost", "127.0.0.1", "::1")


def second_doors(
    host: OtherRules, closed: Collection[PortKey], programs: Programs
) -> Iterator[Weakness]:
    """Those whose other port may be reached from outside. Raises OSError."""
    shut = {port.number for port in closed if port.protocol is TransportProtocol.TCP}
    listening = host.listening if shut else []
    others = [each for each in listening if each.port not in shut]
    if not others:
        return
    doors = _Doors(host, shut, listening, programs)
    told: set[tuple[int, int]] = set()
    for each in sorted(others, key=lambda each: (each.port, str(each.address))):
        for number in sorted(shut):
            if (each.port, number) in told:
                continue
            weakness = doors.between(each, number)
            other = PortKey(TransportProtocol.TCP, each.port)
            if weakness is not None and host.reach(other, each.families) is not None:
                told.add((each.port, number))
                yield weakness


@dataclass(frozen=True, slots=True)
class _Held:
    listener: Listener
    program: Program | None


class _Doors:
    def __init__(
        self,
        host: OtherRules,
        shut: Collection[int],
        found: list[Listener],
        programs: Programs,
    ) -> None:
        self._programs = programs
        own = host.own
        self._inner: list[Inner] = connections(
            lambda address, port: port in shut and (address.is_loopback or address in own)
        )
        self._units = socket_units()
        self._hosts = (*_LOOPBACKS, *sorted(map(str, host.own)))
        self._held = {each.inode: _Held(each, self._programs.of(each)) for each in found}

    def between(self, other: Listener, number: int) -> Weakness | None:
        """What leads from that listener to the service of that closed port."""
        program = self._held[other.inode].program
        port = PortKey(TransportProtocol.TCP, number)
        arguments = {
            "port": port,
            "other": PortKey(TransportProtocol.TCP, other.port),
            "program": program.name if program is not None else "systemd",
        }
        heard = f"listener {endpoint(other)}"
        if self._is_same_program(program, number):
            return SECOND_PORT(**arguments, rule=heard)
        unit = self._unit_of_both(other, number)
        if unit:
            return SECOND_PORT(**{**arguments, "program": unit}, rule=heard)
        if program is None:
            return None
        words = evidence(self._programs, program.pids, self._hosts, number)
        if not words and self._is_connected(program, number):
            words = f"{heard}, with a connection to port {number} of this host"
        return PROXIED_PAST(**arguments, rule=words) if words else None

    def _is_same_program(self, program: Program | None, number: int) -> bool:
        same = (each.program for each in self._held.values() if each.listener.port == number)
        return program is not None and any(
            each is not None and program.is_same(each) for each in same
        )

    def _unit_of_both(self, other: Listener, number: int) -> str:
        """systemd's socket unit that names both ports, where systemd holds both."""
        by_manager = {
            each.listener.port
            for each in self._held.values()
            if self._programs.held_by_manager(each.listener.inode)
        }
        if not {other.port, number} <= by_manager:
            return ""
        units = (name for name, ports in self._units.items() if {other.port, number} <= ports)
        return next(units, "")

    def _is_connected(self, program: Program, number: int) -> bool:
        """Has it, or a process that it made, a connection to that port within the host?"""
        return any(
            each.to == number and is_its(self._programs, program, each) for each in self._inner
        )


def is_its(programs: Programs, program: Program, connection: Inner) -> bool:
    """Is that connection the program's, or one of a process that it made?"""
    owner = programs.of(connection)
    if owner is None:
        return False
    parents = {programs.parent(pid) for pid in owner.pids}
    return program.is_same(owner) or bool(program.pids & parents)


def endpoint(listener: Listener) -> str:
    address = listener.address
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"{host}:{listener.port}"
