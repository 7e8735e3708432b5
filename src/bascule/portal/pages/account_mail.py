"""One's own messages: where one wants mail, of what, in which language; and confirming an address.

GET changes nothing, also with a code in the address: whatever follows the link of a mail sees a page with a
button. It works without JavaScript.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.errors import BasculeError
from bascule.portal import problems
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.account import ACCOUNT
from bascule.services.mail_choices import ChoiceDraft, choose, own_mail, want_none
from bascule.services.mail_codes import confirm
from bascule.words import msgid

router = APIRouter(route_class=PortalRoute)

MAIL = f"{ACCOUNT}/mail"
LONGEST_CODE = 20
WISHES = (
    ("asked", msgid("Requests that wait for my approval")),
    ("own", msgid("What becomes of my own requests")),
    ("ending", msgid("That access of mine starts or ends soon")),
)


@router.get(MAIL)
@admits_callers
async def show_mail(visit: CurrentVisit) -> Response:
    return await _page(visit)


@router.post(MAIL)
@admits_callers
async def save_mail(visit: CurrentVisit) -> Response:
    form = visit.form
    draft = ChoiceDraft(
        form.text("address") or None,
        form.text("language") or None,
        form.has("asked"),
        form.has("own"),
        form.has("ending"),
    )
    try:
        made = await visit.perform(lambda tx, act: choose(tx, act, visit.subject, draft))
    except BasculeError as error:
        return await _page(visit, error)
    return visit.go(MAIL, "saved" if made.waits is None else "mail_code_asked")


@router.post(f"{MAIL}/confirm")
@admits_callers
async def confirm_mail(visit: CurrentVisit) -> Response:
    code = visit.form.text("code")[:LONGEST_CODE]
    done = await visit.perform(lambda tx, act: confirm(tx, act, visit.subject, code))
    if isinstance(done, BasculeError):
        return await _page(visit, done)
    return visit.go(MAIL, "mail_confirmed")


@router.post(f"{MAIL}/off")
@admits_callers
async def end_mail(visit: CurrentVisit) -> Response:
    await visit.perform(lambda tx, act: want_none(tx, act, visit.subject))
    return visit.go(MAIL, "mail_off")


async def _page(visit: Visit, error: BasculeError | None = None) -> Response:
    """As it is; after an error, above the forms as they were filled in."""
    own = await visit.read(lambda reader: own_mail(reader, visit.subject, visit.now))
    form, choice = visit.form, own.choice
    is_sent = error is not None and form.has("language")
    ticked = {
        name: form.has(name) if is_sent else getattr(choice, name, name != "ending")
        for name, _ in WISHES
    }
    given = form.text("code") or visit.request.query_params.get("code", "")
    response = visit.show(
        "account_mail.html",
        error.http_status if error else 200,
        own=own,
        address=form.text("address") if is_sent else getattr(choice, "address", ""),
        language=(form.text("language") if is_sent else getattr(choice, "language", ""))
        or visit.words.language,
        wishes=[(name, visit.words(text), ticked[name]) for name, text in WISHES],
        code=given[:LONGEST_CODE],
        sends=bool(visit.state.way_out.mail_from),
        reasons=problems.reasons_of(error) if error else (),
        advice=error.advice if error else "",
    )
    if error is not None and error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response
