"""The host's guard: upper limits on what any control plane may open here (ARCHITECTURE rule 9).

A guard limits leases before they are held, and again the leases with which an agent starts,
because root may have changed the guard meanwhile. It can only take away: a lease outside its
limits is dropped whole, and a lease that is too long is shortened. A release opens a port to
everybody without end, so a guard may also reserve releases to the host: the port then stays
closed until root uninstalls the agent. Root's local openings are not limited, because root wrote
the guard.

Of a machine behind a gateway nothing is opened unless the guard names its network, by root neither.
Where a public port
stands for a port of the machine, nothing is opened unless that is one of the guard's, and free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from bascule.domain.bindings import Whereabouts
from bascule.domain.bounds import Guard, Judge, Objection
from bascule.domain.desired import DesiredState, Drain, Lease
from bascule.domain.held import Held, HeldBehind, HeldLease
from bascule.domain.net import AddressPrefix, PortKey, PortMapped, PublicPorts
from bascule.domain.weaknesses import (
    GUARD_REFUSES_NETWORK,
    GUARD_REFUSES_PORT,
    GUARD_REFUSES_PUBLIC_PORT,
    GUARD_REFUSES_SOURCE,
    PUBLIC_PORT_TAKEN,
)

WHY = {
    Objection.UNREADABLE: "this host's guard file cannot be used, so it admits nothing",
    Objection.PORT: "its port is not one that this host's guard file admits",
    Objection.SOURCE: "its source is not within what this host's guard file admits",
    Objection.NETWORK: "its machine is in no network that this gateway's guard file names",
    Objection.MAPPED: "its public port is not one that this gateway's guard file gives",
    Objection.TAKEN: "something else at this gateway has its public port",
    Objection.LEASELESS: "the firewall here cannot end an opening by itself, so nothing is opened",
    Objection.PAST: "answers from here to its source go past the gateways, so it cannot work",
    Objection.NOWHERE: "this host has no route to its source, so it cannot work",
}
REFUSING = {  # what is told of a host that has refused something so
    Objection.PORT: GUARD_REFUSES_PORT,
    Objection.SOURCE: GUARD_REFUSES_SOURCE,
    Objection.NETWORK: GUARD_REFUSES_NETWORK,
    Objection.MAPPED: GUARD_REFUSES_PUBLIC_PORT,
    Objection.TAKEN: PUBLIC_PORT_TAKEN,
}
_NOT_ITS_OWN = (Objection.LEASELESS, Objection.TAKEN, Objection.PAST, Objection.NOWHERE)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A state within the guard."""

    state: DesiredState
    refused: Mapping[str, Objection] = field(default_factory=dict)  # leases left out, by grant id
    notes: tuple[str, ...] = ()  # a sentence for each thing that was refused


def bound(
    state: DesiredState,
    guard: Guard,
    unanswered: Mapping[str, Objection] = MappingProxyType({}),
    *,
    ends_leases: bool = True,
) -> Bounded:
    """The part of a state that the guard allows, and what it refused.

    It refuses all leases if the firewall does not end them by itself. ``unanswered`` are leases whose
    clients would get no answer, with the reason.
    """
    return _bound(state, guard, _judge(guard, ends_leases=ends_leases), unanswered)


def bound_behind(
    state: DesiredState,
    guard: Guard,
    where: Whereabouts,
    taken: Collection[PortMapped],
    *,
    ends_leases: bool = True,
) -> Bounded:
    """``bound``, of a machine behind a gateway, which is at ``where``. ``taken`` are public ports that
    something else at the gateway has.
    """
    judge = _judge_behind(_judge(guard, ends_leases=ends_leases), guard, where, taken)
    bounded = _bound(state, guard, judge)
    told = bounded.state.where
    if told is None:
        return bounded
    kept = replace(told, mapped=_free(told.mapped, guard, taken))
    return replace(bounded, state=replace(bounded.state, where=kept))


def _bound(
    state: DesiredState,
    guard: Guard,
    judge: Judge,
    unanswered: Mapping[str, Objection] = MappingProxyType({}),
) -> Bounded:
    leases: list[Lease] = []
    refused: dict[str, Objection] = {}
    for lease in state.leases:
        objection = judge(lease.ports, lease.sources) or unanswered.get(lease.grant_id)
        if objection is None:
            leases.append(_cut(lease, guard))
        else:
            refused[lease.grant_id] = objection
    notes = tuple(_note(grant_id, objection) for grant_id, objection in refused.items())
    admitted = [each for each in state.drains if each.grant_id not in refused]
    state = replace(state, drains=tuple(_drains(admitted, state.leases, leases, guard, judge)))
    where = state.where
    let_go = [*sorted(state.released), *(sorted(where.released, key=str) if where else ())]
    if guard.may_release or not let_go:
        return Bounded(replace(state, leases=tuple(leases)), refused, notes)
    named = ", ".join(map(str, let_go))
    kept = f"guard refused to release {named}: only this host's root may"
    stays = None if where is None else replace(where, released={})
    bounded = replace(state, leases=tuple(leases), released={}, where=stays)
    return Bounded(bounded, refused, (*notes, kept))


def bound_held(
    held: Held, guard: Guard, now: float, *, ends_leases: bool = True
) -> tuple[Held, tuple[str, ...]]:
    """The part of the held state that the guard allows, and a sentence for each ended lease.

    ``now`` is seconds of CLOCK_BOOTTIME. Ended leases are remembered like others, so that a wider
    guard later restores nothing.
    """
    judge = _judge(guard, ends_leases=ends_leases)
    return _bound_held(held, guard, judge, now, ends_leases=ends_leases)


def bound_place(
    place: HeldBehind, guard: Guard, now: float, *, ends_leases: bool = True
) -> tuple[HeldBehind, tuple[str, ...]]:
    """``bound_held``, of a machine behind a gateway."""
    where = Whereabouts(place.addresses, mapped=place.mapped)
    judge = _judge_behind(_judge(guard, ends_leases=ends_leases), guard, where, ())
    beyond = {
        key: each
        for key, each in place.held.leases.items()
        if each.is_local and guard.objection_behind(each.at, ()) is not None
    }
    leases = {key: each for key, each in place.held.leases.items() if key not in beyond}
    held, notes = _bound_held(
        replace(place.held, leases=leases), guard, judge, now, ends_leases=ends_leases
    )
    notes = (*notes, *(_note(key, Objection.NETWORK) for key in beyond))
    return replace(place, held=held, mapped=_free(place.mapped, guard, ())), notes


def _bound_held(
    held: Held, guard: Guard, judge: Judge, now: float, *, ends_leases: bool
) -> tuple[Held, tuple[str, ...]]:
    leases: dict[str, HeldLease] = {}
    refused: dict[str, HeldLease] = {}
    notes: list[str] = []
    for grant_id, lease in held.leases.items():
        is_free = lease.is_local and ends_leases
        objection = None if is_free else judge(lease.ports, lease.sources)
        if objection is not None:
            notes.append(_note(grant_id, objection))
            refused[grant_id] = lease
        else:
            leases[grant_id] = _cut_held(lease, guard, now)
    drains = {
        key: _cut_drain(each, leases.get(key), held.leases.get(key), guard, now)
        for key, each in held.drains.items()
        if key not in refused and judge(each.ports, each.sources) is None
    }
    ended = {**held.ended, **refused}
    return replace(held, leases=leases, ended=ended, drains=drains), tuple(notes)


def _judge(guard: Guard, *, ends_leases: bool) -> Judge:
    return guard.judge() if ends_leases else lambda *_: Objection.LEASELESS


def _judge_behind(
    judge: Judge, guard: Guard, where: Whereabouts, taken: Collection[PortMapped]
) -> Judge:
    def objection(ports: Iterable[PortKey], sources: Iterable[AddressPrefix]) -> Objection | None:
        own = tuple(ports)
        through = [(port, each) for port in own for each in where.mapped.get(port, ())]
        found = judge(own, sources)
        found = found or guard.objection_behind(where.addresses, [each for _, each in through])
        if found is None and any(port.mapped(each) in taken for port, each in through):
            return Objection.TAKEN
        return found

    return objection


def _free(mapped: PublicPorts, guard: Guard, taken: Collection[PortMapped]) -> PublicPorts:
    """The public ports that the guard gives, and that nothing else has."""
    return {
        own: tuple(
            each
            for each in through
            if guard.objection_behind((), [each]) is None and own.mapped(each) not in taken
        )
        for own, through in mapped.items()
    }


def _note(grant_id: str, objection: Objection) -> str:
    by = "" if objection in _NOT_ITS_OWN else "guard "
    return f"{by}refused grant {grant_id}: {WHY[objection]}"


def _cut(lease: Lease, guard: Guard) -> Lease:
    if guard.max_duration is None or lease.remaining <= guard.max_duration:
        return lease
    return replace(lease, remaining=guard.max_duration)


def _cut_held(lease: HeldLease, guard: Guard, now: float) -> HeldLease:
    if guard.max_duration is None or lease.is_local:
        return lease
    latest = now + guard.max_duration.total_seconds()
    return replace(lease, deadline=min(lease.deadline, latest))


def _drains(
    drains: Iterable[Drain],
    told: Iterable[Lease],
    bounded: Iterable[Lease],
    guard: Guard,
    judge: Judge,
) -> Iterable[Drain]:
    """Those that it admits, each for as long as it was told beyond the end that the lease has here,
    and no longer than ``max_drain``.
    """
    end = {lease.grant_id: lease.remaining for lease in told}
    end_here = {lease.grant_id: lease.remaining for lease in bounded}
    for drain in drains:
        if judge(drain.ports, drain.sources) is None:
            begins = end_here.get(drain.grant_id, timedelta(0))
            length = drain.remaining - end.get(drain.grant_id, timedelta(0))
            yield replace(drain, remaining=begins + _at_most(length, guard))


def _cut_drain(
    drain: HeldLease, lease: HeldLease | None, before: HeldLease | None, guard: Guard, now: float
) -> HeldLease:
    """``lease`` is its lease as bounded, and ``before`` as it was; None: it is over."""
    begins, end = (
        now if lease is None else lease.deadline,
        now if before is None else before.deadline,
    )
    length = _at_most(timedelta(seconds=drain.deadline - end), guard)
    return replace(drain, deadline=begins + length.total_seconds())


def _at_most(length: timedelta, guard: Guard) -> timedelta:
    return length if guard.max_drain is None else min(length, guard.max_drain)
