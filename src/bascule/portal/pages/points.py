"""Enforcement points: which agents there are, how they are, one enrolled, one removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides, shows
from bascule.domain.actions import (
    ENROLMENT_DELETE,
    ENROLMENT_WRITE,
    MACHINE_READ,
    MACHINE_WRITE,
    POINT_READ,
)
from bascule.domain.bindings import Binding
from bascule.domain.ids import ResourceId
from bascule.domain.machine import LONGEST_MANAGER, Machine
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.errors import BasculeError, InvalidInput, NotFound
from bascule.interfaces.listing import ListFilter, Place
from bascule.interfaces.store import Reader
from bascule.portal.enrolling import (
    Command,
    Guarded,
    MachineForm,
    groups_to_write,
    id_in_path,
    machine_form,
    make_command,
    read_guarded,
)
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.kept import comes_back
from bascule.portal.machine import path_of
from bascule.portal.paging import Sheet, Turn, address_of, read_turn, turn_to
from bascule.portal.problems import reasons_of
from bascule.services import fleet, managed
from bascule.services.points import (
    PointRow,
    count_points,
    list_points,
    machines_without,
    older_versions,
    view_point,
)
from bascule.services.rights import Needed, check, denial
from bascule.services.views import kept_closed

router = APIRouter(route_class=PortalRoute)

POINTS = "/portal/points"
ENROL = f"{POINTS}/enrol"
PAGE = 50
OFFERED = 20  # machines that a page offers to choose from; others are searched for
LONGEST_NAME = 64
# What the list may be narrowed to: its word, and how the store is asked.
ONLY = {
    "silent": ListFilter(is_silent=True),
    "behind": ListFilter(is_behind=True),
    "well": ListFilter(is_silent=False, is_behind=False),
    "old": ListFilter(),  # and the versions that are of before the server's
}


@dataclass(frozen=True, slots=True)
class PointQuery:
    """What the address of the list says."""

    name_part: str = ""
    only: str = ""  # a key of ONLY; empty: all
    turn: Turn[Place] = field(default_factory=Turn)

    @property
    def is_filtered(self) -> bool:
        return bool(self.name_part or self.only)

    def turned(self, turn: Turn[Place]) -> str:
        return address_of(POINTS, {"q": self.name_part, "only": self.only, **turn.said})

    @property
    def cleared(self) -> str:
        return address_of(POINTS, self.turn.first.said)

    def filter(self, visit: Visit) -> ListFilter:
        wanted = ONLY.get(self.only, ListFilter())
        return replace(wanted, name_part=self.name_part, within=visit.within(POINT_READ))


def read_query(visit: Visit) -> PointQuery:
    said = visit.request.query_params
    only = said.get("only", "")
    return PointQuery(
        said.get("q", "").strip()[:LONGEST_NAME],
        only if only in ONLY else "",
        read_turn(said),
    )


@router.get(POINTS)
@shows(POINT_READ)
async def show_points(visit: CurrentVisit) -> Response:
    query, now = read_query(visit), visit.now

    def read(reader: Reader) -> Sheet[PointRow]:
        wanted = query.filter(visit)
        if query.only == "old":
            wanted = replace(wanted, versions=older_versions(reader))

        def fetch(is_backward: bool, after: Place | None, limit: int) -> list[PointRow]:
            way = replace(wanted, is_descending=is_backward)
            return list_points(reader, way, now, after, limit)

        total = count_points(reader, wanted)
        return turn_to(fetch, _place_of, query.turn, total, PAGE, query.turned)

    sheet = await visit.read(read)
    whole = subscription_scope(visit.subscription_id)
    return visit.show(
        "points.html",
        why_not_see=""
        if visit.rights.may_anywhere(POINT_READ)
        else visit.why_not(POINT_READ, whole),
        query=query,
        rows=sheet.rows,
        sheet=sheet,
        only=tuple(ONLY),
        why_not_enrol=""
        if visit.rights.may_anywhere(ENROLMENT_WRITE)
        else visit.why_not(ENROLMENT_WRITE, whole),
        page_of=point_page,
    )


def _place_of(row: PointRow) -> Place:
    return row.place


# -- one is enrolled ------------------------------------------------------------------------


@router.get(ENROL)
@decides(ENROLMENT_WRITE)
async def choose_machine(visit: CurrentVisit) -> Response:
    return await _show_choice(visit, MachineForm())


@router.post(ENROL)
@comes_back
@decides(ENROLMENT_WRITE)
async def enrol(visit: CurrentVisit) -> Response:
    """A command for the machine that was chosen, or for a new one: both or neither."""
    form, chosen = await machine_form(visit), visit.form.text("machine")
    try:
        wanted, draft = (_chosen(chosen), None) if chosen else form.read(visit)
        command = await visit.perform(
            lambda tx, act: make_command(visit, tx, act, wanted, replaces=False, draft=draft)
        )
    except BasculeError as error:
        return await _show_choice(visit, form, error)
    guarded = await visit.read(lambda reader: read_guarded(reader, wanted, visit.now))
    response = _show_agent(visit, guarded, command)
    # The page of the machine: what is live in it is fetched from there.
    response.headers["HX-Push-Url"] = enrol_page(guarded.machine)
    return response


def _chosen(text: str) -> ResourceId:
    try:
        return ResourceId.parse_machine(text)
    except InvalidInput:
        raise InvalidInput("Choose a machine from the list.", target="machine") from None


async def _show_choice(
    visit: Visit, form: MachineForm, error: BasculeError | None = None
) -> Response:
    part = visit.request.query_params.get("q", "").strip()[:LONGEST_NAME]
    reach = visit.rights.reach(ENROLMENT_WRITE).meet(visit.rights.reach(MACHINE_READ))
    is_whole = reach.covers(subscription_scope(visit.subscription_id).key)
    wanted = ListFilter(within=None if is_whole else reach, name_part=part)
    found = await visit.read(lambda reader: machines_without(reader, wanted, OFFERED + 1))
    return visit.show(
        "points_enrol.html",
        200 if error is None else error.http_status,
        machines=found[:OFFERED],
        has_proxy=bool(visit.state.proxies),
        has_more=len(found) > OFFERED,
        part=part,
        form=form,
        groups=await groups_to_write(visit),
        why_not_add=""
        if visit.rights.may_anywhere(MACHINE_WRITE)
        else visit.why_not(MACHINE_WRITE, subscription_scope(visit.subscription_id)),
        reasons=() if error is None else reasons_of(error),
        advice="" if error is None else error.advice,
    )


@router.get(f"{ENROL}/{{group}}/{{name}}")
@decides(MACHINE_READ)
async def show_enrolment(visit: CurrentVisit, group: str, name: str) -> Response:
    return _show_agent(visit, await _guarded(visit, group, name), None)


@router.post(f"{ENROL}/{{group}}/{{name}}")
@decides(ENROLMENT_WRITE)
async def make_another(visit: CurrentVisit, group: str, name: str) -> Response:
    """Another command; one over a live agent only where that is what was asked for."""
    wanted, replaces = id_in_path(visit, group, name), visit.form.has("replace")
    command = await visit.perform(
        lambda tx, act: make_command(visit, tx, act, wanted, replaces=replaces)
    )
    return _show_agent(visit, await _guarded(visit, group, name), command)


async def _guarded(visit: Visit, group: str, name: str) -> Guarded:
    wanted, now = id_in_path(visit, group, name), visit.now

    def read(reader: Reader) -> Guarded:
        check(reader, visit.subject, now, [Needed(MACHINE_READ, resource_scope(wanted))])
        return read_guarded(reader, wanted, now)

    return await visit.read(read)


def _show_agent(visit: Visit, guarded: Guarded, command: Command | None) -> Response:
    return visit.show(
        "points_agent.html",
        guarded=guarded,
        command=command,
        has_proxy=bool(visit.state.proxies),
        action=enrol_page(guarded.machine),
        machine_page=f"/portal/machines/{quote(guarded.path)}",
        why_not=visit.why_not(ENROLMENT_WRITE, resource_scope(guarded.machine.id)),
    )


# -- one is looked at, and removed ----------------------------------------------------------


@router.get(f"{POINTS}/{{uid}}")
@decides(POINT_READ)
async def show_point(visit: CurrentVisit, uid: str) -> Response:
    def read(reader: Reader) -> tuple[PointRow, Sequence[Behind], int]:
        row = read_point(reader, visit, uid)
        return row, *_behind(reader, visit, row.machine.uid)

    row, behind, hidden = await visit.read(read)
    scope = resource_scope(row.machine.id)
    return visit.show(
        "point.html",
        row=row,
        behind=behind,
        hidden=hidden,
        enrol=enrol_page(row.machine),
        machine_page=f"/portal/machines/{quote(row.machine.id.resource_group)}"
        f"/{quote(row.machine.id.name)}",
        remove=f"{point_page(row)}/remove",
        put_behind=f"{point_page(row)}/machines",
        why_not_behind=why_not_behind(visit, row.machine),
        manage=f"{point_page(row)}/managed-by",
        why_not_manage=visit.why_not(ENROLMENT_WRITE, scope) or visit.why_not(MACHINE_WRITE, scope),
        longest_manager=LONGEST_MANAGER,
        why_not_enrol=visit.why_not(ENROLMENT_WRITE, scope),
        why_not_remove=visit.why_not(ENROLMENT_DELETE, scope),
    )


@dataclass(frozen=True, slots=True)
class Behind:
    """A machine that the point guards beside its own."""

    machine: Machine
    binding: Binding

    @property
    def page(self) -> str:
        return f"{path_of(self.machine.id)}/gateways"


def _behind(reader: Reader, visit: Visit, uid: str) -> tuple[Sequence[Behind], int]:
    """Those that the visitor may read, by name, and how many others there are."""
    bound = reader.bound_to(uid)
    machines = reader.machines_of([each.machine_uid for each in bound])
    within = visit.within(MACHINE_READ)
    shown = [
        Behind(machine, each)
        for each in bound
        if (machine := machines.get(each.machine_uid)) is not None
        and (within is None or within.covers(machine.id.key))
    ]
    shown.sort(key=lambda each: each.machine.id.name.casefold())
    return shown, len(bound) - len(shown)


@router.post(f"{POINTS}/{{uid}}/managed-by")
@decides(ENROLMENT_WRITE)
async def manage_point(visit: CurrentVisit, uid: str) -> Response:
    """What manages the gateway, as an owner says (EDGES G9)."""
    row = await visit.read(lambda reader: read_point(reader, visit, uid))
    by = visit.form.text("by")
    await visit.perform(lambda tx, act: managed.manage(tx, act, visit.subject, row.machine.id, by))
    return visit.go(point_page(row), "point_managed")


@router.get(f"{POINTS}/{{uid}}/remove")
@decides(ENROLMENT_DELETE)
async def ask_to_remove(visit: CurrentVisit, uid: str) -> Response:
    def read(reader: Reader) -> tuple[PointRow, int, list[str]]:
        row = read_point(reader, visit, uid)
        shut = kept_closed(reader, row.machine.uid)
        return row, len(reader.live_grants([row.machine.uid])), [str(each) for each in shut]

    row, live, shut = await visit.read(read)
    return visit.show(
        "point_remove.html",
        row=row,
        live=live,
        shut=shut,
        action=f"{point_page(row)}/remove",
        back=POINTS,
        why_not=visit.why_not(ENROLMENT_DELETE, resource_scope(row.machine.id)),
    )


@router.post(f"{POINTS}/{{uid}}/remove")
@decides(ENROLMENT_DELETE)
async def remove(visit: CurrentVisit, uid: str) -> Response:
    await visit.perform(lambda tx, act: fleet.remove_point(tx, act, visit.subject, uid.lower()))
    return visit.go(POINTS, "point_removed")


def read_point(reader: Reader, visit: Visit, uid: str) -> PointRow:
    """The point, for who may read it; whose it is, others do not learn."""
    row = view_point(reader, uid.lower(), visit.now)
    within = visit.within(POINT_READ)
    if within is not None and (row is None or not within.covers(row.machine.id.key)):
        whole = subscription_scope(visit.subscription_id)
        raise denial(reader, visit.subject, [Needed(POINT_READ, whole)])
    if row is None:
        raise NotFound("There is no such enforcement point.", code="ResourceNotFound")
    return row


def why_not_behind(visit: Visit, gateway: Machine) -> str:
    """Why the visitor can put no machine behind it; the rights at the machines are checked later."""
    if not visit.rights.may_anywhere(ENROLMENT_WRITE):
        return visit.why_not(ENROLMENT_WRITE, subscription_scope(visit.subscription_id))
    return visit.why_not(MACHINE_WRITE, resource_scope(gateway.id))


def point_page(row: PointRow) -> str:
    return f"{POINTS}/{row.machine.uid}"


def enrol_page(machine: Machine) -> str:
    return f"{ENROL}/{quote(machine.id.resource_group)}/{quote(machine.id.name)}"
