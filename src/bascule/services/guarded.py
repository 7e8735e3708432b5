"""A machine as one of the points that guard it has it, and what that point has read back there.

A machine's own agent alone guards nearly every machine; it has no binding then. What is not here:
which points guard a machine (``bindings``), and what a report settles (``settling``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from bascule.domain.bindings import Binding, Seen, Whereabouts
from bascule.domain.ids import ResourceId
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.shadows import enforces_nothing
from bascule.errors import AuthenticationFailed, Forbidden
from bascule.interfaces.closed_ports import GenerationReads
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import HeldRules, PlanWrites
from bascule.interfaces.points import (
    AgentReads,
    BindingReads,
    OwnPoint,
    PointStanding,
    PointWrites,
)
from bascule.interfaces.settling import Settling, SettlingReads
from bascule.protocol.report import Report
from bascule.services.act import Act
from bascule.services.known_machine import known_machine
from bascule.services.observed import remember_held


class GuardedReads(AgentReads, BindingReads, GenerationReads, MachineReads, Protocol):
    """A point and the machines that it guards."""


class SettledReads(GuardedReads, SettlingReads, Protocol):
    """The same, and what its report settles."""


class PointsAtReads(GuardedReads, Protocol):
    """What guards a machine, and how far it is to come."""


class StandWrites(GrantReads, PointWrites, Protocol):
    """A point, and the grants that it may have in force."""


P = TypeVar("P", EnforcementPoint, PointStanding)

CONTACT_GRAIN = timedelta(seconds=5)  # last contact is written no more often than this


@dataclass(frozen=True, slots=True)
class Guarded:
    """A machine that a point guards."""

    machine: Machine
    agent: EnforcementPoint  # by itself
    here: EnforcementPoint  # as this machine has it
    bound: Sequence[Binding]  # all of the machine; empty where its own agent alone guards it
    generation: int  # that the machine is to come to
    is_own: bool = True  # the machine is the one that the agent was enrolled for
    is_alone: bool = False  # ``OwnPoint.is_alone``
    held: HeldRules | None = None  # of its own machine; of another it is not read
    settling: Settling | None = None  # of its own machine, for a report

    @property
    def where(self) -> Whereabouts | None:
        """Where the point forwards to the machine, as its binding says."""
        here = self.binding
        return None if here is None else here.where

    @property
    def binding(self) -> Binding | None:
        """None where the machine's own agent alone guards it."""
        point_uid = self.agent.machine_uid
        return next((each for each in self.bound if each.point_uid == point_uid), None)

    @property
    def counts_connections(self) -> bool:
        """Another host's point does not see the connections that other points let through."""
        return len(self.bound) < 2 or self.is_own


def require_key(point: P | None, public_key: str) -> P:
    """The point. Raises AuthenticationFailed when that is not its key any more."""
    if point is None or point.public_key != public_key:
        raise AuthenticationFailed(
            "This agent's key is not valid any more: its machine was removed or enrolled again.",
            code="AgentKeyRefused",
            advice="To enrol the agent again: bascule machine enrol NAME --replace.",
        )
    return point


def guarded(
    tx: GuardedReads, point_uid: str, machine_uid: str, public_key: str | None = None
) -> Guarded | None:
    """None when the point, or its own machine, is not known any more.

    ``public_key``: the key that the point must still have, which is checked before anything else;
    None: whoever calls has checked it in this unit of work.

    Raises AuthenticationFailed as ``require_key``, and Forbidden for another machine that the point
    does not guard.
    """
    return _guarded(tx, tx.own_point(point_uid), point_uid, machine_uid, public_key)


def reported(
    tx: SettledReads, point_uid: str, machine_uid: str, public_key: str | None
) -> Guarded | None:
    """``guarded``, with what a report settles where it is of the point's own machine."""
    if machine_uid != point_uid:
        return guarded(tx, point_uid, machine_uid, public_key)
    settling = tx.settling(point_uid)
    own = None if settling is None else settling.own
    known = _guarded(tx, own, point_uid, machine_uid, public_key)
    return None if known is None else replace(known, settling=settling)


def _guarded(
    tx: GuardedReads,
    own: OwnPoint | None,
    point_uid: str,
    machine_uid: str,
    public_key: str | None,
) -> Guarded | None:
    if public_key is not None:
        require_key(None if own is None else own.agent, public_key)
    if own is None:
        return None
    if machine_uid == point_uid:  # nearly always
        bound = tx.bindings_of(machine_uid) if own.is_bound else ()
        here = next((each for each in bound if each.point_uid == point_uid), None)
        agent = own.agent
        at = agent if here is None else here.at(agent)
        return Guarded(
            own.machine, agent, at, bound, own.generation, is_alone=own.is_alone, held=own.held
        )
    machine, bound = tx.machine_by_uid(machine_uid), tx.bindings_of(machine_uid)
    here = next((each for each in bound if each.point_uid == point_uid), None)
    if machine is None or here is None:
        raise Forbidden(
            "This enforcement point does not guard that machine.",
            code="NotBound",
            advice="An owner of the machine binds it to the point.",
        )
    number = tx.generation(machine_uid)
    return Guarded(machine, own.agent, here.at(own.agent), bound, number, is_own=False)


def points_at(
    reader: PointsAtReads, machine_id: ResourceId
) -> list[tuple[Binding, EnforcementPoint, int, Machine]]:
    """Each point that guards a machine: its binding, it as the machine has it, the generation that it
    is to hold, and the machine whose agent it is. Raises NotFound.
    """
    machine = known_machine(reader, machine_id)
    number = reader.generation(machine.uid)
    bound = reader.bindings_of(machine.uid) or [
        Binding(machine.uid, machine.uid, machine.created_at)
    ]
    points = ((each, reader.agent_of(each.point_uid)) for each in bound)
    known = reader.machines_of([each.point_uid for each in bound])
    return [
        (each, each.at(at), number, known[each.point_uid]) for each, at in points if at is not None
    ]


def newest_contact(act: Act, before: datetime | None) -> datetime | None:
    """The later of the last contact and this one. One that lies ahead of now, because the clock
    went back, does not count.
    """
    if before is None or before > act.now:
        return act.heard_at
    return before if act.heard_at is None else max(before, act.heard_at)


def is_contact_due(act: Act, before: datetime | None) -> bool:
    """Is the last contact to be written anew? No more often than CONTACT_GRAIN."""
    newest = newest_contact(act, before)
    if newest is None or before is None or before > act.now:
        return newest is not before
    return newest - before >= CONTACT_GRAIN


def stand(
    tx: StandWrites, act: Act, point_uid: str, bound: Sequence[Binding], report: Report
) -> Seen:
    """What all points of a machine have read back, now that this one has reported.

    A point that can enforce nothing, by its generation 0 or its words, stands for nothing until it
    can again. Ids that name no grant of the machine are not kept: a point makes them up as it likes.
    """
    if not bound:
        alone = Binding(point_uid, point_uid, act.now)
        return Seen([alone.after(report.generation, report.in_force, report.closed, act.now)])
    generation = 0 if enforces_nothing(report.weaknesses) else report.generation
    machine_uid = bound[0].machine_uid
    in_force = report.in_force & {each.id for each in tx.unsettled_grants(machine_uid)}
    standing = []
    for each in bound:
        if each.point_uid != point_uid:
            standing.append(each)
            continue
        told = each.after(generation, in_force, report.closed, act.now, report.answered_by)
        now = replace(told, reported_at=newest_contact(act, each.reported_at))
        if (
            is_contact_due(act, each.reported_at)
            or replace(now, reported_at=each.reported_at) != each
        ):
            tx.put_binding(now)
        standing.append(now)
    return Seen(standing)


def remember(
    tx: PlanWrites, act: Act, known: Guarded, report: Report, found: Seen
) -> HeldRules | None:
    """Keep what was read back: closed by all points, and opened by root at this one. None when it is
    as it was kept.
    """
    if not report.generation:
        return None
    machine_uid = known.machine.uid
    told = replace(report, closed=found.closed)
    if known.is_own:
        return remember_held(tx, act, machine_uid, told, known.held)
    before = tx.held_rules([machine_uid]).get(machine_uid)
    return remember_held(tx, act, machine_uid, told, before, known.agent.machine_uid)
