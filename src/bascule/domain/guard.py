"""The host's last word: what any control plane may open here at the most (ARCHITECTURE rule 9).

A guard bounds leases before they are held, and again those that an agent begins with, since
root may have written another guard meanwhile. It can only take away: what it does not admit
is dropped whole, and a lease that would last too long is cut. A release opens a port to
everybody for ever, so a guard may keep releases to the host too: the port then stays shut
until root takes the agent off. Local openings by root are not bounded, root wrote the guard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from bascule.domain.desired import DesiredState, Held, HeldLease, Lease
from bascule.domain.net import AddressPrefix, PortKey, is_within


@dataclass(frozen=True, slots=True)
class Guard:
    """Bounds of one host; None bounds nothing, an empty tuple admits nothing."""

    ports: tuple[PortKey, ...] | None = None
    sources: tuple[AddressPrefix, ...] | None = None
    max_duration: timedelta | None = None  # of a lease, from when it is told
    may_release: bool = True  # may a server let a closed port go?


def bound(state: DesiredState, guard: Guard) -> tuple[DesiredState, tuple[str, ...]]:
    """The state within the guard, and a sentence for each thing that it changed."""
    leases: list[Lease] = []
    notes: list[str] = []
    for lease in state.leases:
        refusal = _refusal(lease, guard)
        if refusal:
            notes.append(f"guard refused grant {lease.grant_id}: {refusal}")
            continue
        leases.append(_cut(lease, guard))
    if guard.may_release or not state.released:
        return replace(state, leases=tuple(leases)), tuple(notes)
    named = ", ".join(str(port) for port in sorted(state.released))
    notes.append(f"guard refused to release {named}: only this host's root may")
    return replace(state, leases=tuple(leases), released={}), tuple(notes)


def bound_held(held: Held, guard: Guard, now: float) -> tuple[Held, tuple[str, ...]]:
    """What is held within the guard, and a sentence for each lease that it ended.

    ``now`` is seconds of CLOCK_BOOTTIME. A lease that is ended is remembered as others are, so
    that a wider guard gives nothing back.
    """
    leases: dict[str, HeldLease] = {}
    refused: dict[str, HeldLease] = {}
    notes: list[str] = []
    for grant_id, lease in held.leases.items():
        refusal = "" if lease.is_local else _refusal(lease, guard)
        if refusal:
            notes.append(f"guard refused grant {grant_id}: {refusal}")
            refused[grant_id] = lease
        else:
            leases[grant_id] = _cut_held(lease, guard, now)
    return replace(held, leases=leases, ended={**held.ended, **refused}), tuple(notes)


def _refusal(lease: Lease | HeldLease, guard: Guard) -> str:
    if guard.ports is not None and not set(lease.ports) <= set(guard.ports):
        return "its port is not one that this host's guard file admits"
    if guard.sources is not None and not is_within(lease.sources, guard.sources):
        return "its source is not within what this host's guard file admits"
    return ""


def _cut(lease: Lease, guard: Guard) -> Lease:
    if guard.max_duration is None or lease.remaining <= guard.max_duration:
        return lease
    return replace(lease, remaining=guard.max_duration)


def _cut_held(lease: HeldLease, guard: Guard, now: float) -> HeldLease:
    if guard.max_duration is None or lease.is_local:
        return lease
    latest = now + guard.max_duration.total_seconds()
    return replace(lease, deadline=min(lease.deadline, latest))
