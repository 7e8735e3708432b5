"""The few calls to Microsoft Graph that az makes to find people by name or id.

Source: Microsoft Graph v1.0 (user, group, servicePrincipal, directoryObject: getByIds) as
azure-cli 2.91 uses it (CLIENTS 1.4). Read only. A token for the Graph is good here and
nowhere else (EDGES B5). The caller sees what they may read at the subscription, and always
themselves; principals that they may not see look like missing ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, decides
from bascule.api.envelope import CompactJson
from bascule.api.filters import Clause, parse_filter
from bascule.api.wire.fields import Body, Text
from bascule.domain.access import PrincipalKind
from bascule.domain.actions import GROUP_OF_PEOPLE_READ, SERVICE_PRINCIPAL_READ, USER_READ
from bascule.domain.principals import Group, ServicePrincipal, User
from bascule.domain.scopes import subscription_scope
from bascule.errors import NotFound
from bascule.identity.realm import GRAPH
from bascule.interfaces.store import Reader

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

V1 = f"{GRAPH}/v1.0"
MOST_IDS = 1000  # as Graph has it
MOST_SHOWN = 1000
_READ = {
    PrincipalKind.USER: USER_READ,
    PrincipalKind.GROUP: GROUP_OF_PEOPLE_READ,
    PrincipalKind.SERVICE: SERVICE_PRINCIPAL_READ,
}
_TYPES = {
    "user": PrincipalKind.USER,
    "group": PrincipalKind.GROUP,
    "serviceprincipal": PrincipalKind.SERVICE,
}
# az writes its one question about a name in this form (OData 4.01, lambda operators).
_ANY_NAME = re.compile(
    r"servicePrincipalNames/any\(\s*(\w+)\s*:\s*\1\s+eq\s+('(?:[^']|'')*')\s*\)", re.IGNORECASE
)
_USER_FILTERS = (
    ("userPrincipalName", "eq"),
    ("userPrincipalName", "startswith"),
    ("displayName", "eq"),
    ("displayName", "startswith"),
    ("mailNickname", "eq"),
    ("id", "eq"),
)
_GROUP_FILTERS = tuple(each for each in _USER_FILTERS if each[0] != "userPrincipalName")
_SERVICE_FILTERS = (
    ("servicePrincipalNames", "eq"),
    ("appId", "eq"),
    ("displayName", "eq"),
    ("displayName", "startswith"),
    ("id", "eq"),
)
Filter = Annotated[str, Query(alias="$filter", max_length=500)]
Name = Annotated[str, Path(max_length=256)]


class IdsBody(Body):
    ids: list[Text] = Field(max_length=MOST_IDS)
    types: list[Text] | None = Field(default=None, max_length=16)


@router.get(f"{V1}/me")
@admits_callers
async def get_me(call: CurrentCall) -> Response:
    found = await call.read(lambda reader: _by_id(reader, call.subject.principal_id))
    if found is None:
        raise _nobody(call.subject.principal_id)
    return CompactJson(found)


@router.post(f"{V1}/directoryObjects/getByIds")
@decides(USER_READ, GROUP_OF_PEOPLE_READ, SERVICE_PRINCIPAL_READ)
async def get_by_ids(call: CurrentCall, body: IdsBody) -> Response:
    """The principals that exist and that the caller may see, in the requested order."""
    asked = {each.casefold() for each in body.types or ()}
    kinds = {kind for name, kind in _TYPES.items() if body.types is None or name in asked}

    def read(reader: Reader) -> list[dict[str, Any]]:
        found = []
        for wanted in dict.fromkeys(each.lower() for each in body.ids):
            kind = reader.principal_kind(wanted)
            if kind in kinds and _may_see(call, kind, wanted):
                found.append(_by_id(reader, wanted))
        return [each for each in found if each is not None]

    return CompactJson({"value": await call.read(read)})


@router.get(f"{V1}/users")
@decides(USER_READ)
async def list_users(call: CurrentCall, filter_text: Filter = "") -> Response:
    return await _list(call, PrincipalKind.USER, filter_text, _USER_FILTERS)


@router.get(f"{V1}/users/{{name}}")
@decides(USER_READ)
async def get_user(call: CurrentCall, name: Name) -> Response:
    """By id or by user principal name."""

    def read(reader: Reader) -> dict[str, Any] | None:
        user = reader.user(name) or reader.user_by_name(name)
        if user is None or not _may_see(call, PrincipalKind.USER, user.id):
            return None
        return _user_json(user)

    found = await call.read(read)
    if found is None:
        raise _nobody(name)
    return CompactJson(found)


@router.get(f"{V1}/groups")
@decides(GROUP_OF_PEOPLE_READ)
async def list_groups(call: CurrentCall, filter_text: Filter = "") -> Response:
    return await _list(call, PrincipalKind.GROUP, filter_text, _GROUP_FILTERS)


@router.get(f"{V1}/groups/{{group_id}}")
@decides(GROUP_OF_PEOPLE_READ)
async def get_group(call: CurrentCall, group_id: Name) -> Response:
    return await _show(call, PrincipalKind.GROUP, group_id)


@router.get(f"{V1}/servicePrincipals")
@decides(SERVICE_PRINCIPAL_READ)
async def list_service_principals(call: CurrentCall, filter_text: Filter = "") -> Response:
    plain = _ANY_NAME.sub(r"servicePrincipalNames eq \2", filter_text)
    return await _list(call, PrincipalKind.SERVICE, plain, _SERVICE_FILTERS)


@router.get(f"{V1}/servicePrincipals/{{principal_id}}")
@decides(SERVICE_PRINCIPAL_READ)
async def get_service_principal(call: CurrentCall, principal_id: Name) -> Response:
    """Its id and its appId are the same here."""
    return await _show(call, PrincipalKind.SERVICE, principal_id)


async def _show(call: Call, kind: PrincipalKind, wanted: str) -> Response:
    """One by id; raise NotFound alike for none, one of another kind, and one not to be seen."""
    principal_id = wanted.lower()

    def read(reader: Reader) -> dict[str, Any] | None:
        if reader.principal_kind(principal_id) is not kind:
            return None
        return _by_id(reader, principal_id) if _may_see(call, kind, principal_id) else None

    found = await call.read(read)
    if found is None:
        raise _nobody(wanted)
    return CompactJson(found)


async def _list(
    call: Call, kind: PrincipalKind, filter_text: str, offered: Sequence[tuple[str, str]]
) -> Response:
    clauses = parse_filter(filter_text, offered)

    def read(reader: Reader) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for each in _all(reader, kind):
            if (
                len(found) < MOST_SHOWN
                and _fits(each, clauses)
                and _may_see(call, kind, each["id"])
            ):
                found.append(each)
        return found

    return CompactJson({"value": await call.read(read)})


def _all(reader: Reader, kind: PrincipalKind) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        if kind is PrincipalKind.USER:
            users = reader.users(after)
            rows = [_user_json(each) for each in users]
            after = users[-1].name.casefold() if users else ""
        elif kind is PrincipalKind.GROUP:
            groups = reader.groups(after)
            rows = [_group_json(each) for each in groups]
            after = groups[-1].name.casefold() if groups else ""
        else:
            principals = reader.service_principals(after)
            rows = [_service_json(each) for each in principals]
            after = principals[-1].id if principals else ""
        found.extend(rows)
        if not rows:
            return found


def _fits(entity: Mapping[str, Any], clauses: Sequence[Clause]) -> bool:
    return all(_is_so(entity.get(clause.field, ""), clause) for clause in clauses)


def _is_so(value: object, clause: Clause) -> bool:
    wanted = clause.value.casefold()
    values = value if isinstance(value, list) else [value]
    texts = [str(each).casefold() for each in values]
    if clause.operator == "startswith":
        return any(text.startswith(wanted) for text in texts)
    return wanted in texts


def _may_see(call: Call, kind: PrincipalKind, principal_id: str) -> bool:
    if principal_id == call.subject.principal_id:
        return True
    return call.rights.may(_READ[kind], subscription_scope(call.subscription_id))


def _by_id(reader: Reader, principal_id: str) -> dict[str, Any] | None:
    user = reader.user(principal_id)
    if user is not None:
        return _user_json(user)
    group = reader.group(principal_id)
    if group is not None:
        return _group_json(group)
    service = reader.service_principal(principal_id)
    return None if service is None else _service_json(service)


def _user_json(user: User) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.user",
        "id": user.id,
        "userPrincipalName": user.name,
        "displayName": user.display_name,
        "accountEnabled": user.is_enabled,
        "mailNickname": user.name.partition("@")[0],
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.group",
        "id": group.id,
        "displayName": group.name,
        "description": group.description,
        "mailNickname": group.name,
        "securityEnabled": True,
        "mailEnabled": False,
    }


def _service_json(principal: ServicePrincipal) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.servicePrincipal",
        "id": principal.id,
        "appId": principal.id,
        "displayName": principal.display_name,
        "appDisplayName": principal.display_name,
        "accountEnabled": principal.is_enabled,
        "servicePrincipalNames": [principal.id],
        "servicePrincipalType": "Application",
    }


def _nobody(name: str) -> NotFound:
    return NotFound(
        f"There is no principal {name[:120]!r} that you may see.",
        code="Request_ResourceNotFound",
    )
