"""Microsoft.Compute/virtualMachines as the inventory of machines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.filters import parse_filter
from bascule.api.paging import Wanted, WantedPage, page_json
from bascule.api.paths import GROUP, MACHINE, MACHINES, SUBSCRIPTION, Group, MachinePath
from bascule.api.preconditions import WantedConditions
from bascule.api.wire.machines import (
    MachineBody,
    instance_view_json,
    machine_json,
    read_machine,
    states_json,
)
from bascule.domain.actions import INSTANCE_VIEW_READ, MACHINE_DELETE, MACHINE_READ, MACHINE_WRITE
from bascule.domain.classify import MachineState, traits_in
from bascule.domain.ids import ResourceId, machine_id, parse_name
from bascule.domain.machine import Machine
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.plans import MachineFilter
from bascule.interfaces.store import Reader, Transaction
from bascule.services import machines
from bascule.services.act import Act
from bascule.services.machines import MachineDraft
from bascule.services.plans import groups_off
from bascule.services.views import MachineView, view_machine

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

Expand = Annotated[str, Query(alias="$expand", max_length=100, examples=["instanceView"])]
Named = Annotated[
    str,
    Query(
        alias="$filter", max_length=200, examples=["name eq 'web-1'", "state eq 'notConfigured'"]
    ),
]
STATES = "/providers/Bascule.Access/machineStates"


@router.get(f"{SUBSCRIPTION}{MACHINES}")
@shows(MACHINE_READ)
async def list_machines(call: CurrentCall, wanted: WantedPage, named: Named = "") -> Response:
    return await _list(call, wanted, None, named)


@router.get(f"{GROUP}{MACHINES}")
@shows(MACHINE_READ)
async def list_machines_of_group(
    call: CurrentCall, group: Group, wanted: WantedPage, named: Named = ""
) -> Response:
    return await _list(call, wanted, group, named)


async def _list(call: Call, wanted: Wanted, group: str | None, filter_text: str) -> Response:
    now, after = call.now, wanted.text_after()
    clauses = parse_filter(filter_text, (("name", "eq"), ("state", "eq")))
    names = {
        parse_name(clause.value, "The machine's name", "$filter")
        for clause in clauses
        if clause.field == "name"
    }
    states = {_state(clause.value) for clause in clauses if clause.field == "state"}
    within = call.rights.reach(MACHINE_READ)

    def read(reader: Reader) -> list[MachineView]:
        if names:
            groups = reader.resource_groups() if group is None else [group]
            found = [
                view_machine(reader, machine, now)
                for machine in _named(reader, call.subscription_id, groups, names)
                if within.covers(machine.id.key)
            ]
            return [view for view in found if states <= {view.classification.state}]
        meant = MachineFilter(group, within)
        if states:
            # One machine is in one state: two at once are no machine's.
            codes = frozenset.intersection(*map(traits_in, states))
            meant = replace(meant, traits=codes, groups_off=groups_off(reader))
        page = reader.machines_where(meant, after, wanted.limit)
        return [view_machine(reader, machine, now) for machine in page]

    views = await call.read(read)
    return CompactJson(
        page_json(call, wanted, views, machine_json, lambda view: (view.machine.id.key,))
    )


def _state(text: str) -> MachineState:
    found = next((each for each in MachineState if each.casefold() == text.casefold()), None)
    if found is None:
        raise InvalidInput(
            f"$filter: state is one of {', '.join(MachineState)}, not {text[:40]!r}.",
            code="InvalidFilter",
            target="$filter",
        )
    return found


@router.get(f"{SUBSCRIPTION}{STATES}")
@shows(MACHINE_READ)
async def count_states(call: CurrentCall) -> Response:
    return await _count(call, None)


@router.get(f"{GROUP}{STATES}")
@shows(MACHINE_READ)
async def count_states_of_group(call: CurrentCall, group: Group) -> Response:
    return await _count(call, group)


async def _count(call: Call, group: str | None) -> Response:
    """How many machines that the caller may see are in which state."""
    within = call.rights.reach(MACHINE_READ)

    def read(reader: Reader) -> Mapping[int, int]:
        return reader.count_machines(MachineFilter(group, within, groups_off=groups_off(reader)))

    counted = await call.read(read)
    return CompactJson({"value": states_json(counted)})


def _named(
    reader: Reader, subscription_id: str, groups: Sequence[str], names: Collection[str]
) -> list[Machine]:
    """The machines of one name, at most one a group; none when two names are asked at once."""
    if len({name.casefold() for name in names}) > 1:
        return []
    name = next(iter(names))
    found = [reader.machine(machine_id(subscription_id, group, name)) for group in groups]
    return [machine for machine in found if machine is not None]


@router.get(MACHINE)
@requires(MACHINE_READ)
async def get_machine(call: CurrentCall, machine: MachinePath, expand: Expand = "") -> Response:
    view = await _machine_view(call, machine)
    content = machine_json(view, with_instance=_wants_instance(expand))
    return CompactJson(content, headers={"ETag": machines.etag_of(view.machine)})


@router.get(f"{MACHINE}/instanceView")
@requires(INSTANCE_VIEW_READ)
async def get_instance_view(call: CurrentCall, machine: MachinePath) -> Response:
    return CompactJson(instance_view_json(await _machine_view(call, machine)))


def _wants_instance(expand: str) -> bool:
    """Azure's other word, userData, asks for what no machine here has."""
    return "instanceview" in (word.strip().casefold() for word in expand.split(","))


async def _machine_view(call: Call, machine: ResourceId) -> MachineView:
    now = call.now

    def read(reader: Reader) -> MachineView | None:
        found = reader.machine(machine)
        return None if found is None else view_machine(reader, found, now)

    view = await call.read(read)
    if view is None:
        raise NotFound(
            f"The Resource '{machine.type}/{machine.name}' under resource group "
            f"'{machine.resource_group}' was not found.",
            advice=f"To list machines: bascule machine list. To add it: bascule machine add "
            f"{machine.name}.",
        )
    return view


@router.put(MACHINE)
@requires(MACHINE_WRITE)
async def put_machine(
    call: CurrentCall, machine: MachinePath, body: MachineBody, conditions: WantedConditions
) -> Response:
    draft = read_machine(body)

    def work(tx: Transaction, act: Act) -> tuple[MachineView, bool]:
        before = tx.machine(machine)
        precondition = conditions.on_etag("" if before is None else machines.etag_of(before))
        _check_stays(before, draft)
        location = call.state.installation.location
        made, is_new = machines.put_machine(tx, act, machine, draft, location, precondition)
        return view_machine(tx, made, act.now), is_new

    view, is_new = await call.perform(work)
    headers = {"ETag": machines.etag_of(view.machine)}
    return CompactJson(machine_json(view), 201 if is_new else 200, headers)


def _check_stays(before: Machine | None, draft: MachineDraft) -> None:
    """A policy is of one location, and so are its machines (CONTRACT 1.7): none moves away."""
    if before is None or draft.location is None:
        return
    if draft.location.casefold() != before.location.casefold():
        raise Conflict(
            f"Machine {before.id.name} is in location {before.location}. A machine's location "
            f"cannot be changed.",
            code="InvalidResourceLocation",
            target="location",
            advice="Delete the machine and create it again; then enrol its agent again.",
        )


@router.delete(MACHINE)
@requires(MACHINE_DELETE)
async def delete_machine(call: CurrentCall, machine: MachinePath) -> Response:
    is_gone = await call.perform(lambda tx, act: machines.delete_machine(tx, act, machine))
    return Response(status_code=200 if is_gone else 204)
