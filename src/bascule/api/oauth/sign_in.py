"""The pages of signing in and out.

A name and a password first, then an enrolled second factor (EDGES B13); or a passkey alone.
Whoever has signed in anywhere, here or at an external provider, goes on by ``finish``: it
makes the session, gives it a new cookie, and leads on to ``next``. Every refusal is shown on
the page that was filled in, with the status that says so to programs (429 with Retry-After).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from bascule.api.oauth.browser import (
    SESSION,
    SIGN_IN,
    YOU,
    Browser,
    csrf_token,
    drop_cookie,
    go,
    is_csrf_token,
    new_cookie_text,
    remember,
    safe_next,
    safe_page,
    set_cookie,
)
from bascule.api.origin import base_url
from bascule.api.pages import Page, Provider, static_file
from bascule.api.pages.look import LANGUAGES, THEMES, keep_look, look_of
from bascule.domain.principals import User
from bascule.domain.sign_in import FactorKind
from bascule.domain.tokens import SignIn as SignInProof
from bascule.interfaces.store import Transaction
from bascule.json_text import read_json
from bascule.services import sessions, sign_ins, tokens
from bascule.services.act import Act
from bascule.services.sign_in import PasswordAccepted, Refusal, SignedIn, SignInRefused

SIGN_IN_PAGE = "/signin"
FACTOR_PAGE = "/signin/factor"
LEAVE_PATH = "/signin/with"  # and the name of an external provider


router = APIRouter(tags=["OAuth"], include_in_schema=False)


@router.get(SIGN_IN_PAGE)
async def ask(request: Request, next: str = "") -> Response:  # noqa: A002  # reason: its name in URLs
    return await sign_in_page(Browser(request), next)


@router.post(SIGN_IN_PAGE)
async def take_password(request: Request) -> Response:
    return await _take_password(Browser(request))


@router.post("/signin/passkey")
async def take_passkey(request: Request) -> Response:
    return await _take_passkey(Browser(request))


@router.get(FACTOR_PAGE)
async def ask_factor(request: Request, next: str = "") -> Response:  # noqa: A002  # reason: as above
    return await _factor_page(Browser(request), next)


@router.post(FACTOR_PAGE)
async def take_factor(request: Request) -> Response:
    return await _take_factor(Browser(request))


@router.get(YOU)
@router.get("/{tenant}/oauth2/v2.0/logout")
@router.get("/{tenant}/oauth2/logout")
async def you(request: Request) -> Response:
    return await _you(Browser(request))


@router.post("/signout")
async def sign_out(request: Request) -> Response:
    return await _sign_out(Browser(request))


@router.post("/signin/look")
async def set_look(request: Request) -> Response:
    return await _set_look(Browser(request))


@router.get("/signin/files/{name}")
async def file(request: Request, name: str) -> Response:
    return static_file(request, name)


def to_sign_in(path_and_query: str) -> Response:
    """Ask who it is, then lead back to this page of ours."""
    return go(sign_in_path(path_and_query))


def sign_in_path(path_and_query: str) -> str:
    return f"{SIGN_IN_PAGE}?{urlencode({'next': path_and_query})}"


async def finish(
    browser: Browser,
    user: User,
    methods: Sequence[str],
    leads_to: str,
    factor_at: datetime | None = None,
) -> Response:
    """Somebody has signed in: begin the session and go on."""
    before = [text for text in (browser.session_text, browser.sign_in_text) if text]
    text = await browser.state.services.perform(
        lambda tx, act: sessions.begin(tx, act, user, methods, before, browser.origin, factor_at)
    )
    if text is None:  # disabled or signed out everywhere at this very moment
        return to_sign_in(safe_next(leads_to))
    response = go(safe_next(leads_to))
    set_cookie(response, SESSION, text)
    drop_cookie(response, SIGN_IN)
    remember(response, browser.state, user)
    return response


# -- name and password ----------------------------------------------------------------------


async def sign_in_page(
    browser: Browser, leads_to: str, problem: str = "", name: str = "", status: int = 200
) -> Response:
    """The form; ``problem`` names a text of the page."""
    secret = browser.sign_in_text or new_cookie_text()
    leads_to = safe_next(leads_to)
    ceremony = await browser.state.sign_in.begin_assertion(None)
    page = Page(
        "sign_in",
        {
            "csrf": csrf_token(secret, SIGN_IN_PAGE),
            "next": leads_to,
            "problem": problem,
            "name": name,
            "providers": await providers_of(browser, leads_to),
            "options": json.dumps(ceremony.options),
            "ticket": ceremony.ticket,
        },
        has_script=True,
    )
    response = browser.show(page, status)
    set_cookie(response, SIGN_IN, secret)
    return response


async def providers_of(browser: Browser, leads_to: str) -> Sequence[Provider]:
    """The buttons of external providers; each leads away and comes back by ``finish``."""
    found = await browser.state.services.read_few(lambda reader: reader.identity_providers())
    return [
        Provider(each.display_name, f"{LEAVE_PATH}/{each.name}?{urlencode({'next': leads_to})}")
        for each in found
        if each.is_enabled
    ]


async def _take_password(browser: Browser) -> Response:
    form = await browser.fields()
    leads_to = form.get("next", "")
    if not is_csrf_token(form.get("csrf", ""), browser.sign_in_text, SIGN_IN_PAGE):
        return await sign_in_page(browser, leads_to, "stale", status=400)
    name = form.get("name", "")
    outcome = await browser.state.sign_in.begin(name, form.get("password", ""), browser.visit)
    if isinstance(outcome, SignInRefused):
        return await _refused(browser, leads_to, outcome, name)
    if not outcome.factors:
        return await finish(browser, outcome.user, outcome.methods, leads_to)
    return await ask_for_factor(browser, outcome, leads_to)


async def ask_for_factor(browser: Browser, accepted: PasswordAccepted, leads_to: str) -> Response:
    """Somebody owes a second factor: keep what was shown so far, and ask for it."""
    before = [browser.sign_in_text]
    text = await browser.state.services.perform(
        lambda tx, _: sessions.begin_half(tx, accepted, before, browser.origin)
    )
    if text is None:
        return to_sign_in(safe_next(leads_to))
    response = go(f"{FACTOR_PAGE}?{urlencode({'next': safe_next(leads_to)})}")
    set_cookie(response, SIGN_IN, text)
    return response


async def _refused(
    browser: Browser, leads_to: str, refused: SignInRefused, name: str = ""
) -> Response:
    status = 429 if refused.retry_after is not None else 401
    response = await sign_in_page(browser, leads_to, str(refused.reason), name, status)
    _say_when(response, refused.retry_after)
    return response


def _say_when(response: Response, retry_after: timedelta | None) -> None:
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(retry_after.total_seconds())))


# -- passkeys and second factors ------------------------------------------------------------


async def _take_passkey(browser: Browser) -> Response:
    form = await browser.fields()
    leads_to = form.get("next", "")
    if not is_csrf_token(form.get("csrf", ""), browser.sign_in_text, SIGN_IN_PAGE):
        return await sign_in_page(browser, leads_to, "stale", status=400)
    outcome = await _assert(browser, None, form)
    if isinstance(outcome, SignInRefused):
        return await _refused(browser, leads_to, outcome)
    return await finish(browser, outcome.user, outcome.methods, leads_to, outcome.factor_at)


async def _assert(
    browser: Browser, accepted: PasswordAccepted | None, form: Mapping[str, str]
) -> SignedIn | SignInRefused:
    try:
        answer = read_json(form.get("answer", ""))
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return SignInRefused(Refusal.STALE)
    origin, ticket = base_url(browser.request), form.get("ticket", "")
    return await browser.state.sign_in.finish_assertion(
        accepted, ticket, answer, origin, browser.visit
    )


async def _factor_page(
    browser: Browser, leads_to: str, problem: str = "", status: int = 200
) -> Response:
    accepted = await sessions.find_half(browser.state.services, browser.sign_in_text)
    if accepted is None or not accepted.factors:
        return to_sign_in(safe_next(leads_to))
    content = {
        "csrf": csrf_token(browser.sign_in_text, FACTOR_PAGE),
        "next": safe_next(leads_to),
        "problem": problem,
        "who": accepted.user.name,
        "factors": [str(each) for each in accepted.factors],
    }
    if FactorKind.PASSKEY in accepted.factors:
        ceremony = await browser.state.sign_in.begin_assertion(accepted)
        content |= {"options": json.dumps(ceremony.options), "ticket": ceremony.ticket}
    return browser.show(Page("factor", content, has_script=True), status)


async def _take_factor(browser: Browser) -> Response:
    form = await browser.fields()
    leads_to = form.get("next", "")
    accepted = await sessions.find_half(browser.state.services, browser.sign_in_text)
    is_ours = is_csrf_token(form.get("csrf", ""), browser.sign_in_text, FACTOR_PAGE)
    if accepted is None or not is_ours:
        return to_sign_in(safe_next(leads_to))
    outcome = await _show_factor(browser, accepted, form)
    if isinstance(outcome, SignedIn):
        return await finish(browser, outcome.user, outcome.methods, leads_to, outcome.factor_at)
    if outcome.reason is Refusal.STALE:
        return await sign_in_page(browser, leads_to, "stale", status=401)
    status = 429 if outcome.retry_after is not None else 401
    response = await _factor_page(browser, leads_to, str(outcome.reason), status)
    _say_when(response, outcome.retry_after)
    return response


async def _show_factor(
    browser: Browser, accepted: PasswordAccepted, form: Mapping[str, str]
) -> SignedIn | SignInRefused:
    sign_in, code = browser.state.sign_in, form.get("code", "").strip()
    kind = form.get("kind", "")
    if kind == FactorKind.TOTP:
        return await sign_in.verify_totp(accepted, code.replace(" ", ""), browser.visit)
    if kind == FactorKind.RECOVERY_CODE:
        return await sign_in.verify_recovery_code(accepted, code, browser.visit)
    return await _assert(browser, accepted, form)


# -- how the pages look -----------------------------------------------------------------------


async def _set_look(browser: Browser) -> Response:
    """Language or theme, which the portal shares; leads back to the page that asked."""
    form, now = await browser.fields(), look_of(browser.request)
    language, theme = form.get("language", ""), form.get("theme", "")
    response = go(safe_page(form.get("next", "")))
    if language in LANGUAGES:
        keep_look(response, replace(now, language=language, is_chosen=True))
    elif theme in THEMES:
        keep_look(response, replace(now, theme=theme))
    return response


# -- who you are, and out --------------------------------------------------------------------


async def _you(browser: Browser) -> Response:
    visitor = await browser.visitor()
    if visitor is None:
        return browser.show(Page("signed_out", {}))
    csrf = csrf_token(browser.session_text, "/signout")
    return browser.show(Page("you", {"csrf": csrf, "user": visitor.user}))


async def _sign_out(browser: Browser) -> Response:
    form = await browser.fields()
    text = browser.session_text
    visitor = await browser.visitor()
    if not is_csrf_token(form.get("csrf", ""), text, "/signout"):
        return await _you(browser)
    if visitor is not None:
        proof, is_everywhere = visitor.sign_in, form.get("where") == "everywhere"
        await browser.state.services.perform(
            lambda tx, act: _end(browser, tx, act, proof, is_everywhere=is_everywhere)
        )
    response = browser.show(Page("signed_out", {}))
    drop_cookie(response, SESSION)
    drop_cookie(response, SIGN_IN)
    return response


def _end(
    browser: Browser,
    tx: Transaction,
    act: Act,
    proof: SignInProof,
    *,
    is_everywhere: bool,
) -> None:
    user = tx.user(proof.user_id)
    if user is None:
        return
    act.actor = tokens.actor_of_user(user, browser.origin)
    if is_everywhere:
        tokens.sign_out_everywhere(tx, act, user)
    else:
        sign_ins.sign_out_here(tx, act, user, browser.session_text)
