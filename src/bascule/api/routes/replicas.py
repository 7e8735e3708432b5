"""A host becomes a replica: it proves a one-time token and is given the wrapping key (EDGES H7).

The token itself is the proof, in the body, over TLS that the new replica has pinned to the CA of the
installation. No api-version here.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from bascule.api.auth import GuardedRoute
from bascule.api.context import state_of
from bascule.api.denials import client_of
from bascule.api.entries import admits_anybody
from bascule.api.envelope import CompactJson
from bascule.api.origin import caller_address
from bascule.api.wire.fields import Body
from bascule.domain.access import PrincipalKind, Subject
from bascule.errors import Conflict, Forbidden
from bascule.identity.join_token import MAKE_ONE
from bascule.interfaces.store import Reader
from bascule.services import invites

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

Short = Annotated[str, Field(min_length=1, max_length=255)]


class JoinBody(Body):
    invite_id: Short
    secret: Annotated[Short, Field(repr=False)]
    host: Short


@router.post("/bascule/replicas/join")
@admits_anybody
async def join(request: Request, body: JoinBody) -> Response:
    """Use a token of 'bascule admin replica invite'. Only this answer has the wrapping key."""
    state = state_of(request)
    keys = state.replica_keys
    if keys is None:
        raise Conflict(
            "This server keeps its record in SQLite, so it has no replicas.",
            code="NoReplicas",
            advice="Move the record to PostgreSQL first.",
        )
    caller = Subject("", PrincipalKind.SERVICE, "", caller_address(request), client_of(request))
    shared = keys.shared
    now = state.services.clock.now()

    def end(reader: Reader) -> datetime | None:
        known = reader.replica_invite(body.invite_id)
        return None if known is None else shared.end_of_invite(reader, known, body.secret)

    ends_at = await state.services.read_few(end)
    why = invites.why_refused(ends_at, now)
    if why and not state.stranger_denials.is_recorded(caller.address, now):
        raise _refusal(why)  # guesses (EDGES B8)
    wrapping_key = shared.wrapping_key()  # before the token is used up
    refused = await state.services.perform(
        lambda tx, act: invites.join(
            tx,
            act,
            body.invite_id,
            body.host,
            lambda found: shared.end_of_invite(tx, found, body.secret),
        ),
        caller,
        str(request.state.correlation_id),
    )
    if refused is not None:
        raise _refusal(refused.why)
    return CompactJson(
        {
            "tenantId": state.installation.tenant_id,
            "wrappingKey": base64.b64encode(wrapping_key).decode(),
            "database": keys.database.url,
            "mayBeUnverified": keys.database.may_be_unverified,
        }
    )


def _refusal(why: str) -> Forbidden:
    return Forbidden(
        f"This host may not join: {why}.",
        code="JoinRefused",
        advice=MAKE_ONE,
    )
