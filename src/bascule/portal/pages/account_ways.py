"""Changes of one's own ways of signing in: password, authenticator app, passkeys, recovery codes.

Each is a form with a fresh proof; what is wrong is said above the form as it was filled in,
but for what is secret. A new secret is in the one answer that made it. Passkeys need the
script ``passkeys.js``; everything else works without.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any

import segno
from fastapi import APIRouter
from markupsafe import Markup
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.api.oauth.browser import SESSION, Browser, remember, set_cookie
from bascule.domain.names import parse_display_name
from bascule.domain.principals import User
from bascule.errors import BasculeError, InvalidInput, NotFound
from bascule.interfaces.store import Transaction
from bascule.portal import problems
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.look import HEADERS, lead
from bascule.portal.pages.account import ACCOUNT
from bascule.portal.proving import proof_content, read_key, read_proof, sign_in_visit
from bascule.services import own_sign_in, sessions
from bascule.services.act import Act
from bascule.services.own_sign_in import WaysIn

router = APIRouter(route_class=PortalRoute)

_URI = re.compile(r"otpauth://totp/[!-~]{1,500}")
_CODE = re.compile(r"[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}")


async def _ways(visit: Visit) -> WaysIn:
    user_id = visit.subject.principal_id
    return await visit.read(lambda reader: own_sign_in.ways_in(reader, user_id))


async def _form(
    visit: Visit, what: str, error: BasculeError | None = None, **more: object
) -> Response:
    """The form of one change; ``what`` is the last part of its path and of its words."""
    ways = await _ways(visit)
    content: Mapping[str, Any] = {
        "what": what,
        "action": f"{ACCOUNT}/{what}",
        "ways": ways,
        "name": visit.form.text("name"),
        "reasons": problems.reasons_of(error) if error else (),
        "advice": error.advice if error else "",
        **await proof_content(visit, ways),
        **more,
    }
    response = visit.show("account_change.html", error.http_status if error else 200, **content)
    if error is not None and error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


# -- password -------------------------------------------------------------------------------


@router.get(f"{ACCOUNT}/password")
@admits_callers
async def ask_password(visit: CurrentVisit) -> Response:
    return await _form(visit, "password")


@router.post(f"{ACCOUNT}/password")
@admits_callers
async def change_password(visit: CurrentVisit) -> Response:
    """Voids every session and token; this browser is given a new session at once."""
    form = visit.form
    try:
        if form.raw("password") != form.raw("again"):
            raise InvalidInput(
                "The two new passwords differ.", code="PasswordsDiffer", target="again"
            )
        await visit.state.own_sign_in.change_password(
            visit, read_proof(visit), form.raw("password"), sign_in_visit(visit)
        )
    except BasculeError as error:
        return await _form(visit, "password", error)
    return await _sign_in_again(visit)


async def _sign_in_again(visit: Visit) -> Response:
    """A session of the new epoch, unless somebody ended more than the change did."""
    browser, was = Browser(visit.request), visit.visitor

    def work(tx: Transaction, act: Act) -> tuple[User, str | None] | None:
        user = tx.user(was.user.id)
        if user is None or user.epoch != was.user.epoch + 1:
            return None
        methods, before = was.sign_in.methods, [visit.session_text]
        factor_at = was.sign_in.factor_at  # no factor was shown now
        return user, sessions.begin(tx, act, user, methods, before, browser.origin, factor_at)

    begun = await visit.state.services.perform(work, visit.subject)
    response = lead(visit.request, f"{ACCOUNT}?notice=password_changed")
    if begun is not None and begun[1] is not None:
        set_cookie(response, SESSION, begun[1])
        remember(response, visit.state, begun[0])
    return response


# -- authenticator app ----------------------------------------------------------------------


@router.get(f"{ACCOUNT}/totp")
@admits_callers
async def ask_totp(visit: CurrentVisit) -> Response:
    return await _form(visit, "totp")


@router.post(f"{ACCOUNT}/totp")
@admits_callers
async def begin_totp(visit: CurrentVisit) -> Response:
    try:
        proof = read_proof(visit)
        own = visit.state.own_sign_in
        made = await own.begin_totp(visit, proof, sign_in_visit(visit))
    except BasculeError as error:
        return await _form(visit, "totp", error)
    return _show_totp(visit, made.uri)


@router.post(f"{ACCOUNT}/totp/confirm")
@admits_callers
async def confirm_totp(visit: CurrentVisit) -> Response:
    """Take the first code; a wrong one shows the same picture again, which came along."""
    code, uri = visit.form.text("code").replace(" ", ""), visit.form.text("uri")
    try:
        await visit.state.own_sign_in.confirm_totp(visit, code)
    except InvalidInput as error:
        if not _URI.fullmatch(uri):
            raise
        return _show_totp(visit, uri, error)
    return visit.go(ACCOUNT, "totp_enrolled")


def _show_totp(visit: Visit, uri: str, error: BasculeError | None = None) -> Response:
    secret = re.search(r"[?&]secret=([A-Z2-7]+)", uri)
    return visit.show(
        "account_totp.html",
        error.http_status if error else 200,
        uri=uri,
        secret=" ".join(re.findall(".{1,4}", secret[1])) if secret else "",
        picture=_qr(uri),
        reasons=problems.reasons_of(error) if error else (),
        advice=error.advice if error else "",
    )


def _qr(text: str) -> Markup:
    """A QR code as SVG; dark on light in every theme, since a camera reads it."""
    out = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(
        out, kind="svg", xmldecl=False, svgclass="qr", lineclass=None, omitsize=True, border=4
    )
    return Markup(out.getvalue().decode())  # noqa: S704  # reason: of numbers alone


@router.get(f"{ACCOUNT}/totp/remove")
@admits_callers
async def ask_to_remove_totp(visit: CurrentVisit) -> Response:
    return await _form(visit, "totp/remove")


@router.post(f"{ACCOUNT}/totp/remove")
@admits_callers
async def remove_totp(visit: CurrentVisit) -> Response:
    try:
        own = visit.state.own_sign_in
        await own.remove_totp(visit, read_proof(visit), sign_in_visit(visit))
    except BasculeError as error:
        return await _form(visit, "totp/remove", error)
    return visit.go(ACCOUNT, "removed")


# -- recovery codes -------------------------------------------------------------------------


@router.get(f"{ACCOUNT}/recovery")
@admits_callers
async def ask_recovery(visit: CurrentVisit) -> Response:
    return await _form(visit, "recovery")


@router.post(f"{ACCOUNT}/recovery")
@admits_callers
async def make_recovery(visit: CurrentVisit) -> Response:
    try:
        own = visit.state.own_sign_in
        proof = read_proof(visit)
        codes = await own.make_recovery_codes(visit, proof, sign_in_visit(visit))
    except BasculeError as error:
        return await _form(visit, "recovery", error)
    return visit.show("account_codes.html", codes=codes)


@router.post(f"{ACCOUNT}/recovery/file")
@admits_callers
async def recovery_file(visit: CurrentVisit) -> Response:
    """The codes that the page has just shown, as a file: the server keeps none to give again."""
    codes = [each for each in visit.form.texts("code")[:20] if _CODE.fullmatch(each)]
    heading = visit.words(
        "Recovery codes of {name} at {where}; each works once",
        name=visit.subject.name,
        where=visit.base_url,
    )
    body = "\r\n".join([heading, "", *codes, ""])
    named = {"Content-Disposition": 'attachment; filename="bascule-recovery-codes.txt"'}
    return Response(body, 200, {**HEADERS, **named}, media_type="text/plain")


# -- passkeys -------------------------------------------------------------------------------


@router.get(f"{ACCOUNT}/passkeys")
@admits_callers
async def ask_passkey(visit: CurrentVisit) -> Response:
    return await _form(visit, "passkeys")


@router.post(f"{ACCOUNT}/passkeys")
@admits_callers
async def begin_passkey(visit: CurrentVisit) -> Response:
    """With a right proof: what the browser needs to have an authenticator make one."""
    try:
        parse_display_name(visit.form.text("name"), "name")
        own, proof = visit.state.own_sign_in, read_proof(visit)
        ceremony = await own.begin_passkey(visit.subject, proof, sign_in_visit(visit))
    except BasculeError as error:
        return await _form(visit, "passkeys", error)
    return visit.show(
        "account_passkey.html",
        name=visit.form.text("name"),
        options=json.dumps(ceremony.options),
        ticket=ceremony.ticket,
    )


@router.post(f"{ACCOUNT}/passkeys/create")
@admits_callers
async def create_passkey(visit: CurrentVisit) -> Response:
    """The ticket stands for the proof."""
    key = read_key(visit, "ticket", "answer")
    own, name = visit.state.own_sign_in, visit.form.text("name")
    await own.finish_passkey(visit, key, name)
    return visit.go(ACCOUNT, "passkey_enrolled")


@router.get(f"{ACCOUNT}/passkeys/remove")
@admits_callers
async def ask_to_remove_passkey(visit: CurrentVisit, id: str = "") -> Response:  # noqa: A002  # reason: its name in URLs
    return await _removal(visit, id)


@router.post(f"{ACCOUNT}/passkeys/remove")
@admits_callers
async def remove_passkey(visit: CurrentVisit) -> Response:
    wanted = visit.form.text("id")
    try:
        own = visit.state.own_sign_in
        await own.remove_passkey(visit, wanted, read_proof(visit), sign_in_visit(visit))
    except NotFound:
        raise
    except BasculeError as error:
        return await _removal(visit, wanted, error)
    return visit.go(ACCOUNT, "removed")


async def _removal(visit: Visit, passkey_id: str, error: BasculeError | None = None) -> Response:
    ways = await _ways(visit)
    passkey = next((each for each in ways.passkeys if each.id == passkey_id), None)
    if passkey is None:
        raise NotFound("You have no such passkey.", code="PasskeyNotFound")
    return await _form(visit, "passkeys/remove", error, passkey=passkey)
