"""What was read back of one machine behind a gateway, in its own ports, for its own report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.held import HeldBehind, HeldLease
from bascule.domain.holding import rules_behind
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import Address, Network, PortKey, PortMapped
from bascule.domain.plan import TOLERANCE, Observed


@dataclass(frozen=True, slots=True)
class ReadBack:
    generation: int
    in_force: frozenset[str]  # grant ids all of whose openings were read back
    closed: frozenset[ClosedPort]  # at every address that the machine has or had


def read_back(place: HeldBehind, observed: Observed, now: float) -> ReadBack:
    """Of a machine of ``holding.places``; ``now`` is seconds of CLOCK_BOOTTIME."""
    wanted = rules_behind(place, now)
    since_read = timedelta(seconds=0.0 if observed.read_at is None else now - observed.read_at)
    closed = _closed(place, observed.rules)
    in_force = {
        grant_id
        for grant_id, lease in place.held.leases.items()
        if observed.is_intact
        and {*lease.ports} <= {each.port for each in closed}
        and _is_in_force(place, lease, wanted, observed.rules)
    }
    mine = {*place.addresses, *place.former}
    in_force |= {
        opening.grant_id
        for key, opening in observed.rules.openings.items()
        if _where(key.port) in mine
        and (opening.grant_id not in place.held.leases or key not in wanted.openings)
        and outlasts(opening, since_read, wanted.openings.get(key))
    }
    return ReadBack(place.held.generation, frozenset(in_force), closed)


def outlasts(read: Opening, since_read: timedelta, wanted: Opening | None) -> bool:
    """Is it open for longer than anybody's who is still let in? (Else it bears the name of one who
    is not any more and stands for another, whose end is as good as the same.)
    """
    return wanted is None or read.remaining - since_read - wanted.remaining > TOLERANCE


def networks(lease: HeldLease) -> set[Network]:
    return {network for prefix in lease.sources for network in prefix.networks}


def _is_in_force(place: HeldBehind, lease: HeldLease, wanted: RuleSet, seen: RuleSet) -> bool:
    """One that opens nothing, for want of an address of its sources' IP version, is not."""
    sources, at = networks(lease), lease.at if lease.is_local else place.addresses
    keys = {
        key for key in wanted.openings if _is_of(key, lease, sources) and _where(key.port) in at
    }
    return bool(keys) and keys <= seen.openings.keys()


def _is_of(key: OpeningKey, lease: HeldLease, sources: set[Network]) -> bool:
    return key.port.own in lease.ports and key.source in sources


def _closed(place: HeldBehind, seen: RuleSet) -> frozenset[ClosedPort]:
    """One that is ``kill`` here and ``keep`` there counts as ``keep``."""
    after: Mapping[PortKey, OnExpiry] = {each.port: each.on_expiry for each in seen.closed}
    found = set()
    everywhere = (*place.addresses, *place.former)
    for each in place.held.closed:
        read = [after.get(each.port.behind(address)) for address in everywhere]
        if read and None not in read:
            is_kill = all(on_expiry is OnExpiry.KILL for on_expiry in read)
            found.add(ClosedPort(each.port, OnExpiry.KILL if is_kill else OnExpiry.KEEP))
    return frozenset(found)


def _where(port: PortKey) -> Address | None:
    """At which address of a machine it opens."""
    return port.to.at if isinstance(port, PortMapped) and port.to else port.at
