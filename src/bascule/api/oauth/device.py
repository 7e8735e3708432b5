"""Device codes: the endpoint that gives one out, and the page on which it is approved.

RFC 8628. The page is for people who have signed in; it names the program, the address that
asked for the code and the time, and says what approving means, because whoever sends
somebody a code of their own signs in as them (section 5.4; EDGES B7). Wrong codes are counted
as wrong passwords of somebody who is known are: neighbours use up nobody's tries.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from bascule.api.context import AppState, state_of
from bascule.api.oauth.browser import Browser, csrf_token, is_csrf_token
from bascule.api.oauth.refusals import NOT_KEPT, no_such_tenant, read_fields, refuse
from bascule.api.oauth.sign_in import to_sign_in
from bascule.api.origin import base_url, caller_address
from bascule.api.pages import Page, shown_time
from bascule.domain.clients import client_name
from bascule.domain.sign_in import network_of, wide_network_of
from bascule.domain.tokens import DEVICE_LIFE, DeviceCode
from bascule.identity.token_request import WRONG_SCOPE, Refused, missing, unknown_client
from bascule.services import devices
from bascule.services.devices import TooManyWaiting
from bascule.services.sessions import Visitor
from bascule.services.sign_in_limits import Attempt, SignInLimits

DEVICE_PAGE = "/device"
_TOO_MANY = Refused("invalid_request", 90033, "Too many codes are in use. Try again later.", 429)
_PURPOSE = "/device "  # of a form that approves the code after it
_TYPING = "/device typing"


router = APIRouter(tags=["OAuth"])


@router.post("/{tenant}/oauth2/v2.0/devicecode")
@router.post("/{tenant}/oauth2/devicecode")
async def device_code(tenant: str, request: Request) -> Response:
    return await _give_code(state_of(request), tenant, request)


@router.get(DEVICE_PAGE, include_in_schema=False)
async def ask(request: Request, user_code: str = "") -> Response:
    return await state_of(request).part(_DevicePage).ask(Browser(request), user_code)


@router.post(DEVICE_PAGE, include_in_schema=False)
async def answer(request: Request) -> Response:
    return await state_of(request).part(_DevicePage).answer(Browser(request))


async def _give_code(state: AppState, tenant: str, request: Request) -> Response:
    now = state.services.clock.now()
    read = await _read(state, tenant, request)
    if isinstance(read, Refused):
        return refuse(read, now)
    client_id, audience = read
    address = caller_address(request)
    room = await state.services.read(
        lambda reader: devices.find_room(reader, now, client_id, address)
    )
    if isinstance(room, TooManyWaiting):  # a flood keeps no writer busy
        return refuse(_TOO_MANY, now, room.retry_after)
    made = await state.services.perform(
        lambda tx, act: devices.ask(tx, act, client_id, audience, address)
    )
    if isinstance(made, TooManyWaiting):
        return refuse(_TOO_MANY, now, made.retry_after)
    text, code = made
    uri, shown = f"{base_url(request)}{DEVICE_PAGE}", devices.shown(code.user_code)
    content = {
        "device_code": text,
        "user_code": shown,
        "verification_uri": uri,
        "verification_url": uri,  # of the endpoints without v2.0
        "verification_uri_complete": f"{uri}?{urlencode({'user_code': shown})}",
        "expires_in": int(DEVICE_LIFE.total_seconds()),
        "interval": int(code.interval.total_seconds()),
        "message": f"To sign in, open the page {uri} in a browser and enter the code {shown}.",
    }
    return JSONResponse(content, headers=NOT_KEPT)


async def _read(state: AppState, tenant: str, request: Request) -> tuple[str, str] | Refused:
    """Client id and audience."""
    if not state.realm.is_tenant(tenant):
        return no_such_tenant(tenant)
    form = await read_fields(request)
    if isinstance(form, Refused):
        return form
    if not form.get("client_id"):
        return missing("client_id")
    client_id = form["client_id"].casefold()
    if client_name(client_id) is None:
        return unknown_client(client_id)
    audience = state.realm.audience_of(form.get("scope") or f"{form.get('resource', '')}/.default")
    return WRONG_SCOPE if audience is None else (client_id, audience)


class _DevicePage:
    def __init__(self, state: AppState) -> None:
        self._state = state
        key = state.sign_in.proofs.count_key
        self._guesses = SignInLimits(state.services, key, "device code")

    async def ask(self, browser: Browser, user_code: str, problem: str = "") -> Response:
        """The form to type a code into; one that a link brings is only filled in."""
        if await browser.visitor() is None:
            query = f"?{urlencode({'user_code': user_code[:64]})}" if user_code else ""
            return to_sign_in(f"{DEVICE_PAGE}{query}")
        content = {
            "csrf": csrf_token(browser.session_text, _TYPING),
            "user_code": user_code[:64],
            "problem": problem,
        }
        return browser.show(Page("device", content), 400 if problem else 200)

    async def answer(self, browser: Browser) -> Response:
        """A code that was typed, or the answer to what it is for."""
        form = await browser.fields()
        visitor = await browser.visitor()
        user_code = devices.typed(form.get("user_code", ""))
        if visitor is None:
            return to_sign_in(DEVICE_PAGE)
        given = form.get("csrf", "")
        if "answer" not in form:
            if not is_csrf_token(given, browser.session_text, _TYPING):
                return await self.ask(browser, user_code, "stale")
            return await self._look_up(browser, visitor, user_code)
        if not is_csrf_token(given, browser.session_text, _PURPOSE + user_code):
            return await self.ask(browser, user_code, "stale")
        return await self._answer(browser, visitor, user_code, form["answer"])

    async def _look_up(self, browser: Browser, visitor: Visitor, user_code: str) -> Response:
        network, wide = network_of(browser.address), wide_network_of(browser.address)
        attempt = Attempt(visitor.user.id, network, wide, is_known=True)  # by the session
        admitted = await self._guesses.try_password(attempt)
        if isinstance(admitted, timedelta):
            response = await self.ask(browser, "", "tooOften")
            response.status_code = 429
            response.headers["Retry-After"] = str(max(1, round(admitted.total_seconds())))
            return response
        code = await self._state.services.read(lambda reader: reader.device_code_of(user_code))
        if code is None or not code.is_waiting(self._state.services.clock.now()):
            return await self.ask(browser, "", "wrong")
        await self._guesses.give_back(admitted)
        return self._confirm(browser, visitor, code)

    def _confirm(self, browser: Browser, visitor: Visitor, code: DeviceCode) -> Response:
        content = {
            "csrf": csrf_token(browser.session_text, _PURPOSE + code.user_code),
            "user_code": code.user_code,
            "shown_code": devices.shown(code.user_code),
            "client": client_name(code.client_id),
            "address": code.address,
            "is_elsewhere": code.address != browser.address,
            "your_address": browser.address,
            "time": shown_time(code.created_at),
            "user": visitor.user,
        }
        return browser.show(Page("device_confirm", content))

    async def _answer(
        self, browser: Browser, visitor: Visitor, user_code: str, answer: str
    ) -> Response:
        is_approved = answer == "allow"
        code = await self._state.services.perform(
            lambda tx, act: devices.answer(
                tx, act, user_code, visitor.sign_in, browser.origin, is_approved=is_approved
            )
        )
        if code is None:
            return await self.ask(browser, "", "wrong")
        content = {"is_approved": is_approved, "client": client_name(code.client_id)}
        return browser.show(Page("device_done", content))
