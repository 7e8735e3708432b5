"""Binding machines to points beside their own agent's (EDGES F3).

Only an owner binds: whoever may make enrolment tokens for the machine and change it. To say at which
address a gateway reaches the machine takes the right to change the gateway too: what is closed there is
closed, and what opens there is opened, to an address that may be somebody else's. A point's own
credential binds nothing. What is bound or unbound ends the machine's live grants in that commit,
since a grant is open only where all of its points have opened it, and nobody asked these points.
So does a change from series to parallel, or back.
Nothing is released: closed ports stay closed, at the points that stay and at the one that goes.
What is not here: a machine as its points have it (``guarded``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_WRITE
from bascule.domain.bindings import MOST_BEHIND, MOST_FORMER, Binding
from bascule.domain.facts.enrolments import (
    AddressReleased,
    MachineBound,
    MachinePlaced,
    MachineUnbound,
    PointArranged,
    RouteTrusted,
)
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.net import Address
from bascule.domain.scopes import resource_scope
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import PlanWrites
from bascule.interfaces.points import (
    BindingReads,
    PointWrites,
)
from bascule.interfaces.public_ports import PublicPortWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services import public_ports
from bascule.services.act import IN_PROCESS_KEY, Act
from bascule.services.grants import GrantEndWrites, end_grants, touch
from bascule.services.known_machine import known_machine
from bascule.services.left_behind import leave_behind
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


def bind(
    tx: BindingActWrites,
    act: Act,
    subject: Subject,
    machine_id: ResourceId,
    point_uid: str,
    addresses: Sequence[Address] | None = None,
    *,
    is_parallel: bool | None = None,
    trusts_route: bool | None = None,
) -> bool:
    """Have a point guard a machine beside what guards it already; False when it did.

    ``addresses`` are those to which the point forwards; None: they stay as they are. Others end the
    machine's live grants; what is closed at the former ones stays closed (EDGES G2).
    ``is_parallel``: it is an alternative to the other gateways that are bound so (EDGES G3); None: as
    it is, and in series when it is bound. A change ends the machine's live grants.
    ``trusts_route``: answers come back through the point, whatever the machine's own agent sees (EDGES
    G7); None: as it is, and not when it is bound. A change ends nothing.

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
            here = replace(here, is_parallel=is_parallel)
            _arrange(tx, act, machine, here)
        _trust(tx, act, machine, here, trusts_route=trusts_route)
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
    _trust(tx, act, machine, made, trusts_route=trusts_route or False)
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


def _trust(
    tx: BindingActWrites,
    act: Act,
    machine: Machine,
    there: Binding,
    *,
    trusts_route: bool | None,
) -> None:
    """Tell the machine's own agent whether its route is trusted. This ends nothing."""
    if trusts_route is None or trusts_route == there.trusts_route:
        return
    there = replace(there, trusts_route=trusts_route)
    tx.put_binding(there)
    touch(tx, act, machine.uid)
    act.record(tx, _trusted(machine, there), machine.id)


def _arranged(machine: Machine, there: Binding) -> PointArranged:
    return PointArranged(str(machine.id), machine.uid, there.point_uid, there.is_parallel)


def _trusted(machine: Machine, there: Binding) -> RouteTrusted:
    return RouteTrusted(str(machine.id), machine.uid, there.point_uid, there.trusts_route)


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
    for each in tx.bindings_of(machine.uid):
        if each.point_uid == point_uid:
            leave_behind(tx, act, machine, each)
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
