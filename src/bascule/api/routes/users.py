"""Bascule.Identity/users, and ``me``: what callers may read about themselves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, requires
from bascule.api.envelope import CompactJson
from bascule.api.named import named_page, wanted_name
from bascule.api.paging import WantedPage
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.principals import UserBody, user_json, whoami_json
from bascule.domain.actions import USER_DELETE, USER_READ, USER_WRITE
from bascule.interfaces.store import Reader, Transaction
from bascule.services import users
from bascule.services.act import Act
from bascule.services.whoami import whoami

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

IDENTITY = f"{SUBSCRIPTION}/providers/Bascule.Identity"
USERS = f"{IDENTITY}/users"
ME = f"{IDENTITY}/me"
USER = f"{USERS}/{{user_id}}"
UserId = Annotated[str, Path(max_length=64, json_schema_extra={"format": "uuid"})]
Filter = Annotated[str, Query(alias="$filter", max_length=500)]


@router.get(ME)
@admits_callers
async def get_me(call: CurrentCall) -> Response:
    """The caller, their groups and roles, and where the roles come from."""
    now = call.now
    found = await call.read(lambda reader: whoami(reader, call.subject, now))
    return CompactJson(whoami_json(call.subscription, call.state.installation.tenant_id, found))


@router.get(USERS)
@requires(USER_READ)
async def list_users(call: CurrentCall, wanted: WantedPage, filter_text: Filter = "") -> Response:
    """Ordered by name."""
    return await named_page(
        call,
        wanted,
        wanted_name(filter_text),
        lambda reader, after, limit: reader.users(after, limit),
        lambda each: each.name,
        lambda each: each.name.casefold(),
        lambda _, each: user_json(call.subscription, each),
    )


@router.post(USERS)
@requires(USER_WRITE)
async def create_user(call: CurrentCall, body: UserBody) -> Response:
    """The new user has no role and no way to sign in."""
    draft = body.draft()
    made = await call.perform(
        lambda tx, act: users.create_user(
            tx,
            act,
            draft.name or "",
            draft.display_name or "",
            is_enabled=draft.is_enabled is not False,
        )
    )
    return CompactJson(user_json(call.subscription, made, 0), 201)


@router.get(USER)
@requires(USER_READ)
async def get_user(call: CurrentCall, user_id: UserId) -> Response:
    return CompactJson(await call.read(lambda reader: _shown(reader, call, user_id)))


@router.patch(USER)
@requires(USER_WRITE)
async def change_user(call: CurrentCall, user_id: UserId, body: UserBody) -> Response:
    """Rename, disable or enable. Disabling closes the user's open ports at once."""

    def work(tx: Transaction, act: Act) -> dict[str, Any]:
        users.change_user(tx, act, call.subject, user_id, body.draft())
        return _shown(tx, call, user_id)

    return CompactJson(await call.perform(work))


@router.delete(USER)
@requires(USER_DELETE)
async def delete_user(call: CurrentCall, user_id: UserId) -> Response:
    is_gone = await call.perform(lambda tx, act: users.delete_user(tx, act, call.subject, user_id))
    return Response(status_code=200 if is_gone else 204)


def _shown(reader: Reader, call: CurrentCall, user_id: str) -> dict[str, Any]:
    user = users.find_user(reader, user_id)
    return user_json(call.subscription, user, len(reader.live_grants_of([user.id])))
