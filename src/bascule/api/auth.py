"""The guard before each route: who calls, may it do this here, is it here at all?

EDGES A13, B1: each route declares the action that it needs and where that is checked, or
whom it takes without one; a route that declares nothing cannot be built. An agent reaches
its own machine's routes and no other. The guard runs before the body is read, so a
stranger's body is never parsed; an act checks the same once more in its transaction.

Order of the answers: 401, 403, then what ARM asks of a call (api-version, subscription,
resource group), then what is wrong with its content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bascule.api.arm_path import is_arm_path
from bascule.api.body_limit import allowance_of
from bascule.api.caller import Caller
from bascule.api.context import AppState, state_of
from bascule.api.described import described
from bascule.api.direct import direct_handler, stands_for
from bascule.api.origin import base_url, caller_address
from bascule.domain.access import CALLERS, PrincipalKind, Subject
from bascule.domain.actions import DISPLAY, GROUP_READ
from bascule.domain.event import Actor
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fields import MOST_PLACES
from bascule.domain.ids import (
    COMPUTE,
    VIRTUAL_MACHINES,
    is_guid,
    is_name,
    is_resource_group_name,
)
from bascule.domain.roles import NO_RIGHTS, Rights
from bascule.domain.scopes import Scope, group_scope
from bascule.errors import AuthenticationFailed, BasculeError, Forbidden, InvalidInput, NotFound
from bascule.identity.authenticate import Principal, bearer_token, find_principal, subject_of
from bascule.identity.realm import GRAPH
from bascule.identity.tokens import AccessToken
from bascule.interfaces.store import Reader, Transaction
from bascule.json_text import TooDeep, check_depth
from bascule.services.act import Act
from bascule.services.rights import Needed, check, denial, rights_of

T = TypeVar("T")
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

AUTHORIZATION = "Microsoft.Authorization"
LONGEST_CLIENT = 200  # characters of a User-Agent that go on record
_MACHINE = f"/providers/{COMPUTE}/{VIRTUAL_MACHINES}/".casefold()
_API_VERSION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:-[A-Za-z0-9.-]{1,32})?")


class Where(Enum):
    """Where a route's actions are checked."""

    NOWHERE = "nowhere"  # it needs none
    PATH = "path"  # here, at the scope that the path names, before the body is read
    BELOW = "below"  # here: whoever holds anything at all, anywhere, may
    ROWS = "rows"  # by the endpoint: it shows the rows at which the caller holds them
    INSIDE = "inside"  # by the use case, in its transaction, at what the body or rows name


@dataclass(frozen=True, slots=True)
class Entry:
    """What a route asks of its caller."""

    kinds: frozenset[PrincipalKind]  # empty: no token is asked for
    actions: tuple[str, ...] = ()
    where: Where = Where.NOWHERE


OPEN = Entry(frozenset())
_ENTRIES: dict[Callable[..., Any], Entry] = {}


def requires(action: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the action that a caller needs at the scope of the path."""
    return _declare(Entry(CALLERS, (_known(action),), Where.PATH))


def shows(action: str) -> Callable[[Endpoint], Endpoint]:
    """Declare that the endpoint shows what the caller holds this action for, and no more."""
    return _declare(Entry(CALLERS, (_known(action),), Where.ROWS))


def tells_holders(action: str) -> Callable[[Endpoint], Endpoint]:
    """Declare an action that every role implies, as Azure shows a subscription to whoever
    holds a role on something in it.
    """
    return _declare(Entry(CALLERS, (_known(action),), Where.BELOW))


def decides(*actions: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the actions that the use case checks in its own transaction."""
    return _declare(Entry(CALLERS, tuple(map(_known, actions)), Where.INSIDE))


def admits_callers(endpoint: Endpoint) -> Endpoint:
    """Declare that every user and service principal may call: it says only what is theirs."""
    return _declare(Entry(CALLERS))(endpoint)


def admits_agents(endpoint: Endpoint) -> Endpoint:
    """Declare that agents may call, each for its own machine, and nobody else."""
    return _declare(Entry(frozenset({PrincipalKind.AGENT})))(endpoint)


def admits_anybody(endpoint: Endpoint) -> Endpoint:
    """Declare that a route needs no token."""
    return _declare(OPEN)(endpoint)


def _declare(entry: Entry) -> Callable[[Endpoint], Endpoint]:
    def declare(endpoint: Endpoint) -> Endpoint:
        _ENTRIES[endpoint] = entry
        return endpoint

    return declare


def _known(action: str) -> str:
    if action not in DISPLAY:
        raise LookupError(f"{action} is not in domain.actions")
    return action


def entry_of(endpoint: Callable[..., Any]) -> Entry:
    """What a route declares; raise LookupError when it declares nothing."""
    return _ENTRIES[endpoint]


@dataclass(frozen=True, slots=True)
class Call(Caller):
    """One call with a token, on its way to a use case."""

    entry: Entry
    token: AccessToken  # streams and waits end with it
    resource_group: str  # of the path, as it was created; empty when the path has none
    location: str | None  # of the path, as it is spelt here; None: there is none

    @property
    def proven_until(self) -> datetime:
        return self.token.expires_at

    @property
    def scope(self) -> Scope:
        """The scope that the path names."""
        return scope_of_path(path_of(self.request))

    async def check_proof(self) -> None:
        """Raise AuthenticationFailed when the token was revoked since, or the key that signed it
        was forgotten: for calls that last.
        """
        await self.read_few(lambda reader: self._prove(reader, self.now))

    def _prove(self, reader: Reader, now: datetime) -> None:
        token = self.token
        self.state.tokens.check_key(token, now)
        found = find_principal(reader, token.kind, token.principal_id, now, token.family_id)
        subject_of(token, found, self.subject.address)

    def admit(self, reader: Reader, now: datetime) -> None:
        """Once more in the transaction: a body may come half a minute after its headers."""
        self._prove(reader, now)
        if self.entry.where is Where.PATH:
            needed = [Needed(action, self.scope) for action in self.entry.actions]
            check(reader, self.subject, now, needed)


async def current_call(request: Request) -> Call:
    return cast("Call", request.state.call)


stands_for(current_call)(current_call)


CurrentCall = Annotated[Call, Depends(current_call)]


class GuardedRoute(APIRoute):
    """A route with its guard; making one whose endpoint declares nothing fails."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401  # reason: FastAPI's own
        super().__init__(path, endpoint, **{**options, "openapi_extra": described(path)})

    def get_route_handler(self) -> Handler:
        entry = entry_of(self.endpoint)
        handler = direct_handler(self.endpoint, self.body_field) or super().get_route_handler()
        has_body = self.body_field is not None
        is_for_graph = self.path.startswith(f"{GRAPH}/")  # by the route, not by the call

        async def guarded(request: Request) -> Response:
            if entry.kinds:
                request.state.call = await _admit(request, entry, is_for_graph=is_for_graph)
            _check_content_type(request)
            if has_body:
                await _check_json(request)
            try:
                return await handler(request)
            except Forbidden as error:  # a use case's: its transaction kept nothing
                if entry.kinds:
                    await record_denial(request, request.state.call.subject, error)
                raise

        return guarded


async def _admit(request: Request, entry: Entry, *, is_for_graph: bool) -> Call:
    state = state_of(request)
    now = state.services.clock.now()
    address, client = caller_address(request), client_of(request)
    request.state.challenge = _challenge(request, state)
    bearer = bearer_token(request.headers.get("authorization"))
    try:
        token = state.tokens.verify(bearer, state.realm, now, is_for_graph=is_for_graph)
    except AuthenticationFailed as error:
        await record_stranger(request, error)
        raise
    found = await state.services.read_few(lambda reader: _find(reader, request, token, now))
    try:
        subject = replace(subject_of(token, found.principal, address), client=client)
    except AuthenticationFailed as error:
        claimed = Subject(token.principal_id, token.kind, "", address, client)
        await record_denial(request, claimed, error)
        raise
    note_caller(request, subject.principal_id)
    request.scope["state"]["known_from"] = address
    try:
        _check_kind(request, subject, entry.kinds)
        await _check_rights(request, state, subject, found.rights, entry)
    except Forbidden as error:
        await record_denial(request, subject, error)
        raise
    group = await _check_arm(request, state, found)
    return Call(state, request, subject, found.rights, entry, token, group, found.location)


def note_caller(request: Request, principal_id: str) -> None:
    """Who calls is proved: that gives a place in the log, memory for a body, and precedence."""
    request.scope["state"]["principal_id"] = principal_id
    allowance_of(request).be_proved(principal_id)
    state_of(request).known_networks.note(caller_address(request), principal_id)


@dataclass(frozen=True, slots=True)
class _Found:
    """All that the guard asks of the store, at once, and no more than the path needs."""

    principal: Principal | None
    rights: Rights
    group: str | None  # that the path names, as it was created
    location: str | None


def _find(reader: Reader, request: Request, token: AccessToken, now: datetime) -> _Found:
    named = request.path_params
    is_caller = token.kind in CALLERS
    principal = find_principal(reader, token.kind, token.principal_id, now, token.family_id)
    rights = rights_of(reader, token.principal_id, now) if is_caller else NO_RIGHTS
    group, location = named.get("resource_group", ""), named.get("location", "")
    group = group if is_resource_group_name(group) else ""  # what is no name, nothing is called
    location = location if is_name(location) else ""
    spelt = reader.spelt(group, location) if group or location else (None, None)
    return _Found(principal, rights, *spelt)


async def _check_rights(
    request: Request, state: AppState, subject: Subject, rights: Rights, entry: Entry
) -> None:
    scope = scope_of_path(path_of(request))
    needed = [Needed(action, scope) for action in entry.actions]
    if entry.where is Where.PATH:
        missing = [each for each in needed if not rights.may(each.action, scope)]
    else:
        missing = needed if entry.where is Where.BELOW and not rights.held else []
    if missing:
        raise await state.services.read_few(lambda reader: denial(reader, subject, missing))


def path_of(request: Request) -> str:
    """The path that was routed. ``request.url`` is put together and taken apart again: it
    would drop tabs and line ends, and end at a # or ? that stands in a name.
    """
    return str(request.scope["path"])


def scope_of_path(path: str) -> Scope:
    """The scope that a canonical path names: its longest part of whole names.

    ``/subscriptions/S/providers/N/types`` is about the subscription, ``.../types/name/verb``
    about that resource. What is Microsoft.Authorization's is about what stands before it: an
    assignment is made and taken by a right at the scope where it is assigned.
    """
    parts = path.strip("/").split("/")
    end = 2
    if parts[2:3] == ["resourceGroups"] and len(parts) >= 4:
        end = 4
    while (
        parts[end : end + 1] == ["providers"]
        and len(parts) >= end + 4
        and parts[end + 1] != AUTHORIZATION
    ):
        end += 4
        while len(parts) >= end + 2 and parts[end] != "providers":
            end += 2
    return Scope("/" + "/".join(parts[:end]))


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
            f"Only principals of kind {kinds} may call {request.method} {request.url.path[:200]}; "
            f"you are of kind {subject.kind}.",
            advice="An agent's token works only on the agent routes of its own machine."
            if subject.kind is PrincipalKind.AGENT
            else "",
        )
    if subject.kind is PrincipalKind.AGENT and request.path_params["uid"] != subject.principal_id:
        raise Forbidden(
            "An agent's token works only on the routes of its own machine; this is "
            "another machine's."
        )


async def record_denial(request: Request, subject: Subject, error: BasculeError) -> None:
    """Put a denial on record, unless this principal has had its share of this minute."""
    state = state_of(request)
    if not state.denials.is_recorded(subject.principal_id, state.services.clock.now()):
        return
    machines = _machines_of(error)
    fact = CallerDenied(
        request.method,
        request.url.path[:300],
        error.message,
        machines[:MOST_PLACES],
        len(machines[MOST_PLACES:]),
    )
    await state.services.perform(
        lambda tx, act: act.record_denied(tx, fact, state.denials),
        subject,
        str(request.state.correlation_id),
    )


def _machines_of(error: BasculeError) -> tuple[str, ...]:
    """At which a right is missing (EDGES E10)."""
    at = error.at if isinstance(error, Forbidden) else ()
    return tuple(each for each in at if _MACHINE in each.casefold())


async def record_stranger(request: Request, error: BasculeError) -> None:
    """The same of a token that proves nobody: by address, and out of a share of its own, so
    that bad tokens do not keep what known callers are denied off the record. A call without
    a token is how clients ask where to sign in, and is none of these.
    """
    state = state_of(request)
    address = caller_address(request)
    if not state.stranger_denials.is_recorded(address, state.services.clock.now()):
        return
    fact = CallerDenied(request.method, request.url.path[:300], error.message)

    def work(tx: Transaction, act: Act) -> None:
        act.actor = Actor("", "", "Unauthenticated", address, client_of(request))
        act.record_denied(tx, fact, state.stranger_denials)

    await state.services.perform(work, None, str(request.state.correlation_id))


async def _check_arm(request: Request, state: AppState, found: _Found) -> str:
    """What ARM asks of a path of its own; the group's name as it was created."""
    given = request.path_params.get("subscription_id")
    if is_arm_path(path_of(request)):
        _check_api_version(request)
    if given is None:
        return ""
    if not is_guid(given):
        raise InvalidInput(
            f"{given[:80]!r} is not a subscription id, which is a GUID.",
            code="InvalidSubscriptionId",
        )
    if given.lower() != state.installation.subscription_id:
        raise NotFound(
            f"The subscription '{given}' could not be found.",
            code="SubscriptionNotFound",
            advice=f"This server's subscription is {state.installation.subscription_id}.",
        )
    return await _check_group(request.path_params.get("resource_group"), given, state, found)


async def _check_group(
    given: str | None, subscription_id: str, state: AppState, found: _Found
) -> str:
    """The name as the group was created. Who holds nothing there or above does not learn
    whether there is one: for such a caller it is as empty as any other.
    """
    if given is None:
        return ""
    if not is_resource_group_name(given):
        raise InvalidInput(
            f"{given[:100]!r} is not a valid resource group name.", code="InvalidResourceName"
        )
    if found.group is None and found.rights.held_at(group_scope(subscription_id, given).key):
        groups = await state.services.read(lambda reader: reader.resource_groups())
        shown = [name for name in groups if _is_told(found.rights, subscription_id, name)]
        raise NotFound(
            f"Resource group '{given}' could not be found. Existing groups: {', '.join(shown)}.",
            code="ResourceGroupNotFound",
        )
    return found.group or given


def _is_told(rights: Rights, subscription_id: str, group: str) -> bool:
    return rights.is_told_of(GROUP_READ, group_scope(subscription_id, group).key)


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


async def _check_json(request: Request) -> None:
    """Read the body and judge how deep it nests, before anything parses it (EDGES E1)."""
    try:
        content = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "The body is incomplete.") from None
    try:
        check_depth(content.decode())
    except TooDeep as error:
        raise InvalidInput(f"The body is refused. {error}") from None
    except UnicodeDecodeError:
        raise InvalidInput("The body is not UTF-8, the encoding of JSON.") from None


def _check_content_type(request: Request) -> None:
    headers = request.headers
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().casefold()
    if request.method in ("PUT", "POST", "PATCH") and has_body and media_type != "application/json":
        raise HTTPException(
            415,
            f"A body must be sent as Content-Type: application/json, not {media_type[:60]!r}.",
        )
