"""The authorization endpoint: a program on somebody's machine asks the browser for a code.

RFC 6749 section 4.1 with PKCE (RFC 7636, S256 alone, never without), OpenID Connect Core
section 3.1.2, form_post (OAuth 2.0 Form Post Response Mode), RFC 9207 (``iss``).
An unknown client or a redirect URI that is not its own is told on a page and leads nowhere;
what is wrong besides goes back to the client. A session alone gives no code: a page names
the client, the address and the time, and asks (EDGES B7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import Response

from bascule.api.oauth.browser import Browser, csrf_token, go, is_csrf_token
from bascule.api.oauth.refusals import no_such_tenant
from bascule.api.oauth.sign_in import to_sign_in
from bascule.api.origin import base_url
from bascule.api.pages import Page, shown_time
from bascule.domain.clients import client_name, loopback_origin
from bascule.domain.tokens import AuthorizationCode
from bascule.identity.realm import Realm
from bascule.services import tokens
from bascule.services.sessions import Visitor
from bascule.services.tokens import hash_of, new_text

LONGEST_VALUE = 2048  # characters of a state or a nonce
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_MODES = ("query", "form_post")
_FORM_POST = "form_post"


@dataclass(frozen=True, slots=True)
class _AuthorizationRequest:
    """An authorization request whose client and redirect URI are right."""

    client_id: str
    redirect_uri: str
    origin: str  # of the redirect URI
    state: str | None
    mode: str
    prompts: Sequence[str]
    challenge: str = ""
    nonce: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class _Back:
    """What goes back to the client instead of a code."""

    asked: _AuthorizationRequest
    error: str
    description: str


router = APIRouter(tags=["OAuth"], include_in_schema=False)


@router.get("/{tenant}/oauth2/v2.0/authorize")
@router.get("/{tenant}/oauth2/authorize")
async def authorize(tenant: str, request: Request) -> Response:
    return await _ask(Browser(request), tenant)


@router.post("/{tenant}/oauth2/v2.0/authorize")
@router.post("/{tenant}/oauth2/authorize")
async def answer(tenant: str, request: Request) -> Response:
    return await _answer(Browser(request), tenant)


def _read(browser: Browser, tenant: str) -> _AuthorizationRequest | _Back | str:
    """The request; a text is what is wrong with its client or redirect URI, and is shown."""
    pairs = browser.request.query_params.multi_items()
    query = dict(pairs)
    if not browser.state.realm.is_tenant(tenant):
        return no_such_tenant(tenant).message
    if len(query) != len(pairs):
        return "The request names a parameter twice."
    client_id, redirect_uri = query.get("client_id", "").casefold(), query.get("redirect_uri", "")
    if client_name(client_id) is None:
        return f"People cannot sign in here with the client_id {client_id[:60]!r}."
    origin = loopback_origin(redirect_uri)
    if origin is None:
        return (
            f"The redirect_uri {redirect_uri[:100]!r} is not one of this client's. It must be "
            "http://localhost:PORT or http://127.0.0.1:PORT."
        )
    mode = query.get("response_mode", "query")
    asked = _AuthorizationRequest(
        client_id,
        redirect_uri,
        origin,
        query.get("state"),
        mode if mode in _MODES else "query",
        query.get("prompt", "").split(),
    )
    return _read_rest(asked, query, browser.state.realm)


def _read_rest(
    asked: _AuthorizationRequest, query: Mapping[str, str], realm: Realm
) -> _AuthorizationRequest | _Back:
    if query.get("response_type") != "code":
        return _Back(asked, "unsupported_response_type", "The response_type must be 'code'.")
    if query.get("response_mode", "query") not in _MODES:
        return _Back(asked, "invalid_request", "The response_mode must be query or form_post.")
    if "request" in query or "request_uri" in query:
        return _Back(asked, "request_not_supported", "Request objects are not supported.")
    challenge, method = query.get("code_challenge", ""), query.get("code_challenge_method", "")
    if method != "S256" or _CHALLENGE.fullmatch(challenge) is None:
        why = "PKCE is required: send a code_challenge with code_challenge_method=S256."
        return _Back(asked, "invalid_request", why)
    nonce = query.get("nonce", "")
    if max(len(nonce), len(asked.state or "")) > LONGEST_VALUE:
        return _Back(replace(asked, state=None), "invalid_request", "state or nonce is too long.")
    audience = realm.audience_of(query.get("scope", ""))
    if audience is None:
        why = "The scope must be this server's URL, as you reach it, and /.default."
        return _Back(asked, "invalid_scope", why)
    return replace(asked, challenge=challenge, nonce=nonce, audience=audience)


async def _ask(browser: Browser, tenant: str) -> Response:
    asked = _read(browser, tenant)
    if isinstance(asked, str):
        return _shown(browser, asked)
    if isinstance(asked, _Back):
        return _send_error(browser, asked)
    visitor = await browser.visitor()
    if "none" in asked.prompts:
        error = "interaction_required" if visitor else "login_required"
        return _send_error(
            browser, _Back(asked, error, "Signing in always needs the user's confirmation.")
        )
    if visitor is None or "login" in asked.prompts:
        return to_sign_in(_without_prompt(browser.request))
    return _confirm_page(browser, asked, visitor)


def _without_prompt(request: Request) -> str:
    """The same request, to come back to after a sign-in that ``prompt`` asked for."""
    kept = [each for each in request.query_params.multi_items() if each[0] != "prompt"]
    return f"{request.url.path}?{urlencode(kept)}"


def _confirm_page(
    browser: Browser, asked: _AuthorizationRequest, visitor: Visitor, status: int = 200
) -> Response:
    content = {
        "action": browser.path_and_query,
        "csrf": csrf_token(browser.session_text, browser.path_and_query),
        "client": client_name(asked.client_id),
        "where": urlsplit(asked.redirect_uri).netloc,
        "address": browser.address,
        "time": shown_time(browser.state.services.clock.now()),
        "user": visitor.user,
    }
    # Browsers hold a form to its action and to where that redirects.
    return browser.show(Page("confirm", content, form_targets=(asked.origin,)), status)


async def _answer(browser: Browser, tenant: str) -> Response:
    asked = _read(browser, tenant)
    if isinstance(asked, str):
        return _shown(browser, asked)
    if isinstance(asked, _Back):
        return _send_error(browser, asked)
    form = await browser.fields()
    visitor = await browser.visitor()
    if visitor is None:
        return to_sign_in(_without_prompt(browser.request))
    if not is_csrf_token(form.get("csrf", ""), browser.session_text, browser.path_and_query):
        return _confirm_page(browser, asked, visitor, 400)
    if form.get("answer") == "other":
        return to_sign_in(_without_prompt(browser.request))
    if form.get("answer") != "allow":
        return _send_error(browser, _Back(asked, "access_denied", "The user refused it."))
    text = new_text()
    code = AuthorizationCode(
        hash_of(text),
        asked.client_id,
        asked.redirect_uri,
        asked.challenge,
        asked.nonce,
        asked.audience,
        visitor.sign_in,
        browser.state.services.clock.now(),
    )
    if not await browser.state.services.perform(lambda tx, act: tokens.issue_code(tx, act, code)):
        return to_sign_in(_without_prompt(browser.request))
    return _send(browser, asked, {"code": text})


def _shown(browser: Browser, why: str) -> Response:
    return browser.show(Page("problem", {"why": why}), 400)


def _send_error(browser: Browser, back: _Back) -> Response:
    fields = {"error": back.error, "error_description": back.description}
    return _send(browser, back.asked, fields)


def _send(browser: Browser, asked: _AuthorizationRequest, fields: Mapping[str, str]) -> Response:
    """Back to the client, in the way that it wants."""
    fields = {**fields, "iss": browser.state.realm.issuer(base_url(browser.request))}
    if asked.state is not None:
        fields["state"] = asked.state
    if asked.mode == _FORM_POST:
        page = Page(
            "form_post",
            {"action": asked.redirect_uri, "fields": fields},
            has_script=True,
            form_targets=(asked.origin,),
        )
        return browser.show(page)
    return go(f"{asked.redirect_uri}?{urlencode(fields)}")
