"""The points that guard a machine: bound, moved, put in order, unbound, released (EDGES F3, G2, G3).

Each act is the use case that the API calls, with its rights: enrolments and the machine, and for an
address the gateway too. A change ends the machine's live grants. Nothing is done where the machine is
not as the form showed it (``portal.machine_points``). What is not here: the gateway's own page
(``points``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_READ, MACHINE_WRITE, POINT_READ
from bascule.domain.machine import Machine
from bascule.domain.net import Address, parse_address
from bascule.domain.scopes import resource_scope
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.listing import ListFilter
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.machine import ShownMachine, frame, read_machine, wanted_id
from bascule.portal.machine_named import machine_named
from bascule.portal.machine_points import (
    Place,
    Row,
    check_shown,
    ending,
    read_place,
    trail_of,
    why_not,
)
from bascule.portal.plain_forms import Field, Form, add_form
from bascule.sentences import sentence
from bascule.services import bindings
from bascule.services.act import Act
from bascule.services.points import list_points
from bascule.services.rights import Needed, check

router = APIRouter(route_class=PortalRoute)

TAB = "/portal/machines/{group}/{name}/gateways"
ONE = f"{TAB}/{{uid}}"
LOOKED_AT = 200  # agents, of which those of gateways are offered by name
LONGEST = 2000  # characters of a list of addresses; a machine has been at 64 there at most


# -- they are shown ---------------------------------------------------------------------------


@router.get(TAB)
@decides(MACHINE_READ)
async def show(visit: CurrentVisit, group: str, name: str) -> Response:
    """Who may not read points is told so, and how the machine is guarded as on its overview."""
    wanted = wanted_id(visit, group, name)

    def read(reader: Reader) -> tuple[ShownMachine, Place | None]:
        shown = read_machine(visit, reader, wanted)
        sees = visit.may(POINT_READ, resource_scope(shown.machine.id))
        return shown, read_place(visit, reader, group, name) if sees else None

    shown, place = await visit.read(read)
    return visit.show(
        "machine_gateways.html",
        **frame(visit, shown, "gateways"),
        rows=place.rows if place is not None else (),
        why_not_see=visit.why_not(POINT_READ, resource_scope(shown.machine.id)),
        why_not=why_not(visit, shown.machine),
    )


# -- one is bound -----------------------------------------------------------------------------


async def _to_add(visit: Visit) -> Place:
    given = visit.request.path_params

    def read(reader: Reader) -> Place:
        place = read_place(visit, reader, given["group"], given["name"])
        here = {place.machine.uid, *(each.gateway.uid for each in place.rows)}
        wanted = ListFilter(within=visit.within(POINT_READ))
        found = list_points(reader, wanted, visit.now, None, LOOKED_AT)
        names = [
            _called(each.machine)
            for each in found
            if each.machine.uid not in here
            and each.point.guard is not None
            and each.point.guard.forwarding is not None
        ]
        return replace(place, offered=names)

    return await visit.read(read)


def _called(machine: Machine) -> str:
    return f"{machine.id.resource_group}/{machine.id.name}"


def _add_form(visit: Visit, place: Place) -> Form:
    t, name = visit.words, place.machine.id.name
    own = place.machine.addresses
    is_plain = len({each.version for each in own}) == len(own)
    return Form(
        t("Put {machine} behind a gateway", machine=name),
        t("Put behind the gateway"),
        place.path,
        (
            Field(
                "gateway",
                t("Gateway"),
                visit.request.query_params.get("gateway", "")[:200],
                hint=t("A machine with an agent that forwards: its name, or group/name."),
                suggestions=place.offered,
                is_required=True,
                longest=200,
            ),
            _addresses_field(visit, ", ".join(map(str, own)) if is_plain else ""),
            order_field(visit, is_parallel=False),
            route_field(visit, trusts_route=False),
            place.seen_field,
        ),
        effects=(
            *ending(visit, place),
            t("Only what passes the gateway is judged there."),
            t("In series, a port is then open only when the gateway has opened it too."),
        ),
        why_not=why_not(visit, place.machine),
        trail=trail_of(visit, place),
    )


def _addresses_field(visit: Visit, value: str) -> Field:
    return Field(
        "addresses",
        visit.words("Addresses behind it"),
        value,
        hint=visit.words("Where it forwards to: one IPv4 and one IPv6 address at most."),
        is_required=True,
        longest=LONGEST,
    )


def order_field(visit: Visit, *, is_parallel: bool) -> Field:
    t = visit.words
    return Field(
        "order",
        t("Order"),
        "parallel" if is_parallel else "series",
        "select",
        hint=t("The machine’s own agent always has to open a port."),
        options=(
            ("series", t("In series: it always has to open a port")),
            ("parallel", t("In parallel: one of the gateways that are bound so is enough")),
        ),
    )


def route_field(visit: Visit, *, trusts_route: bool) -> Field:
    t = visit.words
    return Field(
        "route",
        t("Route of the answers"),
        "trusted" if trusts_route else "checked",
        "select",
        hint=t("Trust it where a router of the machine leads back to the gateway."),
        options=(
            ("checked", t("Checked by the machine’s own agent")),
            ("trusted", t("Trusted: answers come back through the gateway")),
        ),
    )


async def _add(visit: Visit, place: Place) -> Response:
    scope = resource_scope(place.machine.id)

    def find(reader: Reader) -> Machine:
        """Who may not bind is told so before anything of gateways."""
        needed = [Needed(ENROLMENT_WRITE, scope), Needed(MACHINE_WRITE, scope)]
        check(reader, visit.subject, visit.now, needed)
        return _gateway(visit, reader, visit.form.text("gateway"))

    gateway = await visit.read(find)
    where, is_parallel, trusts_route = _addresses(visit), is_parallel_in(visit), _trusts_in(visit)

    def work(tx: Transaction, act: Act) -> None:
        check_shown(tx, act, visit, place)
        check_new(tx, place.machine, gateway)
        bindings.bind(
            tx,
            act,
            visit.subject,
            place.machine.id,
            gateway.uid,
            where,
            is_parallel=is_parallel,
            trusts_route=trusts_route,
        )

    await visit.perform(work)
    return visit.go(place.path, "gateway_bound")


def check_new(tx: Transaction, machine: Machine, gateway: Machine) -> None:
    """Raise Conflict for a gateway that the machine is behind: binding would move it there."""
    if any(each.point_uid == gateway.uid for each in tx.bindings_of(machine.uid)):
        raise Conflict(
            sentence(
                "{machine} is behind {gateway} already.",
                machine=machine.id.name,
                gateway=gateway.id.name,
            ),
            target="gateway",
            code="AlreadyBehind",
        )


def _gateway(visit: Visit, reader: Reader, text: str) -> Machine:
    """The machine that is called so, of those that the visitor may read, if it has an agent. Raises
    InvalidInput.
    """
    found = machine_named(visit, reader, text, "gateway")
    if reader.agent_of(found.uid) is None:
        raise InvalidInput(
            sentence(
                "{name} has no agent of its own, so it can guard no other machine.",
                name=found.id.name,
            ),
            target="gateway",
            code="NoEnforcementPoint",
        )
    return found


def _parsed(visit: Visit) -> list[Address]:
    texts = [each for each in re.split(r"[\s,;]+", visit.form.text("addresses")[:LONGEST]) if each]
    return list(dict.fromkeys(parse_address(each, "addresses") for each in texts))


def _addresses(visit: Visit) -> list[Address]:
    found = _parsed(visit)
    if not found:
        raise InvalidInput(
            "Give the machine’s address behind the gateway.",
            target="addresses",
            code="InvalidAddress",
        )
    return found


def is_parallel_in(visit: Visit) -> bool:
    order = visit.form.text("order")
    if order not in ("series", "parallel"):
        raise InvalidInput("Choose one of the offered values.", target="order")
    return order == "parallel"


def _trusts_in(visit: Visit) -> bool | None:
    """None: the form of before did not ask."""
    route = visit.form.text("route") if visit.form.has("route") else None
    if route is None:
        return None
    if route not in ("checked", "trusted"):
        raise InvalidInput("Choose one of the offered values.", target="route")
    return route == "trusted"


add_form(
    router,
    f"{TAB}/add",
    ENROLMENT_WRITE,
    _to_add,
    _add_form,
    _add,
    is_kept=True,
    is_at_subscription=False,
)


# -- one is changed ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bound:
    place: Place
    row: Row

    @property
    def names(self) -> dict[str, str]:
        return {
            "machine": self.place.machine.id.name,
            "gateway": self.row.gateway.id.name,
        }


async def _bound(visit: Visit) -> Bound:
    given = visit.request.path_params

    def read(reader: Reader) -> Bound:
        place = read_place(visit, reader, given["group"], given["name"])
        uid = given["uid"].lower()
        row = next((each for each in place.gateways if each.gateway.uid == uid), None)
        if row is None:
            raise NotFound(
                sentence("{machine} is not behind that gateway.", machine=place.machine.id.name),
                code="ResourceNotFound",
            )
        return Bound(place, row)

    return await visit.read(read)


def _edit_form(visit: Visit, found: Bound) -> Form:
    t, here = visit.words, found.row.binding
    return Form(
        t("{machine} behind {gateway}", **found.names),
        t("Save"),
        found.place.path,
        (
            _addresses_field(visit, ", ".join(map(str, here.addresses))),
            order_field(visit, is_parallel=here.is_parallel),
            route_field(visit, trusts_route=here.trusts_route),
            found.place.seen_field,
        ),
        effects=(
            *ending(visit, found.place),
            t("At a former address its ports stay closed until that is released."),
        ),
        is_of_now=True,
        why_not=why_not(visit, found.place.machine),
        trail=trail_of(visit, found.place),
    )


async def _edit(visit: Visit, found: Bound) -> Response:
    here, where = found.row.binding, _addresses(visit)
    is_parallel, trusts_route = is_parallel_in(visit), _trusts_in(visit)

    def work(tx: Transaction, act: Act) -> None:
        check_shown(tx, act, visit, found.place)
        bindings.bind(
            tx,
            act,
            visit.subject,
            found.place.machine.id,
            here.point_uid,
            # The same in another order are no others, and take no right at the gateway.
            None if {*where} == {*here.addresses} else where,
            is_parallel=is_parallel,
            trusts_route=trusts_route,
        )

    await visit.perform(work)
    return visit.go(found.place.path, "gateway_changed")


add_form(
    router,
    f"{ONE}/edit",
    ENROLMENT_WRITE,
    _bound,
    _edit_form,
    _edit,
    is_kept=True,
    is_at_subscription=False,
)


# -- one is unbound ---------------------------------------------------------------------------


def _unbind_form(visit: Visit, found: Bound) -> Form:
    t = visit.words
    effects = [
        *ending(visit, found.place),
        t(
            "Ports that {gateway} keeps closed for {machine} stay closed there. They cannot be "
            "requested through it any more. To open them, release them first.",
            **found.names,
        ),
    ]
    if len(found.place.rows) == 1:
        effects.append(
            t("Nothing else guards {machine}: nothing can then be requested there.", **found.names)
        )
    return Form(
        t("Take {machine} from behind {gateway}", **found.names),
        t("Unbind"),
        found.place.path,
        (found.place.seen_field,),
        effects=effects,
        is_destructive=True,
        why_not=why_not(visit, found.place.machine),
        trail=trail_of(visit, found.place),
    )


async def _unbind(visit: Visit, found: Bound) -> Response:
    def work(tx: Transaction, act: Act) -> None:
        check_shown(tx, act, visit, found.place)
        bindings.unbind(tx, act, visit.subject, found.place.machine.id, found.row.binding.point_uid)

    await visit.perform(work)
    return visit.go(found.place.path, "gateway_unbound")


add_form(
    router,
    f"{ONE}/unbind",
    ENROLMENT_WRITE,
    _bound,
    _unbind_form,
    _unbind,
    is_at_subscription=False,
)


# -- a former address is released -------------------------------------------------------------


def _release_form(visit: Visit, found: Bound) -> Form:
    t = visit.words
    named = visit.request.query_params.get("address", "")[:100]
    former = sorted(map(str, found.row.binding.former))
    return Form(
        t("Release former addresses of {machine} at {gateway}", **found.names),
        t("Release and open"),
        found.place.path,
        (
            Field(
                "addresses",
                t("Former addresses"),
                named or ", ".join(former),
                hint=t("Also those of before an unbinding, which only the gateway knows."),
                is_required=True,
                longest=LONGEST,
            ),
            found.place.seen_field,
        ),
        effects=(
            t(
                "{gateway} then lets everybody through to whatever has these addresses now.",
                **found.names,
            ),
        ),
        is_destructive=True,
        why_not=why_not(visit, found.place.machine),
        trail=trail_of(visit, found.place),
    )


async def _release(visit: Visit, found: Bound) -> Response:
    """Those that are named: none is never all, which the form does not show."""
    named = _parsed(visit)
    if not named:
        raise InvalidInput("No address was given to release.", target="addresses")

    def work(tx: Transaction, act: Act) -> None:
        check_shown(tx, act, visit, found.place)
        bindings.release_addresses(
            tx,
            act,
            visit.subject,
            found.place.machine.id,
            found.row.binding.point_uid,
            named,
        )

    await visit.perform(work)
    return visit.go(found.place.path, "address_released")


add_form(
    router,
    f"{ONE}/release",
    ENROLMENT_WRITE,
    _bound,
    _release_form,
    _release,
    is_at_subscription=False,
)
