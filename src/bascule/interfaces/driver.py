"""What the inside asks of a firewall: a driver, where an agent keeps what it knows, and on a host
what its rules need to survive.

A driver is observe and apply, beside what its backend can do (``domain.capabilities``) and how
it is now (``Condition``). Which drivers there are is known to ``bootstrap.drivers`` alone.
What is not here: any implementation, any name of a firewall.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from bascule.domain.capabilities import Capabilities
from bascule.domain.held import Held
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, PortBehind, PortKey, PortMapped
from bascule.domain.plan import Observed, Operation
from bascule.domain.weaknesses import Weakness, WeaknessKind


@dataclass(frozen=True, slots=True)
class Condition:
    """How a backend is here and now, found by writing and reading back."""

    is_owned: bool  # other tools cannot write or flush our rules
    weaknesses: tuple[Weakness, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)  # for people: kernel, versions, ...
    flushed_by: str = ""  # which service empties the rules; empty: none


@dataclass(frozen=True, slots=True)
class Blocked:
    """Dropped packets of one source to one closed port, while the kernel remembers them."""

    source: str
    port: PortKey
    packets: int
    remaining: timedelta = timedelta(0)  # until it is forgotten, if nothing more comes


class Driver(Protocol):
    """One kind of firewall. Grow the data, not the method list."""

    @property
    def capabilities(self) -> Capabilities:
        """What this kind of backend can do; the same for as long as the driver lives."""
        ...

    def condition(self) -> Condition: ...

    def observe(self) -> Observed:
        """Read the firewall back; raise EnforcementFailed when it cannot be read."""
        ...

    def taken(self, ports: Collection[PortMapped]) -> Collection[PortMapped]:
        """Those public ports that stand for nothing here, because something else has them: what
        listens on this host, or another program's rules. Raises EnforcementFailed.
        """
        ...

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        """Do all of it in one transaction or raise EnforcementFailed with nothing done.

        The times left in it count from ``since`` (CLOCK_BOOTTIME seconds; None: from now):
        what reading, planning and writing take is not given to anybody.
        """
        ...

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int] | None:
        """How many TCP connections live on each (port, source prefix); None, never zeros, from a
        driver that cannot count them.
        """
        ...

    def tidy(self) -> None:
        """Cut connections that no rule admits any more; renew adopted ones that live on."""
        ...

    def blocked(self) -> Sequence[Blocked]:
        """Who was kept out; bounded, and empty from a driver that does not see it."""
        ...

    def remove(self) -> None:
        """Take every rule of ours away: the ports are open again. For uninstalling only."""
        ...


class HeldStore(Protocol):
    """Where an enforcement point keeps what it knows across its own death and reboots."""

    def save(self, held: Held) -> None: ...

    def load(self) -> Held: ...


# -- on a host --------------------------------------------------------------------------


class Keeper(Protocol):
    """Whoever keeps descriptors while no process of ours lives: the service manager."""

    @property
    def is_present(self) -> bool:
        """False: nothing is kept."""
        ...

    def passed(self) -> Sequence[tuple[str, int]]:
        """(name, descriptor) of what it handed over to this process, once."""
        ...

    def store(self, name: str, descriptor: int) -> bool:
        """Have a descriptor kept across our death; False when it cannot be."""
        ...

    def forget(self, name: str) -> bool:
        """Have every descriptor of that name closed, and wait until it is so."""
        ...

    def forget_stopped(self) -> None:
        """Have let go of what is kept of a service of ours that was stopped."""
        ...


class HostDriver(Driver, Protocol):
    """The driver of a host's own firewall, whose rules outlive the process that wrote them."""

    def own(self, keeper: Keeper) -> None:
        """Make the rules that an earlier process left ours, with no gap, and have kept whatever
        must outlive this process. Raises EnforcementFailed when they stay somebody else's.
        """
        ...

    def close(self) -> None:
        """Own them no longer; they stay."""
        ...


@dataclass(frozen=True, slots=True)
class UnitNeeds:
    """What a service that runs a driver must be given (systemd.unit(5), systemd.exec(5))."""

    documentation: str = ""
    after: tuple[str, ...] = ()  # units that would undo our rules if they started later
    capabilities: tuple[str, ...] = ()
    address_families: tuple[str, ...] = ()  # beside AF_UNIX, AF_INET and AF_INET6
    stored_descriptors: int = 0
    load: tuple[str, ...] = ()  # loads a file of ``HostFirewall.standing``; the path follows
    has_rules: tuple[str, ...] = ()  # succeeds where such rules, or an agent's, are in place


@dataclass(frozen=True, slots=True)
class HostNeeds:
    """What one kind of firewall needs of its host, and how it is spoken of there."""

    rules: str  # what ``remove`` takes away: "the nftables table 'inet bascule'"
    unkept: WeaknessKind | None = None  # that no process may own the rules; None: none has to
    tools: Mapping[str, str] = field(default_factory=dict)  # program -> Debian package, for a lab
    check: tuple[str, ...] = ()  # would such rules, as a trial and on stdin, be loaded?
    release: tuple[str, ...] = ()  # takes away what was loaded
    unit: UnitNeeds = UnitNeeds()


class Outcome(StrEnum):
    """What a packet showed of a finding, in a copy of the host's rules."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"  # it did not come where the finding says, or came where it says it does not
    UNTRIED = "notTried"


@dataclass(frozen=True, slots=True)
class Trial:
    outcome: Outcome
    reason: str = ""  # why UNTRIED; by what else CONFIRMED, if by no packet in a copy of the rules


@dataclass(frozen=True, slots=True)
class Examination:
    """What other programs' rules and services do to the ports of this host."""

    ports: frozenset[PortKey]  # that were looked at
    findings: tuple[Weakness, ...] = ()  # shadows
    unread: tuple[str, ...] = ()  # what could not be read, in words
    trials: tuple[Trial, ...] = ()  # of each finding in turn


class HostFirewall(Protocol):
    """One kind of firewall on a host, as the registry of drivers gives it."""

    @property
    def name(self) -> str:
        """Under which the registry knows it."""
        ...

    @property
    def needs(self) -> HostNeeds: ...

    def open(self) -> HostDriver:
        """Find out what this host can do; nothing is changed yet. Raises ConfigurationError."""
        ...

    def standing(self, closed: Collection[ClosedPort], *, is_trial: bool = False) -> str:
        """Rules that keep these closed and admit nobody, without an owner, as text for ``needs.unit.load``;
        or as a trial for ``needs.check``, which no owner of rules that are there can refuse.
        """
        ...

    def examine(
        self, ports: Collection[PortKey], gateways: Collection[Address] = ()
    ) -> Examination:
        """Look for shadows over ``ports`` (empty: those that the rules keep closed), and try each with
        a packet in a copy of the rules; changes nothing. Are ``gateways`` the way of answers?
        """
        ...


class HostParts(Protocol):
    """What commands on a host are given by the composition root."""

    def firewall(self, name: str = "") -> HostFirewall:
        """By its name in the registry, the usual one when that is empty; raises InvalidInput."""
        ...

    def local_port_range(self) -> tuple[int, int] | None:
        """The host's ephemeral ports, both ends inclusive; None when it is not readable."""
        ...

    def own_addresses(self) -> frozenset[Address]:
        """What is sent to these is the host's own, and is not forwarded. Empty when not readable."""
        ...

    def next_hops(self, destination: Address, source: Address | None) -> Collection[Address] | None:
        """Where a packet from this host's own ``source`` (None: any) may go next: routers, or the destination where
        that is a neighbour. Empty: nowhere. None: it stays here, or that cannot be told.
        """
        ...

    def answered_by(
        self, machines: Sequence[Collection[PortBehind]]
    ) -> Sequence[Collection[Address]]:
        """For each machine with these ports behind this gateway: the gateway's addresses by which alone
        its answers come back. Empty: the machine is no neighbour of it, another program's rule may write
        over who asks, or that cannot be read.
        """
        ...
