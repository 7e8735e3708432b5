"""The guard before each route: who calls, whether they may do this here, and whether it exists.

EDGES A13, B1: each route declares the action that it needs and where that is checked, or
whom it takes without one; a route that declares nothing cannot be built. An agent reaches
its own machine's routes and no other. The guard runs before the body is read, so a
stranger's body is never parsed; an act checks the same once more in its transaction.

Order of the answers: 401, 403, then what ARM asks of a call (api-version, subscription,
resource group), then what is wrong with its content.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bascule.api.agent_calls import check_body, proof_of_call, token_of_call, use_once
from bascule.api.arm_call import check_arm, path_of, scope_of_path
from bascule.api.body_limit import allowance_of
from bascule.api.caller import Caller
from bascule.api.context import AppState, state_of
from bascule.api.denials import client_of, record_denial, record_stranger
from bascule.api.described import described
from bascule.api.direct import direct_handler, stands_for
from bascule.api.entries import Entry, Where, entry_of
from bascule.api.origin import base_url, caller_address
from bascule.domain.access import CALLERS, PrincipalKind, Subject
from bascule.domain.ids import is_name, is_resource_group_name
from bascule.domain.roles import NO_RIGHTS, Rights
from bascule.domain.scopes import Scope
from bascule.errors import AuthenticationFailed, Forbidden, InvalidInput
from bascule.identity.authenticate import Principal, bearer_token, find_principal, subject_of
from bascule.identity.realm import GRAPH
from bascule.identity.tokens import AccessToken
from bascule.interfaces.store import Reader
from bascule.json_text import TooDeep, check_depth
from bascule.protocol.calls import CallProof
from bascule.services.rights import Needed, check, denial, rights_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Call(Caller):
    """One call with a token, on its way to a use case."""

    entry: Entry
    token: AccessToken  # streams and waits end with it
    resource_group: str  # of the path, as it was created; empty when the path has none
    location: str | None  # of the path, as it is spelt here; None: there is none
    proof: CallProof | None = None  # of a call that its agent signed, without a token

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
        if self.proof is None:
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
        handler = (
            direct_handler(self.endpoint, self.body_field, self.dependant)
            or super().get_route_handler()
        )
        has_body = self.body_field is not None
        is_for_graph = self.path.startswith(f"{GRAPH}/")  # by the route, not by the call

        async def guarded(request: Request) -> Response:
            try:
                if entry.kinds:
                    request.state.call = await _admit(request, entry, is_for_graph=is_for_graph)
                _check_content_type(request)
                if has_body:
                    await _check_json(request)
                if entry.kinds and (proof := request.state.call.proof) is not None:
                    await check_body(request, proof)
                try:
                    return await handler(request)
                except Forbidden as error:  # a use case's: its transaction kept nothing
                    if entry.kinds:
                        await record_denial(request, request.state.call.subject, error)
                    raise
            finally:
                forget(request, "call")

        return guarded


def forget(request: Request, name: str) -> None:
    """Drop what a guard noted of a request that is done. It refers to the request: otherwise each
    request, with all that it read, would be a reference cycle that only the collector frees.
    """
    request.scope["state"].pop(name, None)


async def _admit(request: Request, entry: Entry, *, is_for_graph: bool) -> Call:
    state = state_of(request)
    now = state.services.clock.now()
    address, client = caller_address(request), client_of(request)
    request.state.challenge = _challenge(request, state)
    try:
        proof = proof_of_call(request) if PrincipalKind.AGENT in entry.kinds else None
        if proof is not None:
            token = token_of_call(request, proof, state, now)
        else:
            bearer = bearer_token(request.headers.get("authorization"))
            token = await _verified(state, bearer, now, is_for_graph=is_for_graph)
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
    if proof is not None:
        await use_once(request, proof, state, now)
    elif subject.kind is PrincipalKind.AGENT and state.proxies.is_peer(request):
        raise Forbidden(
            "An agent that comes through a proxy which ends TLS must be enrolled for that.",
            code="SealRequired",
            advice="Enrol it with bascule machine enrol NAME --replace --through-proxy.",
        )
    group = await check_arm(request, state, found.rights, found.group)
    return Call(state, request, subject, found.rights, entry, token, group, found.location, proof)


async def _verified(
    state: AppState, bearer: str, now: datetime, *, is_for_graph: bool
) -> AccessToken:
    try:
        return state.tokens.verify(bearer, state.realm, now, is_for_graph=is_for_graph)
    except AuthenticationFailed:
        if not await state.has_new_key_of(bearer):
            raise
    return state.tokens.verify(bearer, state.realm, now, is_for_graph=is_for_graph)


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
