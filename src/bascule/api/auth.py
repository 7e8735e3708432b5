"""The guard before each route: who calls, may this kind of principal, is it here at all?

EDGES A13: each route declares the kinds of principal that it takes; one that declares
nothing cannot be built. An agent reaches its own machine's routes and no other. It runs
before the body is read, so a stranger's body is never parsed.

Order of the answers: 401, 403, then what ARM asks of a call (api-version, subscription,
resource group), then what is wrong with its content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bascule.api.arm_path import is_arm_path
from bascule.api.context import AppState, state_of
from bascule.api.origin import base_url, caller_address
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.events import CallerDenied
from bascule.domain.ids import is_guid, is_resource_group_name
from bascule.errors import AuthenticationFailed, BasculeError, Forbidden, InvalidInput, NotFound
from bascule.identity.authenticate import Principal, bearer_token, find_principal, subject_of
from bascule.interfaces import Reader, Transaction
from bascule.services.act import Act

T = TypeVar("T")
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

LONGEST_CLIENT = 200  # characters of a User-Agent that go on record
ANYBODY: frozenset[PrincipalKind] = frozenset()  # no token is asked for
_ADMITTED: dict[Callable[..., Any], frozenset[PrincipalKind]] = {}
_API_VERSION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:-[A-Za-z0-9.-]{1,32})?")


def admits(*kinds: PrincipalKind) -> Callable[[Endpoint], Endpoint]:
    """Declare the kinds of principal that a route takes."""

    def declare(endpoint: Endpoint) -> Endpoint:
        _ADMITTED[endpoint] = frozenset(kinds)
        return endpoint

    return declare


def admits_anybody(endpoint: Endpoint) -> Endpoint:
    """Declare that a route needs no token."""
    _ADMITTED[endpoint] = ANYBODY
    return endpoint


def admitted_kinds(endpoint: Callable[..., Any]) -> frozenset[PrincipalKind]:
    """What a route declares; raise LookupError when it declares nothing."""
    return _ADMITTED[endpoint]


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call on its way to a use case."""

    state: AppState
    request: Request
    subject: Subject
    proven_until: datetime  # streams and waits end then
    resource_group: str  # of the path, as it was created; empty when the path has none
    locations: tuple[str, ...]  # that are known; empty when the path names none

    @property
    def now(self) -> datetime:
        return self.state.services.clock.now()

    @property
    def base_url(self) -> str:
        return base_url(self.request)

    @property
    def subscription_id(self) -> str:
        return self.state.installation.subscription_id

    async def perform(self, work: Callable[[Transaction, Act], T]) -> T:
        """Run a use case as this caller."""
        correlation_id = str(self.request.state.correlation_id)
        return await self.state.services.perform(work, self.subject, correlation_id)

    async def look(self, work: Callable[[Reader], T]) -> T:
        return await self.state.services.look(work)

    def glance(self, work: Callable[[Reader], T]) -> T:
        return self.state.services.glance(work)


async def current_call(request: Request) -> Call:
    return cast("Call", request.state.call)


CurrentCall = Annotated[Call, Depends(current_call)]


class GuardedRoute(APIRoute):
    """A route with its guard; making one whose endpoint declares nothing fails."""

    def get_route_handler(self) -> Handler:
        admitted = admitted_kinds(self.endpoint)
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if admitted is not ANYBODY:
                request.state.call = await _admit(request, admitted)
            _check_content_type(request)
            return await handler(request)

        return guarded


async def _admit(request: Request, admitted: frozenset[PrincipalKind]) -> Call:
    state = state_of(request)
    now = state.services.clock.now()
    address, client = caller_address(request), client_of(request)
    request.state.challenge = _challenge(request, state)
    token = state.tokens.verify(
        bearer_token(request.headers.get("authorization")), state.realm, now
    )

    def look(reader: Reader) -> tuple[Principal | None, list[str], list[str]]:
        """All that the guard asks of the store, at once, and no more than the path needs."""
        principal = find_principal(reader, token.kind, token.principal_id, now)
        named = request.path_params
        groups = reader.resource_groups() if "resource_group" in named else ()
        locations = reader.locations() if "location" in named else ()
        return principal, list(groups), list(locations)

    principal, groups, locations = state.services.glance(look)
    try:
        subject = replace(subject_of(token, principal, address), client=client)
    except AuthenticationFailed as error:
        claimed = Subject(token.principal_id, token.kind, "", address, client)
        await record_denial(request, claimed, error)
        raise
    request.scope["state"]["principal_id"] = subject.principal_id
    request.scope["state"]["known_from"] = address
    try:
        _check_kind(request, subject, admitted)
    except Forbidden as error:
        await record_denial(request, subject, error)
        raise
    group = _check_arm(request, state, groups)
    return Call(state, request, subject, token.expires_at, group, tuple(locations))


def client_of(request: Request) -> str:
    """What the caller calls itself, bounded and in plain ASCII; nobody is believed for it."""
    text = request.headers.get("user-agent", "")[:LONGEST_CLIENT]
    return "".join(letter for letter in text if " " <= letter <= "~")


def _challenge(request: Request, state: AppState) -> str:
    authority = f"{base_url(request)}/{state.installation.tenant_id}"
    return f'Bearer authorization_uri="{authority}", error="invalid_token"'


def _check_kind(request: Request, subject: Subject, admitted: frozenset[PrincipalKind]) -> None:
    if subject.kind not in admitted:
        kinds = " or ".join(sorted(admitted))
        raise Forbidden(
            f"{request.method} {request.url.path[:200]} is for principals of kind {kinds}; "
            f"you are of kind {subject.kind}.",
            advice="An agent's token reaches its own machine's agent routes alone."
            if subject.kind is PrincipalKind.AGENT
            else "",
        )
    if subject.kind is PrincipalKind.AGENT and request.path_params["uid"] != subject.principal_id:
        raise Forbidden("An agent reaches its own machine's routes alone; this is another's.")


async def record_denial(request: Request, subject: Subject, error: BasculeError) -> None:
    """Put a denial on record, unless its source has had its share of this minute."""
    state = state_of(request)
    if not state.denials.is_recorded(subject.address, state.services.clock.now()):
        return
    fact = CallerDenied(request.method, request.url.path[:300], error.message)
    await state.services.perform(
        lambda tx, act: act.record(tx, fact), subject, str(request.state.correlation_id)
    )


def _check_arm(request: Request, state: AppState, groups: list[str]) -> str:
    """What ARM asks of a path of its own; the group's name as it was created."""
    given = request.path_params.get("subscription_id")
    if is_arm_path(request.url.path):
        _check_api_version(request)
    if given is None:
        return ""
    if not is_guid(given):
        raise InvalidInput(
            f"{given[:80]!r} is not a subscription id; it is a GUID.", code="InvalidSubscriptionId"
        )
    if given.lower() != state.installation.subscription_id:
        raise NotFound(
            f"The subscription '{given}' could not be found.",
            code="SubscriptionNotFound",
            advice=f"This server's subscription is {state.installation.subscription_id}.",
        )
    return _check_group(request.path_params.get("resource_group"), groups)


def _check_group(given: str | None, groups: list[str]) -> str:
    if given is None:
        return ""
    if not is_resource_group_name(given):
        raise InvalidInput(
            f"{given[:100]!r} is not a resource group's name.", code="InvalidResourceName"
        )
    known = next((name for name in groups if name.casefold() == given.casefold()), None)
    if known is None:
        raise NotFound(
            f"Resource group '{given}' could not be found; there is: {', '.join(groups)}.",
            code="ResourceGroupNotFound",
        )
    return known


def _check_api_version(request: Request) -> None:
    """Any date will do, with or without a suffix (EDGES A15)."""
    given = [value for name, value in request.query_params.multi_items() if _is_api_version(name)]
    if not given:
        raise InvalidInput(
            "The api-version query parameter (?api-version=) is required for all requests.",
            code="MissingApiVersionParameter",
            advice="Add a date, for example ?api-version=2020-01-01.",
        )
    for value in given:
        match = _API_VERSION.fullmatch(value)
        try:
            date.fromisoformat(match[1] if match else "")
        except ValueError:
            raise InvalidInput(
                f"The api-version '{value[:60]}' is invalid. It must be a date as YYYY-MM-DD, "
                "with or without a suffix such as -preview.",
                code="InvalidApiVersionParameter",
            ) from None


def _is_api_version(name: str) -> bool:
    return name.casefold() == "api-version"


def _check_content_type(request: Request) -> None:
    headers = request.headers
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().casefold()
    if request.method in ("PUT", "POST") and has_body and media_type != "application/json":
        raise HTTPException(
            415,
            f"A body must be sent as Content-Type: application/json, not {media_type[:60]!r}.",
        )
