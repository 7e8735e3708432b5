"""Bascule.Identity/me/mail: where a person wants mail, and of what."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.mail import CodeBody, MailBody, mail_json
from bascule.errors import BasculeError
from bascule.services.mail_choices import OwnMail, choose, own_mail, want_none
from bascule.services.mail_codes import confirm

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

MAIL = f"{SUBSCRIPTION}/providers/Bascule.Identity/me/mail"


@router.get(MAIL)
@admits_callers
async def get_mail(call: CurrentCall) -> Response:
    own = await call.read(lambda reader: own_mail(reader, call.subject, call.now))
    return CompactJson(mail_json(own))


@router.put(MAIL)
@admits_callers
async def put_mail(call: CurrentCall, body: MailBody) -> Response:
    """Want mail. A field that is left out keeps what is; a new choice needs an address."""
    draft = body.draft()
    made = await call.perform(lambda tx, act: choose(tx, act, call.subject, draft))
    return CompactJson(mail_json(made))


@router.post(f"{MAIL}/confirm")
@admits_callers
async def confirm_mail(call: CurrentCall, body: CodeBody) -> Response:
    """Take the address that waits, by the code that was sent there."""
    done = await call.perform(lambda tx, act: confirm(tx, act, call.subject, body.code))
    if isinstance(done, BasculeError):
        raise done
    return CompactJson(mail_json(OwnMail(done, None)))


@router.delete(MAIL)
@admits_callers
async def delete_mail(call: CurrentCall) -> Response:
    """Want no mail: 204 when none was wanted."""
    is_done = await call.perform(lambda tx, act: want_none(tx, act, call.subject))
    return Response(status_code=200 if is_done else 204)
