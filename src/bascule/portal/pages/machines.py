"""Machines: the inventory as a list, one added, changed, deleted.

Deleting says beforehand what goes with it. What is not here: a machine's own pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides, shows
from bascule.domain.actions import MACHINE_DELETE, MACHINE_READ, MACHINE_WRITE
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.errors import BasculeError
from bascule.interfaces.listing import ListedMachine, ListFilter, Place
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.enrolling import (
    MachineForm,
    add_machine,
    groups_to_write,
    id_in_path,
    machine_form,
    read_guarded,
    tags_text,
)
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.kept import comes_back
from bascule.portal.paging import Sheet, Turn, address_of, read_turn, turn_to
from bascule.portal.problems import reasons_of
from bascule.services import fleet, machines
from bascule.services.act import Act
from bascule.services.gateways import gateway_names, silent_gateways
from bascule.services.policies import Precondition
from bascule.services.rights import Needed, check
from bascule.services.views import kept_closed

router = APIRouter(route_class=PortalRoute)

MACHINES = "/portal/machines"
ONE = f"{MACHINES}/{{group}}/{{name}}"
PAGE = 50
LONGEST_NAME, LONGEST_TAG = 64, 512


@dataclass(frozen=True, slots=True)
class MachineLine:
    machine: Machine
    point: EnforcementPoint | None
    is_online: bool
    silent: tuple[str, ...]  # gateways, while others are heard

    @property
    def page(self) -> str:
        return machine_page(self.machine.id)


@router.get(MACHINES)
@shows(MACHINE_READ)
async def list_machines(visit: CurrentVisit) -> Response:
    said, now = visit.request.query_params, visit.now
    part, turn = said.get("q", "").strip()[:LONGEST_NAME], read_turn(said)
    tag = said.get("tag", "").strip()[:LONGEST_TAG]
    wanted = ListFilter(within=visit.within(MACHINE_READ), name_part=part, tag=tag)

    def address(turn: Turn[Place]) -> str:
        return address_of(MACHINES, {"q": part, "tag": tag, **turn.said})

    def read(reader: Reader) -> tuple[Sheet[ListedMachine], list[MachineLine]]:
        def fetch(is_backward: bool, after: Place | None, limit: int) -> Sequence[ListedMachine]:
            way = replace(wanted, is_descending=is_backward)
            return reader.listed_machines(way, after, limit)

        total = reader.count_listed(wanted)
        sheet = turn_to(fetch, lambda each: each.place, turn, total, PAGE, address)
        points = reader.points_of([each.machine.uid for each in sheet.rows])
        lines, names = [], gateway_names(reader, points)
        for each in sheet.rows:
            point = points.get(each.machine.uid)
            is_online = point is not None and fleet.is_online(point, now)
            silent = silent_gateways(point, names, now)
            lines.append(MachineLine(each.machine, point, is_online, silent))
        return sheet, lines

    sheet, lines = await visit.read(read)
    return visit.show(
        "machines.html",
        sheet=sheet,
        lines=lines,
        part=part,
        tag=tag,
        tagged=lambda key, value: address_of(MACHINES, {"tag": f"{key}={value}"}),
        cleared=address_of(MACHINES, turn.first.said),
        why_not_see=""
        if visit.rights.may_anywhere(MACHINE_READ)
        else visit.why_not(MACHINE_READ, subscription_scope(visit.subscription_id)),
        why_not_add=""
        if visit.rights.may_anywhere(MACHINE_WRITE)
        else visit.why_not(MACHINE_WRITE, subscription_scope(visit.subscription_id)),
    )


# -- one is added, or changed ---------------------------------------------------------------


@router.get(f"{MACHINES}/add")
@decides(MACHINE_WRITE)
async def ask_for_machine(visit: CurrentVisit) -> Response:
    return await _show_form(visit, MachineForm(tags=""), f"{MACHINES}/add")


@router.post(f"{MACHINES}/add")
@comes_back
@decides(MACHINE_WRITE)
async def take_machine(visit: CurrentVisit) -> Response:
    form = await machine_form(visit)
    try:
        wanted, draft = form.read(visit)
        await visit.perform(lambda tx, act: add_machine(visit, tx, act, wanted, draft))
    except BasculeError as error:
        return await _show_form(visit, form, f"{MACHINES}/add", error)
    if visit.form.has("enrol"):
        return visit.go(f"/portal/points/enrol/{quote(form.group)}/{quote(form.name)}")
    return visit.go(MACHINES, "machine_added")


@router.get(f"{ONE}/edit")
@decides(MACHINE_WRITE)
async def ask_for_change(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted, now = id_in_path(visit, group, name), visit.now

    def read(reader: Reader) -> Machine:
        check(reader, visit.subject, now, [Needed(MACHINE_READ, resource_scope(wanted))])
        return read_guarded(reader, wanted, now).machine

    machine = await visit.read(read)
    addresses = " ".join(map(str, machine.addresses))
    form = MachineForm(
        machine.id.name,
        machine.id.resource_group,
        machine.os_type,
        addresses,
        tags_text(machine.tags),
        machines.etag_of(machine),
    )
    return await _show_form(visit, form, f"{machine_page(machine.id)}/edit", wanted=wanted)


@router.post(f"{ONE}/edit")
@comes_back
@decides(MACHINE_WRITE)
async def change_machine(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = id_in_path(visit, group, name)
    form = replace(await machine_form(visit), name=wanted.name, group=wanted.resource_group)
    location = visit.state.installation.location
    try:
        _, draft = form.read(visit)

        def work(tx: Transaction, act: Act) -> None:
            check(tx, visit.subject, act.now, [Needed(MACHINE_WRITE, resource_scope(wanted))])
            read_guarded(tx, wanted, act.now)  # raises when it is not there: nothing is made here
            shown = Precondition(form.etag)
            machines.put_machine(tx, act, wanted, draft, location, shown)

        await visit.perform(work)
    except BasculeError as error:
        return await _show_form(visit, form, f"{machine_page(wanted)}/edit", error, wanted=wanted)
    return visit.go(MACHINES, "saved")


async def _show_form(
    visit: Visit,
    form: MachineForm,
    action: str,
    error: BasculeError | None = None,
    *,
    wanted: ResourceId | None = None,
) -> Response:
    """``wanted`` is the machine that is changed; None: a new one."""
    return visit.show(
        "machines_form.html",
        200 if error is None else error.http_status,
        form=form,
        action=action,
        is_new=wanted is None,
        groups=await groups_to_write(visit),
        why_not="" if wanted is None else visit.why_not(MACHINE_WRITE, resource_scope(wanted)),
        reasons=() if error is None else reasons_of(error),
        advice="" if error is None else error.advice,
    )


# -- one is deleted -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Consequences:
    """What goes with a machine, at this moment."""

    machine: Machine
    grants: tuple[Grant, ...]  # live ones, which end
    policies: tuple[str, ...]  # that name it, and will not any more
    has_agent: bool  # whose key is refused
    shut: tuple[str, ...]  # ports that stay shut on the host


@router.get(f"{ONE}/delete")
@decides(MACHINE_DELETE)
async def ask_to_delete(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted, now = id_in_path(visit, group, name), visit.now

    def read(reader: Reader) -> Consequences:
        check(reader, visit.subject, now, [Needed(MACHINE_READ, resource_scope(wanted))])
        machine = read_guarded(reader, wanted, now).machine
        shut = kept_closed(reader, machine.uid)
        return Consequences(
            machine,
            tuple(reader.live_grants([machine.uid])),
            tuple(each.policy.id.name for each in reader.policies_naming(machine.id)),
            reader.enforcement_point(machine.uid) is not None,
            tuple(map(str, shut)),
        )

    found = await visit.read(read)
    return visit.show(
        "machines_delete.html",
        found=found,
        action=f"{machine_page(found.machine.id)}/delete",
        why_not=visit.why_not(MACHINE_DELETE, resource_scope(wanted)),
    )


@router.post(f"{ONE}/delete")
@decides(MACHINE_DELETE)
async def delete_machine(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = id_in_path(visit, group, name)

    def work(tx: Transaction, act: Act) -> None:
        check(tx, visit.subject, act.now, [Needed(MACHINE_DELETE, resource_scope(wanted))])
        machines.delete_machine(tx, act, wanted)

    await visit.perform(work)
    return visit.go(MACHINES, "machine_deleted")


def machine_page(machine: ResourceId) -> str:
    return f"{MACHINES}/{quote(machine.resource_group)}/{quote(machine.name)}"
