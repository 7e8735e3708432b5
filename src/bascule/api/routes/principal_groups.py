"""Bascule.Identity/groups: groups of users and service principals, and who is in them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires
from bascule.api.envelope import CompactJson
from bascule.api.named import named_page, wanted_name
from bascule.api.paging import WantedPage
from bascule.api.routes.users import IDENTITY, Filter
from bascule.api.wire.principals import GroupBody, MemberBody, group_json, member_json
from bascule.domain.actions import (
    GROUP_OF_PEOPLE_DELETE,
    GROUP_OF_PEOPLE_READ,
    GROUP_OF_PEOPLE_WRITE,
)
from bascule.interfaces.store import Reader, Transaction
from bascule.services import memberships
from bascule.services.act import Act

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

GROUPS = f"{IDENTITY}/groups"
GROUP = f"{GROUPS}/{{group_id}}"
MEMBERS = f"{GROUP}/members"
MEMBER = f"{MEMBERS}/{{member_id}}"
Id = Annotated[str, Path(max_length=64, json_schema_extra={"format": "uuid"})]


@router.get(GROUPS)
@requires(GROUP_OF_PEOPLE_READ)
async def list_groups(call: CurrentCall, wanted: WantedPage, filter_text: Filter = "") -> Response:
    """Ordered by name."""
    return await named_page(
        call,
        wanted,
        wanted_name(filter_text),
        lambda reader, after, limit: reader.groups(after, limit),
        lambda each: each.name,
        lambda each: each.name.casefold(),
        lambda _, each: group_json(call.subscription, each),
    )


@router.post(GROUPS)
@requires(GROUP_OF_PEOPLE_WRITE)
async def create_group(call: CurrentCall, body: GroupBody) -> Response:
    given = body.properties
    made = await call.perform(
        lambda tx, act: memberships.create_group(
            tx, act, given.display_name or "", given.description or ""
        )
    )
    return CompactJson(group_json(call.subscription, made, 0), 201)


@router.get(GROUP)
@requires(GROUP_OF_PEOPLE_READ)
async def get_group(call: CurrentCall, group_id: Id) -> Response:
    return CompactJson(await call.read(lambda reader: _shown(reader, call, group_id)))


@router.patch(GROUP)
@requires(GROUP_OF_PEOPLE_WRITE)
async def change_group(call: CurrentCall, group_id: Id, body: GroupBody) -> Response:
    given = body.properties

    def work(tx: Transaction, act: Act) -> dict[str, Any]:
        memberships.change_group(
            tx,
            act,
            call.subject,
            group_id,
            name=given.display_name,
            description=given.description,
        )
        return _shown(tx, call, group_id)

    return CompactJson(await call.perform(work))


@router.delete(GROUP)
@requires(GROUP_OF_PEOPLE_DELETE)
async def delete_group(call: CurrentCall, group_id: Id) -> Response:
    """Its members stay, and lose the rights that only this group gave them."""
    is_gone = await call.perform(
        lambda tx, act: memberships.delete_group(tx, act, call.subject, group_id)
    )
    return Response(status_code=200 if is_gone else 204)


@router.get(MEMBERS)
@requires(GROUP_OF_PEOPLE_READ)
async def list_members(call: CurrentCall, group_id: Id) -> Response:
    found = await call.read(lambda reader: memberships.members(reader, group_id))
    return CompactJson({"value": [member_json(call.subscription, each) for each in found]})


@router.put(MEMBER)
@requires(GROUP_OF_PEOPLE_WRITE)
async def add_member(
    call: CurrentCall, group_id: Id, member_id: Id, body: MemberBody | None = None
) -> Response:
    """The caller must hold all rights of the group. A body may give the membership an end; null
    removes it, and without one the end of a membership stays.
    """
    until = body.until() if body else None
    member, is_new = await call.perform(
        lambda tx, act: memberships.add_member(tx, act, call.subject, group_id, member_id, until)
    )
    return CompactJson(member_json(call.subscription, member), 201 if is_new else 200)


@router.delete(MEMBER)
@requires(GROUP_OF_PEOPLE_WRITE)
async def remove_member(call: CurrentCall, group_id: Id, member_id: Id) -> Response:
    """Ports that the member opened by a right of this group alone close at once."""
    is_gone = await call.perform(
        lambda tx, act: memberships.remove_member(tx, act, call.subject, group_id, member_id)
    )
    return Response(status_code=200 if is_gone else 204)


def _shown(reader: Reader, call: Call, group_id: str) -> dict[str, Any]:
    group = memberships.find_group(reader, group_id)
    members = {each.member_id for each in reader.members_of(group.id)}
    return group_json(call.subscription, group, len(reader.live_grants_of(members)))
