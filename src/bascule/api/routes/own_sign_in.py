"""Bascule.Identity: how people sign in: their own ways, and an administrator's part.

``me`` is for users alone and says and changes what is theirs; each change asks for a fresh
proof (EDGES B4, B13), so that a token alone never becomes a lasting way in. An administrator
sets others' passwords and takes their factors away. Removing is a POST, because a body
carries the proof.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, requires
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.own_sign_in import (
    CodeBody,
    NewPasskeyBody,
    NewPasswordBody,
    ProvenBody,
    ceremony_json,
    new_totp_json,
    passkey_json,
    ways_in_json,
)
from bascule.api.wire.principals import PasswordBody
from bascule.domain.actions import USER_READ, USER_WRITE
from bascule.services.own_sign_in import (
    check_password,
    remove_factors_of,
    set_password_of,
    ways_in,
)
from bascule.services.sign_in import Visit
from bascule.services.users import find_user

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

ME = f"{SUBSCRIPTION}/providers/Bascule.Identity/me"
USER = f"{SUBSCRIPTION}/providers/Bascule.Identity/users/{{user_id}}"


def _visit(call: Call) -> Visit:
    correlation_id = str(call.request.state.correlation_id)
    return Visit(call.subject.address, call.subject.client, correlation_id)


# -- one's own --------------------------------------------------------------------------


@router.get(f"{ME}/factors")
@admits_callers
async def get_own_factors(call: CurrentCall) -> Response:
    return CompactJson(ways_in_json(await call.state.own_sign_in.ways_in(call.subject)))


@router.post(f"{ME}/proof")
@admits_callers
async def begin_proof(call: CurrentCall) -> Response:
    """Options for navigator.credentials.get, for a proof by one of the caller's passkeys."""
    return CompactJson(ceremony_json(await call.state.own_sign_in.begin_proof(call.subject)))


@router.put(f"{ME}/password")
@admits_callers
async def change_password(call: CurrentCall, body: NewPasswordBody) -> Response:
    """Voids all tokens of the caller, including the one of this call."""
    proof = body.proof.at(call.base_url)
    own = call.state.own_sign_in
    await own.change_password(call, proof, body.password, _visit(call))
    return Response(status_code=204)


@router.post(f"{ME}/totp")
@admits_callers
async def begin_totp(call: CurrentCall, body: ProvenBody) -> Response:
    """Make a secret, shown only in this answer. It is required from its first correct code on."""
    proof = body.proof.at(call.base_url)
    made = await call.state.own_sign_in.begin_totp(call, proof, _visit(call))
    return CompactJson(new_totp_json(made))


@router.post(f"{ME}/totp/confirm")
@admits_callers
async def confirm_totp(call: CurrentCall, body: CodeBody) -> Response:
    await call.state.own_sign_in.confirm_totp(call, body.code)
    return Response(status_code=204)


@router.post(f"{ME}/totp/remove")
@admits_callers
async def remove_totp(call: CurrentCall, body: ProvenBody) -> Response:
    proof = body.proof.at(call.base_url)
    await call.state.own_sign_in.remove_totp(call, proof, _visit(call))
    return Response(status_code=204)


@router.post(f"{ME}/recoveryCodes")
@admits_callers
async def make_recovery_codes(call: CurrentCall, body: ProvenBody) -> Response:
    """Make a new set, shown only in this answer. The previous set becomes void."""
    proof = body.proof.at(call.base_url)
    codes = await call.state.own_sign_in.make_recovery_codes(call, proof, _visit(call))
    return CompactJson({"codes": list(codes)})


@router.post(f"{ME}/passkeys/begin")
@admits_callers
async def begin_passkey(call: CurrentCall, body: ProvenBody) -> Response:
    """Options for navigator.credentials.create."""
    proof = body.proof.at(call.base_url)
    ceremony = await call.state.own_sign_in.begin_passkey(call.subject, proof, _visit(call))
    return CompactJson(ceremony_json(ceremony))


@router.post(f"{ME}/passkeys")
@admits_callers
async def finish_passkey(call: CurrentCall, body: NewPasskeyBody) -> Response:
    """Enrol the result of navigator.credentials.create. The ticket replaces the proof."""
    made = await call.state.own_sign_in.finish_passkey(call, body.at(call.base_url), body.name)
    return CompactJson(passkey_json(made), 201)


@router.post(f"{ME}/passkeys/{{passkey_id}}/remove")
@admits_callers
async def remove_passkey(call: CurrentCall, passkey_id: str, body: ProvenBody) -> Response:
    proof = body.proof.at(call.base_url)
    await call.state.own_sign_in.remove_passkey(call, passkey_id, proof, _visit(call))
    return Response(status_code=204)


# -- others' ----------------------------------------------------------------------------


@router.put(f"{USER}/password")
@requires(USER_WRITE)
async def set_others_password(call: CurrentCall, user_id: str, body: PasswordBody) -> Response:
    """Set the password of a user who holds no more than the caller. Voids the user's tokens."""
    user = await call.read(lambda reader: find_user(reader, user_id))
    check_password(body.password, user)
    hashed = await call.state.sign_in.proofs.passwords.hash(body.password)
    await call.perform(lambda tx, act: set_password_of(tx, act, call.subject, user_id, hashed))
    return Response(status_code=204)


@router.get(f"{USER}/factors")
@requires(USER_READ)
async def get_factors(call: CurrentCall, user_id: str) -> Response:
    return CompactJson(ways_in_json(await call.read(lambda reader: ways_in(reader, user_id))))


@router.delete(f"{USER}/factors")
@requires(USER_WRITE)
async def remove_factors(call: CurrentCall, user_id: str) -> Response:
    """Remove all second factors of a user who lost them. The password stays."""
    is_changed = await call.perform(
        lambda tx, act: remove_factors_of(tx, act, call.subject, user_id)
    )
    return Response(status_code=200 if is_changed else 204)
