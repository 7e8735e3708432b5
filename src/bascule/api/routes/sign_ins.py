"""Bascule.Identity: where somebody is signed in, and the end of it: one's own, and others'.

Ending asks for no fresh proof: it takes away and gives nothing. Another's sign-ins are ended
by callers who may change that user (EDGES B4).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, requires
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.sign_ins import sign_ins_json
from bascule.domain.actions import USER_READ, USER_WRITE
from bascule.services import sign_ins

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

ME = f"{SUBSCRIPTION}/providers/Bascule.Identity/me"
USER = f"{SUBSCRIPTION}/providers/Bascule.Identity/users/{{user_id}}"
UserId = Annotated[str, Path(max_length=64, json_schema_extra={"format": "uuid"})]
SignInId = Annotated[str, Path(max_length=64, json_schema_extra={"format": "uuid"})]


@router.get(f"{ME}/signIns")
@admits_callers
async def list_own_sign_ins(call: CurrentCall) -> Response:
    """Browsers and programs signed in as the caller, most recently used first."""
    now = call.now
    live = await call.read(lambda reader: sign_ins.own_live(reader, call.subject, now))
    return CompactJson(sign_ins_json(live, call.token.family_id))


@router.delete(f"{ME}/signIns/{{sign_in_id}}")
@admits_callers
async def end_own_sign_in(call: CurrentCall, sign_in_id: SignInId) -> Response:
    """It may be the sign-in that this call uses."""
    await call.perform(lambda tx, act: sign_ins.end_own(tx, act, call.subject, sign_in_id))
    return Response(status_code=200)


@router.post(f"{ME}/signIns/endOthers")
@admits_callers
async def end_other_sign_ins(call: CurrentCall) -> Response:
    """End all sign-ins of the caller except the one that this call uses."""
    kept = call.token.family_id
    ended = await call.perform(lambda tx, act: sign_ins.end_others(tx, act, call.subject, kept))
    return CompactJson({"ended": ended})


@router.get(f"{USER}/signIns")
@requires(USER_READ)
async def list_sign_ins(call: CurrentCall, user_id: UserId) -> Response:
    now = call.now
    live = await call.read(lambda reader: sign_ins.live_of(reader, user_id, now))
    return CompactJson(sign_ins_json(live, call.token.family_id))


@router.delete(f"{USER}/signIns/{{sign_in_id}}")
@requires(USER_WRITE)
async def end_sign_in(call: CurrentCall, user_id: UserId, sign_in_id: SignInId) -> Response:
    await call.perform(lambda tx, act: sign_ins.end_of(tx, act, call.subject, user_id, sign_in_id))
    return Response(status_code=200)


@router.post(f"{USER}/signOut")
@requires(USER_WRITE)
async def sign_out(call: CurrentCall, user_id: UserId) -> Response:
    """End all sessions and tokens of a user who holds no more than the caller."""
    await call.perform(lambda tx, act: sign_ins.sign_out(tx, act, call.subject, user_id))
    return Response(status_code=204)
