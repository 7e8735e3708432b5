"""The token endpoint, and the one that revokes (RFC 7009).

Reads what the store knows of whoever asks, has it decided, and answers. A person's answer
has an access token, an id token and a refresh token: az takes none without all three.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from bascule.api.body_limit import KIB
from bascule.api.context import AppState, state_of
from bascule.api.denials import client_of
from bascule.api.oauth.external import Renewals
from bascule.api.oauth.refusals import NOT_KEPT, no_such_tenant, read_body, read_fields, refuse
from bascule.api.origin import base_url, caller_address
from bascule.domain.access import PrincipalKind
from bascule.domain.tokens import Flow, Origin, Poll, SignIn
from bascule.identity.assertions import unusable
from bascule.identity.authenticate import proof_of
from bascule.identity.realm import ADFS
from bascule.identity.steady import SteadyTime
from bascule.identity.token_request import (
    WRONG_SCOPE,
    CodeRequest,
    DeviceRequest,
    Granted,
    PasswordRequest,
    RefreshRequest,
    Refused,
    TokenRequest,
    decide_by_assertion,
    decide_by_certificate,
    decide_by_secret,
    missing,
    parse_token_request,
    refused_assertion,
)
from bascule.identity.tokens import LIFE, Person
from bascule.interfaces.store import Reader, Transaction
from bascule.services import assertions, tokens
from bascule.services.act import Act
from bascule.services.sign_in import PasswordAccepted, Refusal, Visit
from bascule.services.tokens import Issued, NotIssued

T = TypeVar("T")
log = structlog.get_logger("bascule.oauth")

_POLLS: Mapping[Poll, tuple[int, str]] = {
    Poll.PENDING: (70016, "Nobody has approved the code yet. Ask again after the interval."),
    Poll.SLOW_DOWN: (70011, "You ask too often. The interval is now five seconds longer."),
    Poll.REFUSED: (70018, "The sign-in was refused on the page where the code was entered."),
    Poll.EXPIRED: (70020, "The code has expired. Start the sign-in again."),
    Poll.UNKNOWN: (
        70019,
        "The device code is unknown, of another client, already used, or replaced by others.",
    ),
}
LONGEST_FORM = 32 * KIB  # an assertion with a chain of certificates has about 10,000 bytes

router = APIRouter(tags=["OAuth"])


@router.post("/{tenant}/oauth2/v2.0/token")
@router.post("/{tenant}/oauth2/token")
async def token(tenant: str, request: Request) -> Response:
    return await state_of(request).part(TokenDesk).answer(tenant, request)


@router.post("/{tenant}/oauth2/v2.0/revoke")
@router.post("/{tenant}/oauth2/revoke")
async def revoke(tenant: str, request: Request) -> Response:
    return await state_of(request).part(TokenDesk).revoke(tenant, request)


@dataclass(frozen=True, slots=True)
class _ForPerson:
    issued: Issued
    audience: str


@dataclass(frozen=True, slots=True)
class _Later:
    """Refused for now: 429."""

    refused: Refused
    retry_after: timedelta


_Outcome = Granted | _ForPerson | Refused | _Later


def origin_of(request: Request) -> Origin:
    return Origin(caller_address(request), client_of(request))


class TokenDesk:
    """Made before the first call: assertions from before that are refused."""

    def __init__(self, state: AppState) -> None:
        self._state, self._services, self._realm = state, state.services, state.realm
        self._steady = SteadyTime(self._services.clock)
        self._since = self._steady.now()
        self._renewals = Renewals(state)

    async def answer(self, tenant: str, request: Request) -> Response:
        outcome = await self._decide(tenant, request)
        if isinstance(outcome, _Later):
            return refuse(outcome.refused, self._steady.now(), outcome.retry_after)
        if isinstance(outcome, Refused):
            address = caller_address(request)
            if self._state.stranger_lines.is_written(address):
                log.info(
                    "token refused", error=outcome.error, number=outcome.number, address=address
                )
            return refuse(outcome, self._steady.now())
        base = base_url(request)
        if isinstance(outcome, Granted):
            return JSONResponse(self._of_program(outcome, base), headers=NOT_KEPT)
        return JSONResponse(self._of_person(outcome, base), headers=NOT_KEPT)

    async def revoke(self, tenant: str, request: Request) -> Response:
        """Of what is no refresh token of this client, nothing is said: 200 all the same."""
        form = await read_fields(request, LONGEST_FORM)
        if not self._realm.is_tenant(tenant):
            form = no_such_tenant(tenant)
        elif not isinstance(form, Refused) and not form.get("token"):
            form = missing("token")
        elif not isinstance(form, Refused) and not form.get("client_id"):
            form = missing("client_id")
        if isinstance(form, Refused):
            return refuse(form, self._steady.now())
        text, client_id, origin = form["token"], form["client_id"].casefold(), origin_of(request)
        await self._perform(
            request, lambda tx, act: tokens.revoke(tx, act, text, client_id, origin)
        )
        return Response(status_code=200, headers=NOT_KEPT)

    # -- deciding -----------------------------------------------------------------------

    async def _decide(self, tenant: str, request: Request) -> _Outcome:
        if not self._realm.is_tenant(tenant):
            return no_such_tenant(tenant)
        body = await read_body(request, LONGEST_FORM)
        asked = body if isinstance(body, Refused) else parse_token_request(body)
        if isinstance(asked, Refused):
            return asked
        if isinstance(asked, TokenRequest):
            by = self._by_assertion if asked.assertion else self._by_secret
            return await by(asked)
        if isinstance(asked, PasswordRequest):
            return await self._by_password(tenant, asked, request)
        return await self._by_text(asked, request)

    async def _by_secret(self, asked: TokenRequest) -> Granted | Refused:
        def read(reader: Reader) -> tuple[Any, Any]:
            return reader.service_principal(asked.client_id), reader.credentials_of(asked.client_id)

        principal, credentials = await self._services.read(read)
        return decide_by_secret(asked, principal, credentials, self._realm, self._now())

    async def _by_assertion(self, asked: TokenRequest) -> Granted | Refused:
        """An agent's (its client id is its machine's uid), or a service principal's."""
        uid = asked.client_id

        def read(reader: Reader) -> tuple[Any, Any, Any, Any]:
            service = reader.service_principal(uid)
            credentials = reader.credentials_of(uid) if service else ()
            return reader.machine_by_uid(uid), reader.agent_of(uid), service, credentials

        machine, point, service, credentials = await self._services.read(read)
        if service is not None:
            return decide_by_certificate(asked, service, credentials, self._realm, self._now())
        now = self._steady.now()
        decided = decide_by_assertion(asked, machine, point, self._realm, self._since, now)
        if isinstance(decided, Refused):
            return decided
        granted, use = decided
        why = await self._services.perform(
            lambda tx, _: assertions.use(tx, use.holder, use.token_id, use.ends_at, now)
        )
        return refused_assertion(unusable(why, now)) if why else granted

    async def _by_text(
        self, asked: CodeRequest | DeviceRequest | RefreshRequest, request: Request
    ) -> _Outcome:
        """By what was given out before: a code, a device code, a refresh token."""
        origin = origin_of(request)

        def work(tx: Transaction, act: Act) -> Issued | NotIssued:
            client_id = asked.client_id
            if isinstance(asked, CodeRequest):
                redirect_uri, challenge = asked.redirect_uri, asked.challenge
                return tokens.redeem_code(
                    tx, act, asked.code, client_id, redirect_uri, challenge, origin
                )
            if isinstance(asked, DeviceRequest):
                return tokens.redeem_device_code(tx, act, asked.device_code, client_id, origin)
            return tokens.refresh(tx, act, asked.refresh_token, client_id, origin)

        audience = ""
        if isinstance(asked, RefreshRequest):  # before the token is spent
            audience = self._realm.audience_of(asked.scope) or ""
            if not audience:
                return WRONG_SCOPE
            await self._renewals.before_refresh(asked.refresh_token)
        outcome = await self._perform(request, work)
        if isinstance(outcome, Issued):
            return _ForPerson(outcome, outcome.audience or audience)
        if outcome.poll is not None:
            return Refused(str(outcome.poll), *_POLLS[outcome.poll])
        number = 54005 if isinstance(asked, CodeRequest) else 70043
        what = "authorization code" if isinstance(asked, CodeRequest) else "refresh token"
        return Refused(
            "invalid_grant", number, f"The {what} is refused: {outcome.why}. Sign in again."
        )

    async def _by_password(self, tenant: str, asked: PasswordRequest, request: Request) -> _Outcome:
        if not self._state.allows_password_grant or tenant.casefold() != ADFS:
            return Refused(
                "unsupported_grant_type",
                70003,
                "Passwords are not accepted here. Sign in with a browser or a device code. "
                "(bascule serve --allow-password-grant allows them, only at the tenant 'adfs'.)",
            )
        audience = self._realm.audience_of(asked.scope)
        if audience is None:
            return WRONG_SCOPE
        origin = origin_of(request)
        visit = Visit(origin.address, origin.program, str(request.state.correlation_id))
        accepted = await self._state.sign_in.begin(asked.user_name, asked.password, visit)
        if not isinstance(accepted, PasswordAccepted):
            if accepted.reason is Refusal.WRONG:
                return Refused("invalid_grant", 50126, "The name or the password is wrong.")
            refused = Refused(
                "invalid_grant", 50053, "Too many attempts. Wait, then try again.", 429
            )
            return _Later(refused, accepted.retry_after or timedelta(seconds=60))
        if accepted.factors:
            return Refused(
                "interaction_required",
                50076,
                "This account has a second factor, which this way of signing in does not support. "
                "Sign in with a browser or a device code.",
            )
        user = accepted.user
        methods = tuple(map(str, accepted.methods))
        sign_in = SignIn(user.id, user.epoch, accepted.accepted_at, methods)
        outcome = await self._perform(
            request,
            lambda tx, act: tokens.open_family(
                tx, act, sign_in, asked.client_id, Flow.PASSWORD, origin
            ),
        )
        if isinstance(outcome, NotIssued):
            return Refused("invalid_grant", 50126, f"The sign-in is refused: {outcome.why}.")
        return _ForPerson(outcome, audience)

    async def _perform(self, request: Request, work: Callable[[Transaction, Act], T]) -> T:
        correlation_id = str(request.state.correlation_id)
        return await self._services.perform(work, correlation_id=correlation_id)

    def _now(self) -> datetime:
        return self._services.clock.now()

    # -- answering ----------------------------------------------------------------------

    def _of_program(self, granted: Granted, base: str) -> Mapping[str, Any]:
        seconds = int(LIFE[granted.kind].total_seconds())
        return {
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": self._state.tokens.issue(
                granted.principal_id,
                granted.kind,
                granted.credential,
                self._realm.tenant_id,
                self._realm.issuer(base),
                granted.audience,
                str(uuid.uuid4()),
                self._services.clock.now(),
            ),
        }

    def _of_person(self, answered: _ForPerson, base: str) -> Mapping[str, Any]:
        issued, now = answered.issued, self._services.clock.now()
        user, family = issued.user, issued.family
        person = Person(user, family.sign_in, family.client_id, family.id)
        seconds = int(LIFE[PrincipalKind.USER].total_seconds())
        issuer, tenant_id = self._realm.issuer(base), self._realm.tenant_id
        return {
            "token_type": "Bearer",
            "scope": f"{answered.audience}/.default",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": self._state.tokens.issue(
                user.id,
                PrincipalKind.USER,
                proof_of(user),
                tenant_id,
                issuer,
                answered.audience,
                str(uuid.uuid4()),
                now,
                person,
            ),
            "refresh_token": issued.refresh_token,
            "id_token": self._state.tokens.issue_id_token(
                person, tenant_id, issuer, issued.nonce, now
            ),
        }
