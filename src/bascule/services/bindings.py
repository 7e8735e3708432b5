"""Binding machines to points beside their own agent's (EDGES F3).

Only an owner binds: whoever may make enrolment tokens for the machine and change it. To say at which
address a gateway reaches the machine takes the right to change the gateway too: what is closed there is
closed, and what opens there is opened, to an address that may be somebody else's. A point's own
credential binds nothing. What is bound or unbound ends the machine's live grants in that commit,
since a grant is open only where all of its points have opened it, and nobody asked these points.
So does a change from series to parallel, or back.
Nothing is released: closed ports stay closed, at the points that stay and at the one that goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from bascule.domain.access import Subject
from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_WRITE
from bascule.domain.bindings import MOST_BEHIND, MOST_FORMER, Binding, Seen, Whereabouts
from bascule.domain.facts.enrolments import (
    AddressReleased,
    MachineBound,
    MachinePlaced,
    MachineUnbound,
    PointArranged,
)
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.net import Address
from bascule.domain.scopes import resource_scope
from bascule.domain.weaknesses import enforces_nothing
from bascule.errors import AuthenticationFailed, Conflict, Forbidden, InvalidInput, NotFound
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
from bascule.interfaces.public_ports import PublicPortWrites
from bascule.interfaces.record import EventWrites
from bascule.interfaces.settling import Settling, SettlingReads
from bascule.protocol.report import Report
from bascule.sentences import sentence
from bascule.services import public_ports
from bascule.services.act import IN_PROCESS_KEY, Act
from bascule.services.grants import GrantEndWrites, end_grants, touch
from bascule.services.known_machine import known_machine
from bascule.services.observed import remember_held
from bascule.services.rights import Needed, RightsReads, check
from bascule.services.timeline import FollowWrites, follow


class BindingActWrites(
    FollowWrites,
    GrantEndWrites,
    MachineReads,
    PlanWrites,
    PointWrites,
    PublicPortWrites,
    RightsReads,
    Protocol,
):
    """Bindings, the rights at their machines, and what ends with them."""


class OwnedReads(EventWrites, MachineReads, RightsReads, Protocol):
    """A machine, and the rights at it."""


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


def bind(
    tx: BindingActWrites,
    act: Act,
    subject: Subject,
    machine_id: ResourceId,
    point_uid: str,
    addresses: Sequence[Address] | None = None,
    *,
    is_parallel: bool | None = None,
) -> bool:
    """Have a point guard a machine beside what guards it already; False when it did.

    ``addresses`` are those to which the point forwards; None: they stay as they are. Others end the
    machine's live grants; what is closed at the former ones stays closed (EDGES G2).
    ``is_parallel``: it is an alternative to the other gateways that are bound so (EDGES G3); None: as
    it is, and in series when it is bound. A change ends the machine's live grants.

    Raises Forbidden (to say an address takes the right to change the gateway), NotFound, InvalidInput,
    and Conflict for a machine's own agent, which enrolment binds, and for an address of another machine
    at that point.
    """
    machine = check_owned(tx, act, subject, machine_id)
    if point_uid == machine.uid:
        raise Conflict(
            f"The agent of {machine.id.name} is bound by its enrolment.",
            code="BoundByEnrolment",
            advice=f"Enrol it: bascule machine enrol {machine.id.name}.",
        )
    point, gateway = tx.agent_of(point_uid), tx.machine_by_uid(point_uid)
    if point is None or gateway is None:
        raise NotFound(f"Enforcement point {point_uid[:64]!r} does not exist.")
    if addresses:
        at_gateway = Needed(MACHINE_WRITE, resource_scope(gateway.id), "addresses")
        check(tx, subject, act.now, [at_gateway])
    bound = tx.bindings_of(machine.uid)
    here = next((each for each in bound if each.point_uid == point_uid), None)
    if addresses is not None:
        _check_addresses(tx, machine.uid, point_uid, addresses)
    if here is not None:
        if addresses is not None and tuple(addresses) != here.addresses:
            here = here.placed(tuple(addresses))
            _place(tx, act, machine, here)
        if is_parallel is not None and is_parallel != here.is_parallel:
            _arrange(tx, act, machine, replace(here, is_parallel=is_parallel))
        return False
    _check_room(tx, point)
    if not bound and tx.agent_of(machine.uid) is not None:
        tx.put_binding(Binding(machine.uid, machine.uid, act.now))
    made = Binding(
        machine.uid,
        point_uid,
        act.now,
        addresses=tuple(addresses or ()),
        is_parallel=is_parallel or False,
    )
    tx.put_binding(made)
    _end(tx, act, machine, f"a further enforcement point of {machine.id}")
    touch(tx, act, machine.uid)
    touch(tx, act, point_uid)  # whose line learns of it, at other processes too
    follow(tx, act, machine)
    act.record(tx, MachineBound(str(machine.id), machine.uid, point_uid), machine.id)
    if addresses:
        act.record(tx, _placed(machine, point_uid, addresses), machine.id)
    if made.is_parallel:
        act.record(tx, _arranged(machine, made), machine.id)
    return True


def _check_room(tx: BindingReads, point: EnforcementPoint) -> None:
    """Raise Conflict for a point that can guard no further machine."""
    if point.public_key == IN_PROCESS_KEY:
        raise Conflict(
            "The server itself guards the host of that enforcement point (serve --this-host), and "
            "guards no other machine.",
            code="GuardedByServer",
            advice="Run an agent on the gateway: bascule machine enrol NAME.",
        )
    if len(tx.bound_to(point.machine_uid)) >= MOST_BEHIND:
        raise Conflict(
            sentence(
                "An enforcement point guards at most {most} other machines.", most=MOST_BEHIND
            ),
            code="TooManyMachines",
            advice="Unbind machines from it, or use another gateway.",
        )


def unbind(
    tx: BindingActWrites, act: Act, subject: Subject, machine_id: ResourceId, point_uid: str
) -> bool:
    """Have a point guard a machine no longer; False when it does not. It may go on keeping ports
    closed, by what it holds. Raises Forbidden, NotFound.
    """
    machine = check_owned(tx, act, subject, machine_id)
    if point_uid == machine.uid:
        raise Conflict(
            f"The agent of {machine.id.name} is bound by its enrolment.",
            code="BoundByEnrolment",
            advice="To refuse its key from now on, delete that enforcement point.",
        )
    if all(each.point_uid != point_uid for each in tx.bindings_of(machine.uid)):
        return False
    _unbind(tx, act, machine, point_uid)
    return True


def release_addresses(
    tx: BindingActWrites,
    act: Act,
    subject: Subject,
    machine_id: ResourceId,
    point_uid: str,
    addresses: Sequence[Address],
) -> Sequence[Address]:
    """Have the point close nothing any more at addresses where the machine was; empty: at all that are
    known. Returns those that are released now. One that is named may be of before an unbinding, of
    which the point alone knows. What is closed where the machine is, stays closed.

    Raises Forbidden, NotFound, and Conflict for an address where a machine is.
    """
    machine = check_owned(tx, act, subject, machine_id)
    bound = tx.bindings_of(machine.uid)
    here = next((each for each in bound if each.point_uid == point_uid), None)
    if here is None:
        raise NotFound(
            sentence("{name} is not bound to that enforcement point.", name=machine.id.name)
        )
    current = {each for other in tx.bound_to(point_uid) for each in other.addresses}
    for each in addresses:
        if each in current:
            raise Conflict(
                sentence(
                    "{address} is a machine’s address at this enforcement point, not a former one.",
                    address=each,
                ),
                code="AddressTaken",
                advice="To open its ports: bascule machine release NAME.",
            )
    let_go = sorted({*addresses} or here.former, key=str)
    if let_go:
        generation = touch(tx, act, machine.uid)
        tx.put_binding(here.let_go(let_go, generation))
        act.touched.add(point_uid)
        for each in let_go:
            fact = AddressReleased(str(machine.id), machine.uid, point_uid, str(each))
            act.record(tx, fact, machine.id)
    return let_go


def _placed(machine: Machine, point_uid: str, addresses: Sequence[Address]) -> MachinePlaced:
    told = ", ".join(map(str, addresses)) or "none"
    return MachinePlaced(str(machine.id), machine.uid, point_uid, told)


def _place(tx: BindingActWrites, act: Act, machine: Machine, there: Binding) -> None:
    """Have the point forward to other addresses from now on."""
    if len(there.former) > MOST_FORMER:
        raise Conflict(
            sentence(
                "{name} has been at {most} other addresses there. Ports at those are kept closed.",
                name=machine.id.name,
                most=MOST_FORMER,
            ),
            code="TooManyAddresses",
            advice="Unbind it from that point and bind it again, or use a former address.",
        )
    _end(tx, act, machine, f"another address of {machine.id} behind an enforcement point")
    tx.put_binding(there)
    public_ports.leave(tx, act, machine, there.point_uid)
    touch(tx, act, machine.uid)
    follow(tx, act, machine)
    act.touched.add(there.point_uid)
    act.record(tx, _placed(machine, there.point_uid, there.addresses), machine.id)


def _arrange(tx: BindingActWrites, act: Act, machine: Machine, there: Binding) -> None:
    """Have the point stand in parallel, or in series, from now on."""
    _end(tx, act, machine, f"another order of the enforcement points of {machine.id}")
    tx.put_binding(there)
    touch(tx, act, machine.uid)
    follow(tx, act, machine)
    act.record(tx, _arranged(machine, there), machine.id)


def _arranged(machine: Machine, there: Binding) -> PointArranged:
    return PointArranged(str(machine.id), machine.uid, there.point_uid, there.is_parallel)


def _check_addresses(
    tx: BindingReads, machine_uid: str, point_uid: str, addresses: Sequence[Address]
) -> None:
    """Raise InvalidInput or Conflict for what no point can forward to for this machine alone."""
    if len({each.version for each in addresses}) != len(addresses):
        raise InvalidInput(
            "A machine has at most one IPv4 and one IPv6 address at a gateway.",
            code="InvalidAddress",
            target="addresses",
        )
    for each in addresses:
        if each.is_loopback or each.is_multicast or each.is_unspecified or each.is_link_local:
            raise InvalidInput(
                sentence("No gateway forwards to {address}.", address=each),
                code="InvalidAddress",
                target="addresses",
            )
    taken = {
        address
        for other in tx.bound_to(point_uid)
        if other.machine_uid != machine_uid
        for address in other.addresses
    }
    for each in addresses:
        if each in taken:
            raise Conflict(
                sentence(
                    "{address} is another machine’s address at this enforcement point.",
                    address=each,
                ),
                code="AddressTaken",
                advice="Each machine behind a gateway has an address of its own there.",
            )


def bind_anew(tx: PointWrites, act: Act, machine: Machine) -> None:
    """A new agent takes the place of a machine's own: it has read back nothing, here or elsewhere."""
    if tx.bindings_of(machine.uid):
        tx.put_binding(Binding(machine.uid, machine.uid, act.now))
    for each in tx.bound_to(machine.uid):
        tx.put_binding(each.anew(act.now))
        act.touched.add(each.machine_uid)  # streams of the key before end


def lose_point(tx: BindingActWrites, act: Act, point_uid: str) -> None:
    """Unbind every machine from a point that is about to go."""
    for each in tx.bound_to(point_uid):
        machine = tx.machine_by_uid(each.machine_uid)
        if machine is not None:
            _unbind(tx, act, machine, point_uid)


def check_owned(tx: OwnedReads, act: Act, subject: Subject, machine_id: ResourceId) -> Machine:
    """The machine, for whom binding it is allowed. Raises Forbidden, NotFound."""
    scope = resource_scope(machine_id)
    check(tx, subject, act.now, [Needed(ENROLMENT_WRITE, scope), Needed(MACHINE_WRITE, scope)])
    return known_machine(tx, machine_id)


def _unbind(tx: BindingActWrites, act: Act, machine: Machine, point_uid: str) -> None:
    # Before the binding goes: what waits at a machine that nothing guards counts as never open.
    _end(tx, act, machine, f"unbinding of {machine.id} from an enforcement point")
    tx.delete_binding(machine.uid, point_uid)
    public_ports.leave(tx, act, machine, point_uid)
    rest = tx.bindings_of(machine.uid)
    if [each.point_uid for each in rest] == [machine.uid]:
        tx.delete_binding(machine.uid, machine.uid)  # its own agent alone, as before
    if not rest:
        tx.delete_held_rules(machine.uid)
    touch(tx, act, machine.uid)
    follow(tx, act, machine)
    act.touched.add(point_uid)
    act.record(tx, MachineUnbound(str(machine.id), machine.uid, point_uid), machine.id)


def _end(tx: BindingActWrites, act: Act, machine: Machine, cause: str) -> None:
    live = tx.live_grants([machine.uid])
    end_grants(tx, act, live, StatusReason.USER_REQUESTED, cause)


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
        told = each.after(generation, in_force, report.closed, act.now)
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
