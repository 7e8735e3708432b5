"""The host's guard: upper limits on what any control plane may open here (ARCHITECTURE rule 9).

A guard limits leases before they are held, and again the leases with which an agent starts,
because root may have changed the guard meanwhile. It can only take away: a lease outside its
limits is dropped whole, and a lease that is too long is shortened. A release opens a port to
everybody without end, so a guard may also reserve releases to the host: the port then stays
closed until root uninstalls the agent. Root's local openings are not limited, because root wrote
the guard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bascule.domain.bounds import Guard, Judge, Objection
from bascule.domain.desired import DesiredState, Held, HeldLease, Lease

WHY = {
    Objection.UNREADABLE: "this host's guard file cannot be used, so it admits nothing",
    Objection.PORT: "its port is not one that this host's guard file admits",
    Objection.SOURCE: "its source is not within what this host's guard file admits",
    Objection.LEASELESS: "the firewall here cannot end an opening by itself, so nothing is opened",
}


@dataclass(frozen=True, slots=True)
class Bounded:
    """A state within the guard."""

    state: DesiredState
    refused: Mapping[str, Objection] = field(default_factory=dict)  # leases left out, by grant id
    notes: tuple[str, ...] = ()  # a sentence for each thing that was refused


def bound(state: DesiredState, guard: Guard, *, ends_leases: bool = True) -> Bounded:
    """The part of a state that the guard allows, and what it refused.

    It refuses all leases if the firewall does not end them by itself.
    """
    leases: list[Lease] = []
    refused: dict[str, Objection] = {}
    judge = _judge(guard, ends_leases=ends_leases)
    for lease in state.leases:
        objection = judge(lease.ports, lease.sources)
        if objection is None:
            leases.append(_cut(lease, guard))
        else:
            refused[lease.grant_id] = objection
    notes = tuple(_note(grant_id, objection) for grant_id, objection in refused.items())
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
    leases: dict[str, HeldLease] = {}
    refused: dict[str, HeldLease] = {}
    notes: list[str] = []
    judge = _judge(guard, ends_leases=ends_leases)
    for grant_id, lease in held.leases.items():
        is_free = lease.is_local and ends_leases
        objection = None if is_free else judge(lease.ports, lease.sources)
        if objection is not None:
            notes.append(_note(grant_id, objection))
            refused[grant_id] = lease
        else:
            leases[grant_id] = _cut_held(lease, guard, now)
    return replace(held, leases=leases, ended={**held.ended, **refused}), tuple(notes)


def _judge(guard: Guard, *, ends_leases: bool) -> Judge:
    return guard.judge() if ends_leases else lambda *_: Objection.LEASELESS


def _note(grant_id: str, objection: Objection) -> str:
    by = "" if objection is Objection.LEASELESS else "guard "
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
