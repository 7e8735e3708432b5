"""A change of the CA: which agents have taken it, and the event of each step (EDGES I5, ADR 34)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bascule.domain.facts.installation import CaRotated
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import AgentReads, PointReads
from bascule.interfaces.record import EventFilter, EventWrites
from bascule.interfaces.trusting import TrustingReads, TrustingWrites
from bascule.services.act import IN_PROCESS_KEY, Act


class ProgressReads(PointReads, MachineReads, TrustingReads, Protocol):
    """Agents, their machines, and what they trust."""


class TakeWrites(AgentReads, TrustingWrites, Protocol):
    """An agent, and what it trusts."""


@dataclass(frozen=True, slots=True)
class Mover:
    """An agent, and whether it trusts what it was told to."""

    machine: str  # name; of a machine that is gone: its uid
    machine_uid: str
    number: int  # of the newest change that it took; 0: none. A higher one is of an older backup's future
    has_moved: bool


def progress(reader: ProgressReads, number: int) -> Sequence[Mover]:
    """All agents, each with what it has taken of the change ``number``. The point in the server's own
    process needs no CA and is left out.
    """
    taken = reader.trusting()
    found = []
    for point in reader.enforcement_points():
        if point.public_key == IN_PROCESS_KEY:
            continue
        uid = point.machine_uid
        machine = reader.machine_by_uid(uid)
        has = taken.get((uid, point.public_key), 0)
        found.append(Mover(uid if machine is None else machine.id.name, uid, has, has == number))
    return found


def note_taken(tx: TakeWrites, point_uid: str, public_key: str, number: int) -> None:
    """An agent said that it trusts what change ``number`` says. A key that was replaced says nothing."""
    agent = tx.agent_of(point_uid)
    if agent is None or agent.public_key != public_key:
        return
    if tx.trusting_of(point_uid) != (public_key, number):
        tx.put_trusting(point_uid, public_key, number)


def note_reported(tx: TakeWrites, point_uid: str, number: int) -> None:
    """The same, with a report of an agent whose key was proved in this transaction."""
    agent = tx.agent_of(point_uid)
    if agent is not None:
        note_taken(tx, point_uid, agent.public_key, number)


def note_step(tx: EventWrites, act: Act, step: CaRotated) -> None:
    """Record a step, unless the newest that is recorded is the same: whoever finds it first records it."""
    newest = tx.events(EventFilter(kinds=(CaRotated.__name__,)), limit=1)
    if not any(event.fact == step for _, event in newest):
        act.record(tx, step)
