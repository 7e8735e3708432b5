"""Bascule.Identity/me/mail: where a person wants mail, and of what."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.mail import MailBody, mail_json
from bascule.services.mail_choices import choose, own_choice, want_none

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

MAIL = f"{SUBSCRIPTION}/providers/Bascule.Identity/me/mail"


@router.get(MAIL)
@admits_callers
async def get_mail(call: CurrentCall) -> Response:
    return CompactJson(mail_json(await call.read(lambda reader: own_choice(reader, call.subject))))


@router.put(MAIL)
@admits_callers
async def put_mail(call: CurrentCall, body: MailBody) -> Response:
    """Want mail. A field that is left out keeps what is; a new choice needs an address."""
    draft = body.draft()
    made = await call.perform(lambda tx, act: choose(tx, act, call.subject, draft))
    return CompactJson(mail_json(made))


@router.delete(MAIL)
@admits_callers
async def delete_mail(call: CurrentCall) -> Response:
    """Want no mail: 204 when none was wanted."""
    is_done = await call.perform(lambda tx, act: want_none(tx, act, call.subject))
    return Response(status_code=200 if is_done else 204)
