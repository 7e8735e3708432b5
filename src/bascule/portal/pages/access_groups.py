"""Access control: groups; what a group holds, its members hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.auth import decides, shows
from bascule.domain.actions import (
    ASSIGNMENT_READ,
    GROUP_OF_PEOPLE_DELETE,
    GROUP_OF_PEOPLE_READ,
    GROUP_OF_PEOPLE_WRITE,
)
from bascule.domain.principals import Group
from bascule.errors import BasculeError
from bascule.interfaces.listing import Place
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    PATHS,
    Field,
    Form,
    find_principal,
    lacks,
    open_ports,
    perform_at,
    read_name_query,
    require,
    show_form,
    show_tab,
    whole,
    why_not_change,
)
from bascule.portal.kept import comes_back
from bascule.portal.paging import Sheet
from bascule.services import assignments, memberships
from bascule.services.act import Act

router = APIRouter(route_class=PortalRoute)

GROUPS = f"{ACCESS}/groups"


@router.get(GROUPS)
@shows(GROUP_OF_PEOPLE_READ)
async def list_groups(visit: CurrentVisit) -> Response:
    refused = lacks(visit, GROUP_OF_PEOPLE_READ, GROUPS)
    if refused is not None:
        return refused
    query = read_name_query(visit, GROUPS)

    def look(reader: Reader) -> Sheet[Group]:
        def fetch(is_backward: bool, after: Place | None, limit: int) -> Sequence[Group]:
            key = str(after.value) if after else ""
            return reader.groups(key, limit, part=query.part, is_descending=is_backward)

        return query.sheet(fetch, _place_of, reader.count_groups(query.part))

    return show_tab(
        visit,
        GROUPS,
        "access_groups.html",
        sheet=await visit.read(look),
        query=query,
        why_not_add=visit.why_not(GROUP_OF_PEOPLE_WRITE, whole(visit)),
    )


def _place_of(each: Group) -> Place:
    return Place(each.name.casefold(), each.id)


@router.get(f"{GROUPS}/add")
@decides(GROUP_OF_PEOPLE_WRITE)
async def ask_to_add(visit: CurrentVisit) -> Response:
    return _group_form(visit, None)


@router.post(f"{GROUPS}/add")
@comes_back
@decides(GROUP_OF_PEOPLE_WRITE)
async def add(visit: CurrentVisit) -> Response:
    name, description = visit.form.text("name"), visit.form.text("description")
    try:
        made = await perform_at(
            visit,
            GROUP_OF_PEOPLE_WRITE,
            lambda tx, act: memberships.create_group(tx, act, name, description),
        )
    except BasculeError as error:
        return _group_form(visit, None, error)
    return visit.go(f"{GROUPS}/{made.id}", "saved")


@router.get(f"{GROUPS}/{{group_id}}")
@shows(GROUP_OF_PEOPLE_READ)
async def show_group(visit: CurrentVisit, group_id: str) -> Response:
    require(visit, GROUP_OF_PEOPLE_READ)
    place = whole(visit)
    sees_roles = visit.may(ASSIGNMENT_READ, place)

    def look(reader: Reader) -> dict[str, Any]:
        group = memberships.find_group(reader, group_id)
        held = reader.role_assignments_of([group.id]) if sees_roles else ()
        return {
            "group": group,
            "standing": why_not_change(visit, reader, group.id),
            "members": memberships.members(reader, group.id),
            "roles": [assignments.view_of(reader, each) for each in held],
        }

    found = await visit.read(look)
    standing = found.pop("standing")
    return show_tab(
        visit,
        GROUPS,
        "access_group.html",
        **found,
        sees_roles=sees_roles,
        principal_paths={str(kind): path for kind, path in PATHS.items()},
        why_not_write=visit.why_not(GROUP_OF_PEOPLE_WRITE, place) or standing,
        why_not_delete=visit.why_not(GROUP_OF_PEOPLE_DELETE, place) or standing,
    )


@router.get(f"{GROUPS}/{{group_id}}/edit")
@decides(GROUP_OF_PEOPLE_WRITE)
async def ask_to_edit(visit: CurrentVisit, group_id: str) -> Response:
    return _group_form(visit, (await _known(visit, group_id))[0])


@router.post(f"{GROUPS}/{{group_id}}/edit")
@comes_back
@decides(GROUP_OF_PEOPLE_WRITE)
async def edit(visit: CurrentVisit, group_id: str) -> Response:
    group, _ = await _known(visit, group_id)
    name, description = visit.form.text("name"), visit.form.text("description")
    try:
        await perform_at(
            visit,
            GROUP_OF_PEOPLE_WRITE,
            lambda tx, act: memberships.change_group(
                tx, act, visit.subject, group.id, name=name, description=description
            ),
        )
    except BasculeError as error:
        return _group_form(visit, group, error)
    return visit.go(f"{GROUPS}/{group.id}", "saved")


def _group_form(visit: Visit, group: Group | None, error: BasculeError | None = None) -> Response:
    t = visit.words
    fields = (
        Field(
            *("name", t("access.name"), group.name if group else ""), is_required=True, longest=256
        ),
        Field("description", t("access.description"), group.description if group else ""),
    )
    path = f"{GROUPS}/{group.id}" if group else GROUPS
    form = Form(
        t("access.group_edit") if group else t("access.group_add"),
        f"{path}/edit" if group else f"{GROUPS}/add",
        t("save") if group else t("add"),
        path,
        fields,
        why_not="" if error else visit.why_not(GROUP_OF_PEOPLE_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


# -- members ---------------------------------------------------------------------------------


@router.get(f"{GROUPS}/{{group_id}}/members/add")
@decides(GROUP_OF_PEOPLE_WRITE)
async def ask_to_add_member(visit: CurrentVisit, group_id: str) -> Response:
    return _member_form(visit, (await _known(visit, group_id))[0])


@router.post(f"{GROUPS}/{{group_id}}/members/add")
@comes_back
@decides(GROUP_OF_PEOPLE_WRITE)
async def add_member(visit: CurrentVisit, group_id: str) -> Response:
    group, _ = await _known(visit, group_id)
    kind, wanted = visit.form.text("kind"), visit.form.text("principal")

    def work(tx: Transaction, act: Act) -> None:
        member_id = find_principal(visit, tx, kind, wanted)
        memberships.add_member(tx, act, visit.subject, group.id, member_id)

    try:
        await perform_at(visit, GROUP_OF_PEOPLE_WRITE, work)
    except BasculeError as error:
        return _member_form(visit, group, error)
    return visit.go(f"{GROUPS}/{group.id}", "saved")


def _member_form(visit: Visit, group: Group, error: BasculeError | None = None) -> Response:
    t = visit.words
    kinds = [(each, t(f"access.kind.{each}")) for each in ("User", "ServicePrincipal")]
    fields = (
        Field("kind", t("access.kind"), "User", "select", options=kinds),
        Field(
            *("principal", t("access.principal")),
            hint=t("access.principal_hint"),
            is_required=True,
            longest=256,
        ),
    )
    form = Form(
        t("access.member_add"),
        f"{GROUPS}/{group.id}/members/add",
        t("add"),
        f"{GROUPS}/{group.id}",
        fields,
        effects=[t("access.member_add_effect", group=group.name)],
        why_not="" if error else visit.why_not(GROUP_OF_PEOPLE_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


@router.get(f"{GROUPS}/{{group_id}}/members/{{member_id}}/remove")
@decides(GROUP_OF_PEOPLE_WRITE)
async def ask_to_remove_member(visit: CurrentVisit, group_id: str, member_id: str) -> Response:
    return await _removal_form(visit, group_id, member_id)


@router.post(f"{GROUPS}/{{group_id}}/members/{{member_id}}/remove")
@decides(GROUP_OF_PEOPLE_WRITE)
async def remove_member(visit: CurrentVisit, group_id: str, member_id: str) -> Response:
    try:
        await perform_at(
            visit,
            GROUP_OF_PEOPLE_WRITE,
            lambda tx, act: memberships.remove_member(tx, act, visit.subject, group_id, member_id),
        )
    except BasculeError as error:
        return await _removal_form(visit, group_id, member_id, error)
    return visit.go(f"{GROUPS}/{group_id}", "removed")


async def _removal_form(
    visit: Visit, group_id: str, member_id: str, error: BasculeError | None = None
) -> Response:
    t, (group, _) = visit.words, await _known(visit, group_id)

    def look(reader: Reader) -> tuple[str, int]:
        return assignments.name_of(reader, member_id) or member_id, open_ports(reader, [member_id])

    name, ports = await visit.read(look)
    effects = [t("access.member_remove_effect", member=name, group=group.name)]
    effects += _ports(visit, ports)
    form = Form(
        t("access.member_remove"),
        f"{GROUPS}/{group.id}/members/{member_id}/remove",
        t("remove"),
        f"{GROUPS}/{group.id}",
        effects=effects,
        is_destructive=True,
        why_not="" if error else visit.why_not(GROUP_OF_PEOPLE_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


# -- deleting ---------------------------------------------------------------------------------


@router.get(f"{GROUPS}/{{group_id}}/delete")
@decides(GROUP_OF_PEOPLE_DELETE)
async def ask_to_delete(visit: CurrentVisit, group_id: str) -> Response:
    return await _delete_form(visit, group_id)


@router.post(f"{GROUPS}/{{group_id}}/delete")
@decides(GROUP_OF_PEOPLE_DELETE)
async def delete(visit: CurrentVisit, group_id: str) -> Response:
    try:
        await perform_at(
            visit,
            GROUP_OF_PEOPLE_DELETE,
            lambda tx, act: memberships.delete_group(tx, act, visit.subject, group_id),
        )
    except BasculeError as error:
        return await _delete_form(visit, group_id, error)
    return visit.go(GROUPS, "removed")


async def _delete_form(visit: Visit, group_id: str, error: BasculeError | None = None) -> Response:
    t, (group, ports) = visit.words, await _known(visit, group_id)
    form = Form(
        t("access.group_delete"),
        f"{GROUPS}/{group.id}/delete",
        t("delete"),
        f"{GROUPS}/{group.id}",
        effects=[t("access.group_delete_effect", group=group.name), *_ports(visit, ports)],
        is_destructive=True,
        why_not="" if error else visit.why_not(GROUP_OF_PEOPLE_DELETE, whole(visit)),
    )
    return show_form(visit, form, error)


def _ports(visit: Visit, ports: int) -> Sequence[str]:
    t = visit.words
    return [t("access.ports_may_close", n=ports) if ports else t("access.no_ports")]


async def _known(visit: Visit, group_id: str) -> tuple[Group, int]:
    """The group, and how many openings its members have."""
    require(visit, GROUP_OF_PEOPLE_READ)

    def look(reader: Reader) -> tuple[Group, int]:
        group = memberships.find_group(reader, group_id)
        ids = {each.member_id for each in reader.members_of(group.id)}
        return group, open_ports(reader, sorted(ids))

    return await visit.read(look)
