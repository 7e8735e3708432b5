"""The desired state of one machine: from policies and grants to a driver-neutral rule set. Pure.

The server makes a ``DesiredState`` with *remaining times*, never instants, so that clocks need not
agree. The enforcement point merges it into what it ``held``, and makes a ``RuleSet`` of that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bascule.domain.bindings import InFront, Whereabouts
from bascule.domain.durations import MAXIMUM_DRAIN, MAXIMUM_DURATION
from bascule.domain.grant import Grant, due_at, opening_count, told_size
from bascule.domain.lifecycle import GrantState
from bascule.domain.limits import MAXIMUM_OPENINGS_PER_MACHINE, MAXIMUM_STATE
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import (
    AddressPrefix,
    Network,
    PortKey,
)

STALE_AFTER = 30.0  # seconds between asking and holding; an older answer opens nothing
CUT_FOR = timedelta(minutes=2)  # how long a cut source is looked up (EDGES A24)
LONGEST_CUT = CUT_FOR + timedelta(seconds=STALE_AFTER)  # as told: it may count from before
MOST_CUTS = MAXIMUM_OPENINGS_PER_MACHINE  # elements of one firewall
HEAD_SIZE, KNOWN_PORT_SIZE = (
    1024,
    72,
)  # upper bounds in bytes: a state's head; one closed or released port
LONGEST_DRAIN = MAXIMUM_DURATION + MAXIMUM_DRAIN  # as told: from now until its connections end
SHORTEST = timedelta(milliseconds=1)  # no element is written with less


@dataclass(frozen=True, slots=True)
class Lease:
    """One grant as the server describes it to its enforcement point."""

    grant_id: str
    ports: tuple[PortKey, ...]
    sources: tuple[AddressPrefix, ...]
    remaining: timedelta  # counted from when the point asked
    extension: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """A grant revoked with ``kill``: the connections that it admitted are to be ended."""

    grant_id: str
    ports: tuple[PortKey, ...]
    sources: tuple[AddressPrefix, ...]
    remaining: timedelta


@dataclass(frozen=True, slots=True)
class Drain:
    """A grant whose connections may stay beyond its end: until then no new one is let in by it."""

    grant_id: str
    ports: tuple[PortKey, ...]
    sources: tuple[AddressPrefix, ...]
    remaining: timedelta  # until they are cut; counted from when the point asked
    extension: int = 0


@dataclass(frozen=True, slots=True)
class DesiredState:
    """All that the server wants of one machine, at one generation."""

    machine_uid: str
    generation: int
    closed: frozenset[ClosedPort]
    released: Mapping[
        PortKey, int
    ]  # released ports, with the generation of the release; nothing else opens
    leases: tuple[Lease, ...]
    cuts: tuple[Cut, ...] = ()
    where: Whereabouts | None = None  # None: it is the point's own, or nobody has said where
    drains: tuple[Drain, ...] = ()  # those of leases, and of grants whose time is over
    in_front: InFront | None = None  # of the agent's own machine; None: it cannot be told
    installation: int = 0  # number of the installation that says so; moves of its record raise it


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """One firewall element: this source may reach this port."""

    source: Network
    port: PortKey


@dataclass(frozen=True, slots=True)
class Opening:
    key: OpeningKey
    remaining: timedelta  # at least SHORTEST
    grant_id: str  # of the lease that lasts longest


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Driver-neutral state of one firewall, desired or observed: of its host's own ports, and on a
    gateway of those of the machines behind it (``net.PortBehind``).
    """

    closed: frozenset[ClosedPort] = frozenset()
    openings: Mapping[OpeningKey, Opening] = field(default_factory=dict)
    cuts: Mapping[OpeningKey, timedelta] = field(
        default_factory=dict
    )  # source and port -> remaining
    # Whose connections on a kill port may stay, and until when: no opening, nobody new is let in.
    drains: Mapping[OpeningKey, timedelta] = field(default_factory=dict)


def desired_state(
    machine_uid: str,
    generation: int,
    closed: Iterable[ClosedPort],
    released: Mapping[PortKey, int],
    grants: Iterable[Grant],
    now: datetime,
    cut_grants: Iterable[Grant] = (),
    heard: int = 0,
    drained: Iterable[Grant] = (),
) -> DesiredState:
    """The state for a machine's enforcement point at ``now``.

    ``grants`` may contain any grants of the machine. Only live ones with time left become leases,
    and none that did not open in time: the sweep that withdraws it may run later than this call.

    ``cut_grants`` are grants whose connections are to be ended, at their end or long after it. Each
    cut lasts CUT_FOR from that act, or in full until the point has reported the generation that
    carries it; ``heard`` is the highest reported generation.

    ``drained`` are grants that time ended, whose connections may still stay. To the point a port that
    drains is a ``kill`` port with drains beside its leases: whoever holds none ends them.

    If the clock went back, no lease lasts longer than was granted at most (EDGES A8), than a grant
    can last, or than a cut lasts, because the point would refuse it.
    """
    live = tuple(grants)
    leases = tuple(
        Lease(grant.id, grant.port_keys, grant.sources, remaining, grant.extension)
        for grant in live
        if grant.is_live and grant.machine_uid == machine_uid
        if (remaining := _remaining(grant, now)) >= SHORTEST
    )
    cuts = tuple(
        Cut(grant.id, grant.port_keys, grant.sources, remaining)
        for grant in cut_grants
        if (remaining := _cut_remaining(grant, now, heard)) >= SHORTEST
    )
    given = tuple(closed)
    closed_ports = frozenset(
        ClosedPort(each.port, OnExpiry.KILL) if each.is_drain else each for each in given
    )
    draining = {each.port for each in given if each.is_drain}
    drains = (
        _drain(grant, draining, now)
        for grant in (*live, *drained)
        if grant.machine_uid == machine_uid
    )
    still_closed = {each.port for each in closed_ports}
    let_go = {port: since for port, since in released.items() if port not in still_closed}
    told = told_of_ports(len(closed_ports) + len(let_go))
    told += sum(told_size(lease.ports, lease.sources) for lease in leases)
    bounded = _bounded(cuts, told)
    told += sum(told_size(cut.ports, cut.sources) for cut in bounded)
    staying = _fitting((each for each in drains if each is not None), told)
    return DesiredState(
        machine_uid, generation, closed_ports, let_go, leases, bounded, drains=staying
    )


def told_of_ports(count: int) -> int:
    """Upper bound in bytes of a state with this many closed or released ports, and nothing else."""
    return HEAD_SIZE + KNOWN_PORT_SIZE * count


def _remaining(grant: Grant, now: datetime) -> timedelta:
    if due_at(grant, now) <= now:
        return timedelta(0)
    left = grant.ends_at - max(now, grant.started_at)
    return min(left, grant.max_duration, MAXIMUM_DURATION)


def _cut_remaining(grant: Grant, now: datetime, heard: int) -> timedelta:
    if grant.cut_at is None:
        return timedelta(0)
    return CUT_FOR if grant.generation > heard else min(grant.cut_at + CUT_FOR - now, CUT_FOR)


def _drain(grant: Grant, draining: Collection[PortKey], now: datetime) -> Drain | None:
    """Of one that did not open in time there is none."""
    ports = tuple(port for port in grant.port_keys if port in draining)
    if not ports or grant.drained_at is None or grant.drain_for is None:
        return None
    lease = _remaining(grant, now) if grant.is_live else timedelta(0)
    if lease >= SHORTEST:
        left = lease + grant.drain_for
    elif grant.state is GrantState.OPENING:
        return None
    else:
        left = min(grant.drained_at - now, grant.drain_for)
    if left < SHORTEST:
        return None
    return Drain(grant.id, ports, grant.sources, left, grant.extension)


def _fitting(drains: Iterable[Drain], told: int) -> tuple[Drain, ...]:
    """Those that last longest, as many as a firewall can hold and fit into a state that already has
    ``told`` bytes. Of others the connections end with their lease.
    """
    kept: list[Drain] = []
    room, openings = MAXIMUM_STATE - told, MAXIMUM_OPENINGS_PER_MACHINE
    for drain in sorted(drains, key=lambda each: each.remaining, reverse=True):
        room -= told_size(drain.ports, drain.sources)
        openings -= opening_count(drain.ports, drain.sources)
        if room < 0 or openings < 0:
            break
        kept.append(drain)
    return tuple(kept)


def _bounded(cuts: tuple[Cut, ...], told: int) -> tuple[Cut, ...]:
    """The cuts; or one cut of every source, if a firewall cannot hold them all, or if they do not
    fit into a state that already has ``told`` bytes.
    """
    openings = sum(opening_count(cut.ports, cut.sources) for cut in cuts)
    told += sum(told_size(cut.ports, cut.sources) for cut in cuts)
    if openings <= MOST_CUTS and told <= MAXIMUM_STATE:
        return cuts
    longest = max(cuts, key=lambda cut: cut.remaining)
    ports = dict.fromkeys(port for cut in cuts for port in cut.ports)
    return (replace(longest, ports=tuple(ports), sources=(AddressPrefix(None),)),)
