"""What ARM asks of a call: an api-version, this subscription, a resource group that exists.

Also which scope a path names.
"""

from __future__ import annotations

import re
from datetime import date

from fastapi import Request

from bascule.api.arm_path import is_arm_path
from bascule.api.context import AppState
from bascule.domain.actions import GROUP_READ
from bascule.domain.ids import is_guid, is_resource_group_name
from bascule.domain.roles import Rights
from bascule.domain.scopes import Scope, group_scope
from bascule.errors import InvalidInput, NotFound

AUTHORIZATION = "Microsoft.Authorization"
_API_VERSION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:-[A-Za-z0-9.-]{1,32})?")


async def check_arm(request: Request, state: AppState, rights: Rights, group: str | None) -> str:
    """What ARM asks of a path of its own; the group's name as it was created.

    ``group``: the one that the path names, as it was created; None where there is none.
    """
    given = request.path_params.get("subscription_id")
    if is_arm_path(path_of(request)):
        _check_api_version(request)
    if given is None:
        return ""
    if not is_guid(given):
        raise InvalidInput(
            f"{given[:80]!r} is not a subscription id, which is a GUID.",
            code="InvalidSubscriptionId",
        )
    if given.lower() != state.installation.subscription_id:
        raise NotFound(
            f"The subscription '{given}' could not be found.",
            code="SubscriptionNotFound",
            advice=f"This server's subscription is {state.installation.subscription_id}.",
        )
    if group is not None:
        return group
    return await _missing_group(request.path_params.get("resource_group"), given, state, rights)


async def _missing_group(
    given: str | None, subscription_id: str, state: AppState, rights: Rights
) -> str:
    """The name as the group was created. Who holds nothing there or above does not learn
    whether there is one: for such a caller it is as empty as any other.
    """
    if given is None:
        return ""
    if not is_resource_group_name(given):
        raise InvalidInput(
            f"{given[:100]!r} is not a valid resource group name.", code="InvalidResourceName"
        )
    if rights.held_at(group_scope(subscription_id, given).key):
        groups = await state.services.read(lambda reader: reader.resource_groups())
        shown = [name for name in groups if _is_told(rights, subscription_id, name)]
        raise NotFound(
            f"Resource group '{given}' could not be found. Existing groups: {', '.join(shown)}.",
            code="ResourceGroupNotFound",
        )
    return given


def _is_told(rights: Rights, subscription_id: str, group: str) -> bool:
    return rights.is_told_of(GROUP_READ, group_scope(subscription_id, group).key)


def _check_api_version(request: Request) -> None:
    """Any date will do, with or without a suffix (EDGES A15)."""
    given = [value for name, value in request.query_params.multi_items() if _is_api_version(name)]
    if not given:
        raise InvalidInput(
            "The api-version query parameter (?api-version=) is required for all requests.",
            code="MissingApiVersionParameter",
            advice="Add a date, for example ?api-version=2020-01-01.",
        )
    for value in given:
        match = _API_VERSION.fullmatch(value)
        try:
            date.fromisoformat(match[1] if match else "")
        except ValueError:
            raise InvalidInput(
                f"The api-version '{value[:60]}' is invalid. It must be a date as YYYY-MM-DD, "
                "with or without a suffix such as -preview.",
                code="InvalidApiVersionParameter",
            ) from None


def _is_api_version(name: str) -> bool:
    return name.casefold() == "api-version"


def path_of(request: Request) -> str:
    """The path that was routed. ``request.url`` is put together and taken apart again: it
    would drop tabs and line ends, and end at a # or ? that stands in a name.
    """
    return str(request.scope["path"])


def scope_of_path(path: str) -> Scope:
    """The scope that a canonical path names: its longest part of whole names.

    ``/subscriptions/S/providers/N/types`` is about the subscription, ``.../types/name/verb``
    about that resource. What is Microsoft.Authorization's is about what stands before it: an
    assignment is made and taken by a right at the scope where it is assigned.
    """
    parts = path.strip("/").split("/")
    end = 2
    if parts[2:3] == ["resourceGroups"] and len(parts) >= 4:
        end = 4
    while (
        parts[end : end + 1] == ["providers"]
        and len(parts) >= end + 4
        and parts[end + 1] != AUTHORIZATION
    ):
        end += 4
        while len(parts) >= end + 2 and parts[end] != "providers":
            end += 2
    return Scope("/" + "/".join(parts[:end]))
