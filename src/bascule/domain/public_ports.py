"""Which public port of a gateway stands for a port of a machine behind it. Pure.

A policy names one, or the lowest free one of the guard file's range is taken. A machine's port keeps
its public port for as long as the guard gives it. One that stood for a machine's port is given to no
other machine for HELD_BACK (EDGES G2): who still has the old address and number in a script comes to
nobody else. What is not here: whether something at the gateway itself has the port, which its agent
finds (EDGES G6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bascule.domain.bounds import GUARD_FILE, Forwarding
from bascule.domain.net import Address, PortKey, PortMapped, PublicPort
from bascule.domain.times import format_utc
from bascule.sentences import Sentence, sentence

HELD_BACK = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Claim:
    """A public port of one gateway, and the machine's port for which it stands or stood last."""

    point_uid: str  # of the gateway
    public: PublicPort
    machine_uid: str
    port: PortKey  # the machine's own, over the same protocol
    released_at: datetime | None = None  # None: it stands for it

    @property
    def mapped(self) -> PortMapped:
        return self.port.mapped(self.public)

    def is_kept_from(self, machine_uid: str, port: PortKey, now: datetime) -> bool:
        """May it not stand for that port?"""
        if self.released_at is None:
            return (machine_uid, port) != (self.machine_uid, self.port)
        return machine_uid != self.machine_uid and now < self.released_at + HELD_BACK

    def released(self, now: datetime) -> Claim:
        """Let go by its machine's port."""
        return replace(self, released_at=now)

    def found_taken(self, now: datetime) -> Claim:
        """Held back as the gateway's own, where something has it already (EDGES G6)."""
        return replace(self, machine_uid=self.point_uid, released_at=now)


def named_at(
    number: int | None,
    address: Address | None,
    version: int,
    forwarding: Forwarding,
    everywhere: Collection[Address],
) -> PublicPort | None:
    """The public port that a policy's rule names for an IP version, at one of a machine's gateways.

    ``everywhere`` are the public addresses of all of them; this one has one of that version. None: one
    is to be chosen. A rule without an address means the first. One whose address is of another version,
    or another gateway's, names none here.
    """
    if number is None:
        return None
    if address is None:
        address = next(each for each in forwarding.addresses if each.version == version)
    elif address.version != version or (
        address not in forwarding.addresses and address in everywhere
    ):
        return None
    return PublicPort(address, number)


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    message: Sentence


def choose(
    machine_uid: str,
    port: PortKey,
    at: Address,
    forwarding: Forwarding | None,
    claims: Iterable[Claim],
    now: datetime,
    named: PublicPort | None = None,
) -> PublicPort | Refused:
    """The public port for a machine's port, of the IP version of its address ``at``.

    ``claims`` are all of that gateway; ``named`` is the policy's.
    """
    given = forwarding or Forwarding()
    if named is not None and not (given.gives(named) and named.address.version == at.version):
        return Refused(
            "PublicPortNotGiven",
            sentence(
                "Public port {public} is not one that the guard file of the gateway gives for "
                "{address}. Name another one in the policy, or none; root on the gateway can "
                "change {file} and restart the agent.",
                public=named,
                address=at,
                file=GUARD_FILE,
            ),
        )
    known = list(claims)
    kept = {
        each.mapped: each
        for each in known
        if each.is_kept_from(machine_uid, port, now)
        # Whether it is still taken there is for the agent to find.
        and (named is None or each.machine_uid != each.point_uid)
    }
    own = [
        each.public
        for each in sorted(known, key=lambda each: each.released_at is not None)
        if (each.machine_uid, each.port) == (machine_uid, port)
    ]
    wanted = [named] if named is not None else [*own, *_given(given)]
    for public in wanted:
        claim = kept.get(port.mapped(public))
        if given.gives(public) and public.address.version == at.version:
            if claim is None:
                return public
            if named is not None:
                return _kept(claim)
    return Refused(
        "NoPublicPortFree",
        sentence(
            "The guard file of the gateway gives no public port that is free for {address}. Root "
            "on the gateway can widen public_ports in {file} and restart the agent.",
            address=at,
            file=GUARD_FILE,
        ),
    )


def _given(forwarding: Forwarding) -> Iterator[PublicPort]:
    """All that it gives, the lowest numbers of the first address first."""
    for address in forwarding.addresses:
        for number in range(forwarding.first, forwarding.last + 1) if forwarding.first else ():
            yield PublicPort(address, number)


def _kept(claim: Claim) -> Refused:
    if claim.released_at is None:
        return Refused(
            "PublicPortTaken",
            sentence(
                "Public port {public} stands for another port already. Name another one in the "
                "policy, or none.",
                public=claim.public,
            ),
        )
    return Refused(
        "PublicPortHeldBack",
        sentence(
            "Public port {public} stood for another machine’s port, and may not stand for this one "
            "until {until}. Name another one in the policy, or none.",
            public=claim.public,
            until=format_utc(claim.released_at + HELD_BACK),
        ),
    )
