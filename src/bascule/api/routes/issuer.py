"""The issuer's keys, and one's own sign-ins: what the API offers beside the sign-in pages."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, requires
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.fields import Body
from bascule.domain.actions import SIGNING_KEY_WRITE
from bascule.errors import Conflict
from bascule.interfaces.store import Transaction
from bascule.services import tokens
from bascule.services.act import Act

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

KEYS = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/signingKeys"
ME = f"{SUBSCRIPTION}/providers/Bascule.Identity/me"


class RotateBody(Body):
    forget: bool = False  # what the key of before has signed is refused at once


@router.post(f"{KEYS}/current/rotate")
@requires(SIGNING_KEY_WRITE)
async def rotate_signing_key(call: CurrentCall, body: RotateBody | None = None) -> Response:
    """Sign tokens with a new key. The answer has the ids of both keys."""
    is_forgotten = body is not None and body.forget
    state = call.state
    if state.replica_keys is not None:
        before, made = await state.replica_keys.rotate(call.perform, forget=is_forgotten)
        return _answer(before, made)
    rotate = partial(state.tokens.rotate, forget=is_forgotten)
    try:
        before, made = await tokens.rotate_signing_key(
            call.perform, rotate, is_forgotten=is_forgotten
        )
    finally:
        state.services.hub.wake_all()  # waits end whose key is forgotten
    return _answer(before, made)


def _answer(before: str, made: str) -> Response:
    return CompactJson({"properties": {"keyId": made, "previousKeyId": before}})


@router.post(f"{ME}/signOut")
@admits_callers
async def sign_out_everywhere(call: CurrentCall) -> Response:
    """End all sessions and tokens of the caller, who must be a person."""

    def work(tx: Transaction, act: Act) -> None:
        user = tx.user(call.subject.principal_id)
        if user is None:
            raise Conflict(
                "A service principal has no sign-ins to end.",
                advice="Remove its credential instead: bascule sp remove-credential NAME KEY.",
            )
        tokens.sign_out_everywhere(tx, act, user)

    await call.perform(work)
    return Response(status_code=204)
