"""What an enforcement point holds of one machine, and the rules that its firewall should have now.

``hold`` merges a desired state into it: each lease counts from the moment of the request, the earlier
of two ends applies unless an extension is recorded, closed ports are united, and only a release by name
removes one. ``rule_set`` gives the rules at this moment. ``holding`` does the same for a gateway, which
holds several machines. Pure; deadlines are seconds of CLOCK_BOOTTIME.

Rules (EDGES A7, A8, A10): no omission and no old or slow state opens anything; only an explicit
release removes a closed port; no element lasts less than a millisecond; with overlapping leases
of one key the opening lasts as long as the longest. A firewall holds a limited number of cuts:
beyond MOST_CUTS, every source of those ports is cut. A drain begins only with its lease and ends
with its revocation (EDGES J14).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bascule.domain.desired import (
    MOST_CUTS,
    SHORTEST,
    STALE_AFTER,
    Cut,
    DesiredState,
    Drain,
    Lease,
    Opening,
    OpeningKey,
    RuleSet,
)
from bascule.domain.grant import opening_count
from bascule.domain.limits import MAXIMUM_OPENINGS_PER_MACHINE
from bascule.domain.machine import ClosedPort
from bascule.domain.net import (
    EVERY_IPV4,
    EVERY_IPV6,
    Address,
    AddressPrefix,
    PortKey,
    PublicPorts,
    TransportProtocol,
)

MOST_ENDED = 2 * MAXIMUM_OPENINGS_PER_MACHINE  # remembered openings of removed leases
EVERY_CUT = "every"  # the cut that replaces more cuts than a point can hold
REMEMBER_ENDED = 3600.0  # seconds past its end for which a lease that no state names is kept


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease on the enforcement point, its end on the point's own monotonic clock."""

    ports: tuple[PortKey, ...]
    sources: tuple[AddressPrefix, ...]
    deadline: float  # seconds of CLOCK_BOOTTIME
    extension: int = 0
    is_local: bool = False  # opened by root on the host; no server can take or lengthen it
    # Of one that root opened for a machine behind: the addresses at which it opens, and no other.
    at: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """The complete state of an enforcement point, as it is saved."""

    generation: int = 0  # the highest generation that it has taken over
    closed: frozenset[ClosedPort] = frozenset()
    leases: Mapping[str, HeldLease] = field(default_factory=dict)  # by grant id
    cuts: Mapping[str, HeldLease] = field(default_factory=dict)  # by grant id
    ended: Mapping[str, HeldLease] = field(
        default_factory=dict
    )  # removed leases; they return only if extended
    is_refused: bool = (
        False  # the key was refused: all leases were ended, and no state arrived since
    )
    behind: Mapping[str, HeldBehind] = field(default_factory=dict)  # by machine uid
    drains: Mapping[str, HeldLease] = field(
        default_factory=dict
    )  # by grant id; ends of connections
    installation: int = 0  # the highest number of an installation that told a state


@dataclass(frozen=True, slots=True)
class HeldBehind:
    """What a gateway holds for one machine behind it."""

    held: Held = Held()
    addresses: tuple[Address, ...] = ()  # to which it forwards
    former: frozenset[Address] = frozenset()  # at which what is closed stays closed
    mapped: PublicPorts = field(default_factory=dict)
    name: str = field(default="", compare=False)  # as the server told it last; empty: it has not


def hold(held: Held, state: DesiredState, asked_at: float, now: float) -> Held:
    """Merge a state from the server; ``asked_at`` and ``now`` are seconds of CLOCK_BOOTTIME.

    A state of a lower generation changes nothing, and neither does one of an installation with a
    lower number: its record was moved, and what comes now is from the place that it left (EDGES
    H7). A state that took longer than STALE_AFTER still closes ports and ends leases. It opens,
    lengthens and releases nothing, and its generation is not taken over, so the point must ask
    again. A removed lease stays in ``ended`` and returns only by a recorded extension, because a
    server whose clock went back, or from an older backup, may still list it as live.

    A drain is taken with its lease alone, and outlives it; who had none when the lease ended gets
    none. One that the state does not name ends at once.

    A release counts once, for a point that has not yet taken over its generation: a server from
    an older backup may still list a release that was followed by a closing (A8, A10).
    """
    if state.installation < held.installation:
        return held
    if state.generation < held.generation:
        is_new = state.installation > held.installation
        return replace(held, installation=state.installation) if is_new else held
    is_stale = now - asked_at > STALE_AFTER
    named = {closed.port for closed in state.closed}
    kept = frozenset(
        closed
        for closed in held.closed
        if closed.port not in named
        and (is_stale or state.released.get(closed.port, 0) <= held.generation)
    )
    leases = {grant_id: lease for grant_id, lease in held.leases.items() if lease.is_local}
    for lease in state.leases:
        if lease.grant_id in leases:
            continue  # a local opening's id: no server can take or lengthen it
        left = held.ended.get(lease.grant_id)
        if left is not None and lease.extension <= left.extension:
            continue
        taken = _take(held.leases.get(lease.grant_id), lease, asked_at, is_stale)
        if taken is not None:
            leases[lease.grant_id] = taken
    named_on = {lease.grant_id for lease in state.leases}
    ended = {
        grant_id: lease
        for grant_id, lease in {**held.ended, **held.leases}.items()
        if grant_id not in leases
        and (lease.deadline > now - REMEMBER_ENDED or grant_id in named_on)
    }
    cuts = {**held.cuts, **{cut.grant_id: _take_cut(held, cut, asked_at) for cut in state.cuts}}
    live_cuts = {grant_id: cut for grant_id, cut in cuts.items() if cut.deadline > now}
    drains = {
        each.grant_id: _take_drain(held, leases, each, asked_at, is_stale) for each in state.drains
    }
    return Held(
        generation=held.generation if is_stale else state.generation,
        closed=state.closed | kept,
        leases=leases,
        cuts=_few_cuts(live_cuts),
        ended=_last_ended(ended),
        behind=held.behind,
        drains={grant_id: drain for grant_id, drain in drains.items() if drain is not None},
        installation=state.installation,
    )


def _last_ended(ended: Mapping[str, HeldLease]) -> Mapping[str, HeldLease]:
    """The leases that end last, up to MOST_ENDED openings.

    This bounds the host's memory if a server keeps naming other leases.
    """
    kept: dict[str, HeldLease] = {}
    room = MOST_ENDED
    for grant_id, lease in sorted(ended.items(), key=lambda each: -each[1].deadline):
        room -= opening_count(lease.ports, lease.sources)
        if room < 0:
            break
        kept[grant_id] = lease
    return kept


def _few_cuts(cuts: Mapping[str, HeldLease]) -> Mapping[str, HeldLease]:
    """The cuts; or one cut of every source, if a firewall cannot hold them all."""
    if sum(opening_count(cut.ports, cut.sources) for cut in cuts.values()) <= MOST_CUTS:
        return cuts
    ports = tuple(dict.fromkeys(port for cut in cuts.values() for port in cut.ports))
    latest = max(cut.deadline for cut in cuts.values())
    return {EVERY_CUT: HeldLease(ports, (AddressPrefix(None),), latest)}


def _take_drain(
    held: Held, leases: Mapping[str, HeldLease], drain: Drain, asked_at: float, is_stale: bool
) -> HeldLease | None:
    old, lease = held.drains.get(drain.grant_id), leases.get(drain.grant_id)
    if old is None and (lease is None or lease.is_local):
        return None
    return _take(old, drain, asked_at, is_stale)


def _take(
    old: HeldLease | None, lease: Lease | Drain, asked_at: float, is_stale: bool
) -> HeldLease | None:
    deadline = asked_at + lease.remaining.total_seconds()
    if old is None:
        return (
            None if is_stale else HeldLease(lease.ports, lease.sources, deadline, lease.extension)
        )
    if is_stale:
        return replace(old, deadline=min(old.deadline, deadline))
    if lease.extension > old.extension:
        return HeldLease(lease.ports, lease.sources, deadline, lease.extension)
    return HeldLease(
        lease.ports, lease.sources, min(old.deadline, deadline), max(old.extension, lease.extension)
    )


def _take_cut(held: Held, cut: Cut, asked_at: float) -> HeldLease:
    """A cut lasts its full time from when it is received; of two ends the later applies."""
    known = held.cuts.get(cut.grant_id)
    deadline = asked_at + cut.remaining.total_seconds()
    if known is not None:
        deadline = max(deadline, known.deadline)
    return HeldLease(cut.ports, cut.sources, deadline)


def not_let_go_yet(held: Held, saved: Held) -> Held:
    """The state to save before the firewall has applied releases: everything held, with the
    released ports still closed, and the generation before the release.

    If the agent dies in between, the next one takes the release over again.
    """
    named = {closed.port for closed in held.closed}
    leaving = frozenset(closed for closed in saved.closed if closed.port not in named)
    if not leaving:
        return held
    return replace(held, closed=held.closed | leaving, generation=saved.generation)


def forget_ended(held: Held, now: float) -> Held:
    """Remove ended leases and cuts; leases from the server are remembered in ``ended``."""
    over = {
        key: lease
        for key, lease in held.leases.items()
        if lease.deadline <= now and not lease.is_local
    }
    return replace(
        held,
        leases={key: lease for key, lease in held.leases.items() if lease.deadline > now},
        cuts={key: cut for key, cut in held.cuts.items() if cut.deadline > now},
        ended={**held.ended, **over},
        drains={key: each for key, each in held.drains.items() if each.deadline > now},
    )


def close_all(held: Held) -> Held:
    """End every lease at once, local ones too, because the key is refused (EDGES A12).

    Ports stay closed. This happens once: openings that root makes afterwards stay, until a server
    that accepts the key refuses it again.
    """
    return held if held.is_refused else replace(held, leases={}, drains={}, is_refused=True)


def begin_anew(held: Held) -> Held:
    """The state that a new identity inherits: closed ports and root's openings (EDGES A12).

    Its server counts generations from zero.
    """
    local = {key: lease for key, lease in held.leases.items() if lease.is_local}
    return Held(closed=held.closed, leases=local, cuts=held.cuts)


def rule_set(held: Held, now: float) -> RuleSet:
    """The rules that the firewall should have at ``now`` (seconds of CLOCK_BOOTTIME).

    Only closed ports are opened. An opening of a port that is not closed would have no effect
    until the day when the port is closed.
    """
    closed_ports = {closed.port for closed in held.closed}
    openings: dict[OpeningKey, Opening] = {}
    for grant_id, lease in held.leases.items():
        remaining = timedelta(seconds=lease.deadline - now)
        if remaining < SHORTEST:
            continue
        for key in _keys(lease, closed_ports):
            longest = openings.get(key)
            if longest is None or longest.remaining < remaining:
                openings[key] = Opening(key, remaining, grant_id)
    cuts: dict[OpeningKey, timedelta] = {}
    for cut in held.cuts.values():
        remaining = timedelta(seconds=cut.deadline - now)
        if remaining >= SHORTEST:
            for key in _keys(cut, closed_ports):
                cuts[key] = max(remaining, cuts.get(key, remaining))
    return RuleSet(held.closed, openings, few_cuts(cuts), _drains(held, now))


def _drains(held: Held, now: float) -> dict[OpeningKey, timedelta]:
    """What needs none has none: other ports keep their connections, or have none (UDP)."""
    ports = {
        closed.port
        for closed in held.closed
        if closed.is_kill and closed.port.protocol is TransportProtocol.TCP
    }
    drains: dict[OpeningKey, timedelta] = {}
    for drain in held.drains.values():
        remaining = timedelta(seconds=drain.deadline - now)
        if remaining >= SHORTEST:
            for key in _keys(drain, ports):
                drains[key] = max(remaining, drains.get(key, remaining))
    return drains


def few_cuts(cuts: dict[OpeningKey, timedelta]) -> dict[OpeningKey, timedelta]:
    """The cuts; or cuts of every source, if a firewall cannot hold them all."""
    if len(cuts) <= MOST_CUTS:
        return cuts
    longest = max(cuts.values())
    ports = dict.fromkeys(key.port for key in cuts)
    return {
        OpeningKey(every, port): longest
        for port in ports
        for every in (EVERY_IPV4, EVERY_IPV6)
        if port.at is None or port.at.version == every.version
    }


def _keys(lease: HeldLease, closed_ports: set[PortKey]) -> Iterable[OpeningKey]:
    return (
        OpeningKey(network, port)
        for port in lease.ports
        if port in closed_ports
        for prefix in lease.sources
        for network in prefix.networks
    )
