"""Signing in through an external provider: the way there, the way back, and asking again.

OpenID Connect Core section 3.1 from our side, RFC 9207, RFC 9700. The browser is sent away
with a state that works once, for ten minutes, and for this browser alone: the state's hash
and the hash of the browser's cookie stand together in the database. How many begin from one
network is bounded, and a page elsewhere does not spend that with images or frames: a browser
says what it fetches for (W3C Fetch Metadata section 2.1, Sec-Fetch-Dest). Whatever comes back
wrong, nothing is asked of the provider before that is right. Who is let in goes on by
``sign_in.finish``, as after a password.
What is not here: what a token must say (``identity``), whom it makes of somebody (``services``).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from bascule.api.context import AppState
from bascule.api.oauth.browser import (
    SIGN_IN,
    Browser,
    new_cookie_text,
    safe_next,
    set_cookie,
)
from bascule.api.oauth.quota import Quota
from bascule.api.oauth.sign_in import LEAVE_PATH, ask_for_factor, finish, sign_in_path
from bascule.api.origin import base_url
from bascule.api.pages import Page
from bascule.api.routes.providers import RETURN_PATH
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.providers import ExternalIdentity, IdentityProvider, is_subject
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from bascule.identity.oidc import Departure, Tokens, error_words, refresh_purpose, verifier_purpose
from bascule.identity.secrets import sha256_hex
from bascule.interfaces.providers import PendingSignIn
from bascule.interfaces.store import Transaction
from bascule.services import external_sign_in, tokens
from bascule.services.act import Act
from bascule.services.external_sign_in import (
    METHODS,
    NOT_VOUCHED,
    SIGN_IN_LIFE,
    NotLetIn,
    Returned,
)
from bascule.services.providers import find_provider

log = structlog.get_logger("bascule.oauth")

MOST_LEAVING = 20  # of one network, a minute
MOST_LEAVING_WIDE = 60  # of an IPv6 /48
RENEWED = timedelta(minutes=5)  # a word younger than this is not asked for again
ASKING_TAKES = timedelta(minutes=1)  # at most, unless the server that asks was stopped
LOOK_AGAIN = 0.2  # seconds, while another asks
WITHOUT_WORD = timedelta(hours=12)  # tokens of a sign-in whose provider cannot be asked again


router = APIRouter(tags=["OAuth"], include_in_schema=False)


def _leaving(_: AppState) -> Quota:
    return Quota(timedelta(minutes=1), MOST_LEAVING, MOST_LEAVING_WIDE)


@router.get(f"{LEAVE_PATH}/{{name}}")
async def leave(name: str, request: Request, next: str = "") -> Response:  # noqa: A002  # reason: its name in URLs
    browser = Browser(request)
    try:
        return await _leave(browser, name, safe_next(next))
    except BasculeError as error:
        return _problem(browser, error, safe_next(next))


@router.get(RETURN_PATH)
async def come_back(request: Request) -> Response:
    return await _come_back(Browser(request))


# -- there ---------------------------------------------------------------------------------


async def _leave(browser: Browser, name: str, leads_to: str) -> Response:
    if browser.request.headers.get("sec-fetch-dest", "document") != "document":
        raise Forbidden(
            "A sign-in must start in its own window, not inside another page.",
            advice="Open the sign-in page and choose how to sign in.",
        )
    state = browser.state
    provider = await state.services.read_few(lambda reader: find_provider(reader, name[:64]))
    if not provider.is_enabled:
        raise NotFound(f"Signing in by {provider.display_name} is currently disabled.")
    if not await _may_leave(browser):
        raise TooManyRequests(
            "Too many sign-ins were started from your network.", advice="Wait a minute."
        )
    redirect_uri = base_url(browser.request) + RETURN_PATH
    departure = await state.relying_party.depart(provider, redirect_uri)
    secret = browser.sign_in_text or new_cookie_text()
    pending = _pending(browser, provider, departure, redirect_uri, secret, leads_to)
    await state.services.perform(lambda tx, act: external_sign_in.depart(tx, act, pending))
    response = RedirectResponse(departure.url, 303, {"Cache-Control": "no-store"})
    set_cookie(response, SIGN_IN, secret)
    return response


async def _may_leave(browser: Browser) -> bool:
    """Count it: with the user whose mark the browser brings, else with the network (EDGES E5)."""
    state = browser.state
    quota, now = state.part(_leaving), state.services.clock.boottime()
    known = await state.sign_in.marked(browser.visit)
    if known is not None and quota.take_own(known.id, now):
        return True
    return quota.take(browser.address, now) is None


def _pending(
    browser: Browser,
    provider: IdentityProvider,
    departure: Departure,
    redirect_uri: str,
    secret: str,
    leads_to: str,
) -> PendingSignIn:
    party = browser.state.relying_party
    return PendingSignIn(
        sha256_hex(departure.state),
        sha256_hex(secret),
        provider.id,
        provider.issuer,
        redirect_uri,
        sha256_hex(departure.nonce),
        party.seal(departure.verifier, verifier_purpose(departure.state)),
        leads_to,
        browser.state.services.clock.now() + SIGN_IN_LIFE,
        browser.address,
    )


# -- and back ------------------------------------------------------------------------------


async def _come_back(browser: Browser) -> Response:
    pairs = browser.request.query_params.multi_items()
    query = dict(pairs)
    given, cookie = query.get("state", ""), sha256_hex(browser.sign_in_text)
    arrived = None
    if given and browser.sign_in_text and len(query) == len(pairs):
        arrived = await browser.state.services.perform(
            lambda tx, act: external_sign_in.arrive(tx, act, sha256_hex(given), cookie)
        )
    if arrived is None:
        why = (
            "This answer does not belong to a sign-in that this browser started in the last ten "
            "minutes. It was already used, took too long, or the sign-in started in another "
            "browser."
        )
        await _record(browser, NotLetIn("", "", (why,)))
        return _problem(browser, AuthenticationFailed(why), "")
    pending, provider = arrived
    try:
        returned = await _redeem(browser, pending, provider, query, given)
    except BasculeError as error:
        if not isinstance(error, Unavailable):
            await _record(browser, NotLetIn(provider.name, "", (error.message,)))
        return _problem(browser, error, pending.return_to)
    return await _let_in(browser, returned, pending.return_to)


async def _redeem(
    browser: Browser,
    pending: PendingSignIn,
    provider: IdentityProvider,
    query: dict[str, str],
    given: str,
) -> Returned:
    party = browser.state.relying_party
    await party.check_issuer(provider, query.get("iss"))
    if "error" in query:
        raise AuthenticationFailed(
            f"{provider.display_name} did not sign you in: {error_words(query)}."
        )
    verifier = party.open(pending.sealed_verifier, verifier_purpose(given))
    if not verifier:
        raise AuthenticationFailed(
            "This server's keys changed in the meantime.", advice="Begin anew."
        )
    found = await party.redeem(
        provider, query.get("code", ""), pending.redirect_uri, verifier, pending.nonce_hash
    )
    return _returned(browser.state, provider, found)


def _returned(state: AppState, provider: IdentityProvider, found: Tokens) -> Returned:
    subject, refresh, sealed = found.claims.get("sub"), found.refresh_token, ""
    if refresh and isinstance(subject, str) and is_subject(subject):  # else nobody is let in
        purpose = refresh_purpose(provider.issuer, subject)
        sealed = state.relying_party.seal(refresh, purpose)
    return Returned(provider.id, provider.issuer, found.claims, sealed)


async def _let_in(browser: Browser, returned: Returned, leads_to: str) -> Response:
    visit = browser.visit
    stranger = Subject("", PrincipalKind.USER, "", visit.address, visit.client)
    outcome = await browser.state.services.perform(
        lambda tx, act: external_sign_in.let_in(tx, act, returned, visit),
        stranger,
        visit.correlation_id,
    )
    if isinstance(outcome, NotLetIn):
        await _record(browser, outcome)
        return _problem(browser, AuthenticationFailed(" ".join(outcome.reasons)), leads_to)
    for warning in outcome.warnings:
        log.warning("external sign-in", user=outcome.user.name, warning=warning)
    if outcome.accepted.factors:
        await browser.state.sign_in.record_owed(outcome.accepted, visit)
        return await ask_for_factor(browser, outcome.accepted, leads_to)
    return await finish(browser, outcome.user, METHODS, leads_to)


async def _record(browser: Browser, refusal: NotLetIn) -> None:
    """Put it on record, unless the source has had its share of this minute (EDGES B8)."""
    state, visit = browser.state, browser.visit
    if state.stranger_lines.is_written(visit.address):
        log.info("external sign-in refused", provider=refusal.provider, why=refusal.reasons)
    if not state.sign_in_denials.is_recorded(visit.address, state.services.clock.now()):
        return
    stranger = Subject("", PrincipalKind.USER, "", visit.address, visit.client)
    await state.services.perform(
        lambda tx, act: external_sign_in.record_refusal(tx, act, refusal, state.sign_in_denials),
        stranger,
        visit.correlation_id,
    )


def _problem(browser: Browser, error: BasculeError, leads_to: str) -> Response:
    """A page that says what is wrong, and leads back to where a user of this server signs in."""
    content = {
        "why": error.message,
        "advice": error.advice,
        "back": sign_in_path(safe_next(leads_to)),
    }
    status = 403 if isinstance(error, AuthenticationFailed) else error.http_status
    response = browser.show(Page("external_problem", content), status)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = "60"
    return response


# -- asking again ----------------------------------------------------------------------------


def _end_family(tx: Transaction, act: Act, family_id: str) -> None:
    """Unless it ended already, with all else that rested on the provider."""
    family = tx.token_family(family_id)
    if family is not None and not family.is_revoked:
        tokens.revoke_family(tx, act, family, NOT_VOUCHED)


def _disown(tx: Transaction, act: Act, identity: ExternalIdentity, asked_with: str) -> bool:
    """Unless somebody has another token of the provider's by now: is its word still good?"""
    present = tx.external_identity(identity.issuer, identity.subject)
    if present is not None and present.sealed_refresh != asked_with:
        return True
    external_sign_in.disown(tx, act, identity)
    return False


class Renewals:
    """Asks providers anew when a program refreshes the tokens of somebody they vouched for."""

    def __init__(self, state: AppState) -> None:
        self._state = state

    async def before_refresh(self, refresh_token: str) -> None:
        """Call before a refresh token is taken.

        What the provider no longer says is gone afterwards, with all that is signed in by it
        when it does not vouch for the person any more; a family whose provider cannot be asked
        ends after twelve hours. A provider that is away changes nothing: its groups end by
        themselves.
        """
        services = self._state.services
        family = await services.read_few(lambda reader: tokens.family_of(reader, refresh_token))
        if family is None or family.is_revoked or not set(METHODS) <= set(family.sign_in.methods):
            return
        user_id = family.sign_in.user_id
        known = await services.read_few(lambda reader: external_sign_in.renewable(reader, user_id))
        is_kept = bool(known)
        for identity, provider in known:
            is_kept = await self._renew(identity, provider) and is_kept
        if not is_kept and (known or services.clock.now() - family.sign_in.at > WITHOUT_WORD):
            await services.perform(lambda tx, act: _end_family(tx, act, family.id))

    async def _renew(self, identity: ExternalIdentity, provider: IdentityProvider) -> bool:
        """Is the provider's word still good, as far as it can be asked?

        One server asks at a time: a refresh token may work once, and a second use of it may cost
        the person their sign-in there.
        """
        services, clock = self._state.services, self._state.services.clock
        issuer, subject = identity.issuer, identity.subject

        def begin(tx: Transaction, act: Act) -> datetime | None:
            until = act.now + ASKING_TAKES
            return until if tx.begin_asking(issuer, subject, until, act.now) else None

        while True:
            fresh = await services.read_few(
                lambda reader: reader.external_identity(issuer, subject)
            )
            if fresh is None:
                return False
            if fresh.vouched_at is not None and clock.now() - fresh.vouched_at < RENEWED:
                return True
            until = await services.perform(begin)
            if until is not None:
                break
            await asyncio.sleep(LOOK_AGAIN)
        try:
            return await self._ask(identity, provider)
        finally:
            await services.perform(lambda tx, _: tx.end_asking(issuer, subject, until))

    async def _ask(self, identity: ExternalIdentity, provider: IdentityProvider) -> bool:
        services, party = self._state.services, self._state.relying_party
        now = services.clock.now()
        fresh = await services.read_few(
            lambda reader: reader.external_identity(identity.issuer, identity.subject)
        )
        if fresh is None:
            return False
        if fresh.vouched_at is not None and now - fresh.vouched_at < RENEWED:
            return True
        token = party.open(fresh.sealed_refresh, refresh_purpose(identity.issuer, identity.subject))
        try:
            if not token:
                raise AuthenticationFailed("There is no token to ask the provider with.")
            found = await party.renew(provider, token, identity.subject)
        except Unavailable as error:
            log.warning("identity provider away", provider=provider.name, why=error.message)
            return True
        except AuthenticationFailed as error:
            log.info("external identity disowned", provider=provider.name, why=error.message)
            return await services.perform(
                lambda tx, act: _disown(tx, act, identity, fresh.sealed_refresh)
            )
        returned = _returned(self._state, provider, found)
        return await services.perform(
            lambda tx, act: external_sign_in.renew(tx, act, identity, returned)
        )
