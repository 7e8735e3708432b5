"""What was found, tried with a packet in a copy of the host's rules (EDGES G7).

A finding that something leads past us is confirmed by a packet that comes out where it is said to; one
that something blocks, by a packet that does not although Bascule's own table is left out. The packet is
a stranger's: a neighbour's of the host on the link by which it comes. What is tried are rules: that the
program of a second port or a proxy answers is known by its socket. What is not here: how the copy is
made (``scratch``, ``copied_rules``).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.domain.weaknesses import (
    BLOCKED_ELSEWHERE,
    FORWARDED_PAST,
    OF,
    PROXIED_BEHIND,
    PROXIED_PAST,
    SECOND_PORT,
    SOURCE_BLOCKED,
    Shadow,
    Weakness,
)
from bascule.drivers.linux.copied_rules import CopiedRules, copied
from bascule.drivers.linux.other_rules import OtherRules, Way
from bascule.drivers.linux.routes import hop_to
from bascule.drivers.linux.scratch import CannotTry, Journey, Scratch
from bascule.interfaces.driver import Outcome, Trial

_LONGEST = 60.0  # seconds for all trials
_LENGTHS = {4: 24, 6: 64}  # of the network in which a stranger's address is chosen
_OWN_PORT = (SECOND_PORT, PROXIED_PAST, PROXIED_BEHIND)


def tried(
    findings: Sequence[Weakness], host: OtherRules, is_ours: Callable[[str, str], bool]
) -> tuple[Trial, ...]:
    """One for each finding. ``is_ours`` tells our own tables by family and name."""
    trials = _Trials(host, is_ours)
    deadline = time.monotonic() + _LONGEST
    found = []
    for each in findings:
        if time.monotonic() > deadline:
            found.append(Trial(Outcome.UNTRIED, "the time for trials was over"))
        else:
            found.append(trials.of(each))
    return tuple(found)


class _Trials:
    def __init__(self, host: OtherRules, is_ours: Callable[[str, str], bool]) -> None:
        self._host = host
        self._is_ours = is_ours
        self._copies: dict[bool, CopiedRules] = {}
        self._names = dict(socket.if_nameindex())
        self._addresses = [
            (self._names[index], address)
            for index, address in host.addresses
            if index in self._names
        ]

    def of(self, finding: Weakness) -> Trial:
        try:
            journeys = list(self._journeys(finding))
            if not journeys:
                raise CannotTry("no link leads there from outside")
            is_block = finding.shadow is Shadow.BLOCKS
            arrived = any(self._arrives(each, is_block) for each in journeys)
        except CannotTry as error:
            return Trial(Outcome.UNTRIED, str(error))
        except OSError as error:
            return Trial(Outcome.UNTRIED, error.strerror or str(error))
        return Trial(Outcome.CONFIRMED if arrived is not is_block else Outcome.REFUTED)

    def _arrives(self, journey: Journey, without_ours: bool) -> bool:
        if without_ours not in self._copies:
            ours = self._is_ours if without_ours else lambda _family, _name: False
            self._copies[without_ours] = copied(ours)
        with Scratch(journey, list(self._names.values()), self._addresses) as scratch:
            scratch.check()
            self._copies[without_ours].load(scratch.here)
            return scratch.arrives()

    # -- which packet -------------------------------------------------------------------

    def _journeys(self, finding: Weakness) -> Iterator[Journey]:
        given = finding.arguments
        if any(finding.is_of(kind) for kind in _OWN_PORT):
            yield from self._to_own(_port(given["other"]))
        elif finding.is_of(FORWARDED_PAST):
            address, port = given["target"].split()
            other = _port(given["other"].split()[-1])
            yield from self._on(other, ip_address(address), _port(port))
        elif finding.is_of(BLOCKED_ELSEWHERE) or finding.is_of(SOURCE_BLOCKED):
            source = ip_address(given["source"]) if "source" in given else None
            for journey in self._to_closed(given["port"], source):
                _, over, version = given["where"].partition(" over IPv")
                if not over or journey.to.version == int(version):
                    yield journey
        else:
            raise CannotTry("this kind of finding names no packet that would show it")

    def _to_own(self, port: PortKey) -> Iterator[Journey]:
        versions = self._host.served(port)
        for way in self._host.ways:
            if way.address.version in versions:
                yield Journey(self._stranger(way), way.interface[1], way.address, port)

    def _on(self, port: PortKey, target: Address, own: PortKey) -> Iterator[Journey]:
        inner = (self._link(target), target, own)
        for way in self._host.ways:
            if way.address.version == target.version and inner[0] != way.interface[1]:
                yield Journey(self._stranger(way), way.interface[1], way.address, port, inner)

    def _to_closed(self, named: str, source: Address | None) -> Iterator[Journey]:
        text, _, at = named.partition(OF)
        port = _port(text)
        targets = sorted(self._host.targets(port), key=str) if not at else []
        for way in self._host.ways:
            if source is not None and source.version != way.address.version:
                continue
            from_ = source or self._stranger(way)
            if at:
                target = ip_address(at)
                link = self._link(target)
                if target.version == way.address.version and link != way.interface[1]:
                    yield Journey(from_, way.interface[1], target, port, (link, target, port))
                continue
            leads = [each for each in targets if each[0].version == way.address.version]
            if leads:
                address, own = leads[0]
                inner = (self._link(address), address, own)
                if inner[0] != way.interface[1]:
                    yield Journey(from_, way.interface[1], way.address, port, inner)
            elif way.address.version in self._host.served(port):
                yield Journey(from_, way.interface[1], way.address, port)

    def _link(self, address: Address) -> str:
        hop = hop_to(address)
        if hop is None or hop.interface not in self._names:
            raise CannotTry(f"no route leads to {address}")
        return self._names[hop.interface]

    def _stranger(self, way: Way) -> Address:
        """A neighbour of the host."""
        near = ip_network((way.address, _LENGTHS[way.address.version]), strict=False)
        return next(near[at] for at in range(-2, -200, -1) if near[at] not in self._host.own)


def _port(text: str) -> PortKey:
    number, _, kind = text.partition("/")
    return PortKey(TransportProtocol(kind.upper()), int(number))
