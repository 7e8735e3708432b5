"""A host's firewall in memory: what ``FakeDriver`` writes to and what packets meet.

It stands for the kernel: rules outlive the driver that wrote them, leases end by the clock,
connections are made, kept, adopted, cut and counted as on a real host; or, where ``abilities``
lack something, as on a backend that cannot do it. Addresses are
judged, packets are not: no conntrack, no hooks, no families of tools.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from bascule.domain.capabilities import HOST, Capabilities
from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, Network, PortKey, PublicPort, parse_address
from bascule.interfaces.clock import Clock

ADOPTED_FOR = 600.0  # seconds


@dataclass(eq=False, slots=True)
class FakeConnection:
    """One TCP connection to this host, made when it was let in."""

    source: Address
    port: PortKey
    is_cut: bool = False
    adopted_until: float = 0.0


@dataclass(slots=True)
class FakeRules:
    """What the firewall holds; ends are seconds of the clock's boottime."""

    closed: dict[PortKey, ClosedPort] = field(default_factory=dict)
    openings: dict[OpeningKey, tuple[float, str]] = field(default_factory=dict)  # end, grant id
    cuts: dict[OpeningKey, float] = field(default_factory=dict)
    drains: dict[OpeningKey, float] = field(default_factory=dict)
    blocked: Counter[tuple[Address, PortKey]] = field(default_factory=Counter)
    is_damaged: bool = False


class FakeFirewall:
    def __init__(self, clock: Clock, abilities: Capabilities = HOST) -> None:
        self.clock = clock
        self.abilities = abilities
        self.rules: FakeRules | None = None  # None: there is no table
        self.connections: list[FakeConnection] = []
        self.listens: set[PublicPort] = set()  # where something of the host itself answers

    # -- packets ------------------------------------------------------------------------

    def reaches(self, source: str, port: PortKey) -> bool:
        """Is a first packet from ``source`` let through? Counted when it is not."""
        address = parse_address(source)
        rules = self.rules
        if rules is None or port not in rules.closed or self._is_open(address, port):
            return True
        if self.abilities.sees_blocked:
            rules.blocked[address, port] += 1
        return False

    def connect(self, source: str, port: PortKey) -> FakeConnection | None:
        if not self.reaches(source, port):
            return None
        made = FakeConnection(parse_address(source), port)
        self.connections.append(made)
        return made

    def is_alive(self, connection: FakeConnection) -> bool:
        """Does its next packet pass? A refused one is answered by a reset: it is over."""
        rules = self.rules
        if not connection.is_cut and rules is not None:
            connection.is_cut = not self._may_go_on(connection, rules)
        return not connection.is_cut

    def admits(self, connection: FakeConnection) -> bool:
        """Does an opening or an adoption hold for it now?"""
        is_adopted = connection.adopted_until > self.clock.boottime()
        return is_adopted or self._is_open(connection.source, connection.port)

    def damage(self) -> None:
        """Another program changes a rule."""
        if self.rules is not None:
            self.rules.is_damaged = True

    def flush(self) -> None:
        """Another program takes the whole table away."""
        self.rules = None

    def _may_go_on(self, connection: FakeConnection, rules: FakeRules) -> bool:
        closed = rules.closed.get(connection.port)
        if closed is None or self.admits(connection) or not self.abilities.ends_sessions:
            return True
        if self._is_in(rules.cuts, connection):
            return False
        return not closed.is_kill or self._is_in(rules.drains, connection)

    def _is_in(self, timed: dict[OpeningKey, float], connection: FakeConnection) -> bool:
        now = self.clock.boottime()
        return any(
            end > now and _holds(key, connection.source, connection.port)
            for key, end in timed.items()
        )

    def _is_open(self, source: Address, port: PortKey) -> bool:
        openings = self.rules.openings if self.rules is not None else {}
        return any(
            self._is_in_force(end) and _holds(key, source, port)
            for key, (end, _) in openings.items()
        )

    def _is_in_force(self, end: float) -> bool:
        return end > self.clock.boottime() or not self.abilities.ends_leases

    # -- as a driver sees it ------------------------------------------------------------

    def close(self, closed: ClosedPort, *, adopts: bool) -> None:
        """Shut a port; ``adopts``: the connections that exist to it go on."""
        rules = self._made()
        rules.closed[closed.port] = closed
        for connection in self.connections:
            if adopts and connection.port == closed.port:
                connection.adopted_until = self.clock.boottime() + ADOPTED_FOR

    def release(self, port: PortKey) -> None:
        self._made().closed.pop(port, None)

    def open(self, opening: Opening, at: float) -> None:
        end = at + opening.remaining.total_seconds()
        self._made().openings[opening.key] = (end, opening.grant_id)

    def drop(self, key: OpeningKey) -> None:
        self._made().openings.pop(key, None)

    def cut(self, key: OpeningKey, remaining: timedelta, at: float) -> None:
        self._made().cuts[key] = at + remaining.total_seconds()

    def drain(self, key: OpeningKey, remaining: timedelta, at: float) -> None:
        if self.abilities.drains:
            self._made().drains[key] = at + remaining.total_seconds()

    def drain_no_more(self, key: OpeningKey) -> None:
        self._made().drains.pop(key, None)

    def held(self, rules: FakeRules | None) -> RuleSet:
        """What of these rules is in force now."""
        rules, now = rules or FakeRules(), self.clock.boottime()
        return RuleSet(
            frozenset(rules.closed.values()),
            {
                key: Opening(key, timedelta(seconds=max(end - now, 0.0)), grant_id)
                for key, (end, grant_id) in rules.openings.items()
                if self._is_in_force(end)
            },
            {key: timedelta(seconds=end - now) for key, end in rules.cuts.items() if end > now},
            {key: timedelta(seconds=end - now) for key, end in rules.drains.items() if end > now},
        )

    def _made(self) -> FakeRules:
        if self.rules is None:
            self.rules = FakeRules()
        return self.rules


def _holds(key: OpeningKey, source: Address, port: PortKey) -> bool:
    return key.port == port and within(source, key.source)


def within(source: Address, network: Network) -> bool:
    return source.version == network.version and source in network
