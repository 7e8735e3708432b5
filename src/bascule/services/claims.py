"""Ports that a machine's agent reports closed and that the server did not close (EDGES E7).

Its word alone makes them *claimed closed*: listed, and no more. The host keeps them closed as it
did; the server tells no agent of them, since whoever holds an agent's key could have any port of
its host closed by saying so. An owner takes one, which closes it here too, or releases it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from bascule.domain.machine import ClosedPort, Machine
from bascule.domain.net import PortKey
from bascule.interfaces.closed_ports import ClosedPortReads, ClosedPortWrites, ToldPortReads
from bascule.interfaces.plans import PlanReads


class ClaimReads(ClosedPortReads, PlanReads, Protocol):
    """Closed ports, and those that a point holds of its own."""


class ClaimWrites(ClosedPortWrites, PlanReads, Protocol):
    """The same, to take them in."""


MOST_NAMED = 20  # ports in one sentence


def claimed_ports(reader: ClaimReads, machine_uid: str) -> frozenset[ClosedPort]:
    """What its point was last read back to keep closed, beyond what is closed here, and beyond
    what was released and that report did not know of yet.
    """
    held = reader.held_rules([machine_uid]).get(machine_uid)
    if held is None:
        return frozenset()
    return _claimed(reader, machine_uid, held.closed, held.generation)


def _claimed(
    reader: ToldPortReads, machine_uid: str, reported: Iterable[ClosedPort], generation: int
) -> frozenset[ClosedPort]:
    closed, released = reader.told_ports(machine_uid)
    known = {each.port for each in closed}
    return frozenset(
        each
        for each in reported
        if each.port not in known and released.get(each.port, 0) <= generation
    )


def take_in_claims(
    tx: ClaimWrites,
    machine: Machine,
    reported: Collection[ClosedPort],
    generation: int,
    told: Collection[ClosedPort] | None = None,
) -> tuple[str, ...]:
    """Void the releases that a report's claims are newer than; what of them is new, as a note.

    ``told`` is what this point told last; None: it guards the machine alone.
    A release of before would open the port at an agent that lost its memory (EDGES A8).
    """
    claims = _claimed(tx, machine.uid, reported, generation)
    if not claims:
        return ()
    before = {each.port for each in (claimed_ports(tx, machine.uid) if told is None else told)}
    tx.forget_releases(machine.uid, [each.port for each in claims])
    new = sorted(each.port for each in claims if each.port not in before)
    if not new:
        return ()
    more = f" and {len(new) - MOST_NAMED} more" if len(new) > MOST_NAMED else ""
    return (f"keeps {_words(new[:MOST_NAMED])}{more} closed, which was never closed here: claimed",)


def _words(ports: Iterable[PortKey]) -> str:
    return ", ".join(map(str, ports))
