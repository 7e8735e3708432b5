"""What a host's guard file admits: ports, sources, the longest lease, releases (ARCHITECTURE rule 9);
and, on a gateway, where it forwards to.

The host reads it and has the last word (``guard``). It tells its server, which refuses before
anybody waits (``decide``) and shows the bounds. A server that is told a lie by an agent refuses
more on that agent's own machine, and never less.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from bascule.domain.net import (
    Address,
    AddressPrefix,
    PortKey,
    PublicPort,
    is_within,
    within,
)

GUARD_FILE = "/etc/bascule/guard.toml"  # where it is unless an agent was told otherwise


class Objection(StrEnum):
    """Why a guard does not admit an opening."""

    UNREADABLE = "unreadable"  # its file is there and cannot be used: it admits nothing
    PORT = "port"
    SOURCE = "source"
    NETWORK = "network"  # the machine is not where its gateway's file says
    MAPPED = "mapped"  # a public port is not one that the gateway's file gives
    LEASELESS = "leaseless"  # not the guard's: the firewall there cannot end an opening by itself
    TAKEN = "taken"  # nor this: something else at the gateway has the public port
    PAST = "past"  # nor this: answers to a public port's clients go past the gateways
    NOWHERE = "nowhere"  # nor this: the machine has no route to who asks


Judge = Callable[[Iterable[PortKey], Iterable[AddressPrefix]], Objection | None]


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What a gateway may open behind it. Of what is not named here it opens nothing (EDGES G1)."""

    networks: tuple[AddressPrefix, ...] = ()  # in which machines are
    addresses: tuple[Address, ...] = ()  # public, of the gateway
    first: int = 0  # of the public ports that may stand for machines' own
    last: int = 0  # inclusive; 0: there are none

    def reaches(self, addresses: Iterable[Address]) -> bool:
        """Are all of them within its networks?"""
        return is_within(map(AddressPrefix.of, addresses), self.networks)

    def gives(self, public: PublicPort) -> bool:
        return public.address in self.addresses and 0 < self.first <= public.number <= self.last


@dataclass(frozen=True, slots=True)
class Guard:
    """Bounds of one host; None bounds nothing, an empty tuple admits nothing."""

    ports: tuple[PortKey, ...] | None = None
    sources: tuple[AddressPrefix, ...] | None = None
    max_duration: timedelta | None = None  # of a lease, from when the host is told of it
    may_release: bool = True  # may a server let a closed port go?
    problem: str = ""  # why its file cannot be used; then it admits nothing
    forwarding: Forwarding | None = None  # behind it; None: nothing
    max_drain: timedelta | None = None  # how long connections may stay when their lease is over

    @property
    def is_bounding(self) -> bool:
        return self != NO_BOUNDS

    def objection(
        self, ports: Iterable[PortKey], sources: Iterable[AddressPrefix]
    ) -> Objection | None:
        """Why these ports are not opened to these sources; None: the guard admits it."""
        return self.judge()(ports, sources)

    def within(self, other: Guard) -> Guard:
        """What both admit."""
        return Guard(
            _both(self.ports, other.ports),
            _common(self.sources, other.sources),
            _shorter(self.max_duration, other.max_duration),
            self.may_release and other.may_release,
            self.problem or other.problem,
            max_drain=_shorter(self.max_drain, other.max_drain),
        )

    def objection_behind(
        self, addresses: Collection[Address], public: Iterable[PublicPort]
    ) -> Objection | None:
        """Why nothing is opened for a machine at these addresses, by these public ports; None: the
        guard admits it. Nothing is opened for a machine at no address in any case.
        """
        forwarding = self.forwarding or Forwarding()
        if addresses and not forwarding.reaches(addresses):
            return Objection.NETWORK
        return None if all(map(forwarding.gives, public)) else Objection.MAPPED

    def judge(self) -> Judge:
        """``objection``, for many openings."""
        admitted = None if self.ports is None else frozenset(self.ports)
        is_admitted = None if self.sources is None else within(self.sources)

        def objection(
            ports: Iterable[PortKey], sources: Iterable[AddressPrefix]
        ) -> Objection | None:
            if self.problem:
                return Objection.UNREADABLE
            if admitted is not None and not admitted.issuperset(ports):
                return Objection.PORT
            if is_admitted is not None and not is_admitted(sources):
                return Objection.SOURCE
            return None

        return objection


def _shorter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _both(
    one: tuple[PortKey, ...] | None, other: tuple[PortKey, ...] | None
) -> tuple[PortKey, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(each for each in one if each in other)


def _common(
    one: tuple[AddressPrefix, ...] | None, other: tuple[AddressPrefix, ...] | None
) -> tuple[AddressPrefix, ...] | None:
    """Two prefixes share the narrower of them, or nothing."""
    if one is None or other is None:
        return other if one is None else one
    return tuple(
        dict.fromkeys(
            a if is_within((a,), (b,)) else b
            for a in one
            for b in other
            if is_within((a,), (b,)) or is_within((b,), (a,))
        )
    )


NO_BOUNDS = Guard()
