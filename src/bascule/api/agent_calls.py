"""Calls that agents sign, checked, and their answers signed (``protocol.calls``, EDGES I1).

A signature says that the key which the call names made the call. Whether that is the agent's key is asked
as of every caller (``identity.authenticate``), and the answer names the key: so a refusal of a key is
true whoever asked, and nobody on the way can have an agent told that its own was refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bascule.domain.access import PrincipalKind
from bascule.errors import AuthenticationFailed, InvalidInput
from bascule.identity.authenticate import name_of_proof
from bascule.identity.tokens import LIFE, AccessToken
from bascule.identity.trust_key import TrustKey
from bascule.protocol.calls import CLOCKS_DIFFER, CallProof, call_text, digest_of_body, read_header
from bascule.protocol.enrolment import SIGNATURE_HEADER
from bascule.protocol.signed import Kind, is_signed
from bascule.services import assertions

if TYPE_CHECKING:
    from bascule.api.context import AppState

_SIGNED_PATH = re.compile(r"/bascule/points/([A-Za-z0-9-]{1,64})/(?:state|report)")
_KEPT = timedelta(seconds=2 * CLOCKS_DIFFER)  # of a nonce that was used


def proof_of_call(request: Request) -> CallProof | None:
    """None: this is no signed call. Raises AuthenticationFailed for a proof that cannot be read."""
    found = _SIGNED_PATH.fullmatch(request.scope["path"])
    header = request.headers.get("authorization", "")
    try:
        return read_header(header) if found is not None else None
    except InvalidInput as error:
        raise _changed(error.message) from None


def token_of_call(
    request: Request, proof: CallProof, state: AppState, now: datetime
) -> AccessToken:
    """What a token would say. Raises AuthenticationFailed unless the named key signed this call."""
    uid, tenant_id = request.path_params["uid"], state.installation.tenant_id
    query = request.scope["query_string"].decode("latin-1")
    target = f"{request.scope['path']}{'?' if query else ''}{query}"
    text = call_text(tenant_id, uid, request.method, target, proof)
    if not is_signed(proof.public_key, proof.signature, text):
        raise _changed("The signature is not of this call by the key that it names.")
    return AccessToken(
        principal_id=uid,
        kind=PrincipalKind.AGENT,
        tenant_id=tenant_id,
        issuer="",
        audience="",
        credential=name_of_proof(proof.public_key),
        id=proof.nonce,
        key_id="",  # no key of ours signed it
        issued_at=now,
        expires_at=now + LIFE[PrincipalKind.AGENT],
    )


async def use_once(request: Request, proof: CallProof, state: AppState, now: datetime) -> None:
    """Have a call that changes something count once, and not late. Raises AuthenticationFailed."""
    if request.method == "GET":
        return
    try:
        made = datetime.fromtimestamp(proof.time, UTC)
    except (OverflowError, OSError, ValueError):
        raise _changed("The time of the call cannot be read.") from None
    if abs(now - made) > timedelta(seconds=CLOCKS_DIFFER):
        raise _changed("The call is too old, or of another time than the server's.")
    since = state.services.serving_since
    if since is not None and made < since.replace(microsecond=0):
        # The database may have been restored since, and forgotten that it was used.
        raise _changed("The call was made before this server started.")
    why = await state.services.perform(
        lambda tx, _: assertions.use(tx, request.path_params["uid"], proof.nonce, now + _KEPT, now)
    )
    if why:
        raise _changed(f"The call is refused: {why}.")


async def check_body(request: Request, proof: CallProof) -> None:
    if digest_of_body(await request.body()) != proof.digest:
        raise _changed("The body is not the one that was signed.")


def _changed(message: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        message,
        code="CallNotProved",
        advice="The agent asks again. If this goes on, something on the way changes its calls.",
    )


class SignedAnswers:
    """ASGI middleware: answers to signed calls are signed for their question, whatever they are."""

    def __init__(self, app: ASGIApp, trust_key: TrustKey) -> None:
        self._app, self._trust_key = app, trust_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        uid, proof = _asked(scope)
        if proof is None:
            await self._app(scope, receive, send)
            return
        begun: Message | None = None
        content = b""

        async def send_signed(message: Message) -> None:
            nonlocal begun, content
            if message["type"] == "http.response.start":
                begun = message
                return
            content += message.get("body", b"")
            if begun is None or message.get("more_body"):
                return
            said = (Kind.ANSWER, uid, proof.question, int(begun["status"]), content)
            signature = self._trust_key.sign(*said).encode()
            head = (SIGNATURE_HEADER.lower().encode(), signature)
            await send({**begun, "headers": [*begun["headers"], head]})
            await send({"type": "http.response.body", "body": content})

        await self._app(scope, receive, send_signed)


def _asked(scope: Scope) -> tuple[str, CallProof | None]:
    found = _SIGNED_PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
    if found is None:
        return "", None
    try:
        return found[1], read_header(Headers(scope=scope).get("authorization", ""))
    except InvalidInput:
        return found[1], None
