"""The guard before each page: whose browser is it, may it be here, is the form ours?

The portal's counterpart of ``api.auth``: the same declarations, the same rights, read anew
in the transaction of each act. Whoever has no session is sent to sign in and led back. A
form is taken only with the proof that a page of this session holds it (CSRF) and from this
origin; the guard asks for both, so that no page can forget to. A form of the same user's session
before is shown again, filled in, and does nothing (``kept``). Whatever is refused, and
whatever goes wrong, is answered by a page (``problems``).
What is not here: what a page shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import structlog
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from bascule.api.auth import Handler, forget, note_caller
from bascule.api.body_limit import allow_body
from bascule.api.caller import Caller
from bascule.api.context import state_of
from bascule.api.denials import client_of, record_denial
from bascule.api.entries import Where, entry_of
from bascule.api.envelope import forget_frames
from bascule.api.oauth.browser import Browser, csrf_token, is_csrf_token, safe_next
from bascule.api.oauth.sign_in import sign_in_path
from bascule.api.origin import base_url, caller_address
from bascule.api.pages.look import Look, look_of
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.actions import REQUEST_APPROVE
from bascule.domain.roles import Rights
from bascule.domain.scopes import Scope, subscription_scope
from bascule.errors import AuthenticationFailed, BasculeError, Forbidden
from bascule.interfaces.approvals import Approver
from bascule.interfaces.kept_forms import KEPT_FOR, KeptForm
from bascule.interfaces.store import Reader, Transaction
from bascule.portal import kept, look, problems
from bascule.portal.forms import Form, form_of, read_form
from bascule.portal.kept import (
    COOKIE,
    KEPT_PATH,
    LONGEST,
    does_come_back,
    unsent,
    without_secrets,
)
from bascule.services import sessions
from bascule.services.act import Act
from bascule.services.emergencies import unreviewed_for
from bascule.services.rights import Needed, denial, rights_of
from bascule.services.sessions import Visitor
from bascule.words import Words

log = structlog.get_logger("bascule.portal")
T = TypeVar("T")

PURPOSE = "/portal"  # of the CSRF token in every form of a session
CSRF_HEADER = "x-csrf"
REFRESH_HEADER = "bascule-refresh"  # of what an open page fetches by itself
LIVE_PATH = "/portal/live"  # a browser comes back to it by itself, and can add no header
MOST_COUNTED = 100  # requests that wait; more are not counted
PANE = "#pane-content"  # the target of what is shown in the pane beside a page


@dataclass(frozen=True, slots=True)
class Visit(Caller):
    """One request of somebody who is signed in."""

    visitor: Visitor
    look: Look
    session_text: str  # the cookie; never shown
    changes: str  # the mark of the last change before anything was read (``live``)
    waiting: int = (
        0  # requests that wait for this visitor's approval or review, counted up to MOST_COUNTED
    )
    form: Form = field(default_factory=Form)  # of a POST
    is_unsent: bool = False  # the form came back from a session before: shown, not done

    # -- who and where

    @property
    def csrf(self) -> str:
        return csrf_token(self.session_text, PURPOSE)

    @property
    def whose(self) -> str:
        """The field that says of a form that it is this user's."""
        return kept.whose(self.state, self.subject.principal_id, self.now)

    @property
    def words(self) -> Words:
        return Words(self.look.language)

    @property
    def path_and_query(self) -> str:
        if _KEPT in self.request.scope:
            return KEPT_PATH
        query = str(self.request.scope["query_string"], "latin-1")
        return self.request.url.path + (f"?{query}" if query else "")

    @property
    def is_from_htmx(self) -> bool:
        return self.request.headers.get("hx-request") == "true"

    @property
    def is_for_pane(self) -> bool:
        """Is only the content wanted, to be shown in the pane beside another page?"""
        return self.request.headers.get("hx-target", "").endswith(PANE)

    @property
    def waiting_words(self) -> str:
        """How many requests wait for this visitor; empty: none."""
        if self.waiting >= MOST_COUNTED:
            return f"{MOST_COUNTED - 1}+"
        return str(self.waiting) if self.waiting else ""

    # -- rights

    def may(self, action: str, scope: Scope) -> bool:
        return self.rights.may(action, scope)

    def why_not(self, action: str, scope: Scope) -> str:
        """Why a button for this is off, in the visitor's language; empty when it may be done."""
        return (
            ""
            if self.may(action, scope)
            else self.words(
                "You lack the right to do this here: {action}. Ask for a role that has it.",
                action=action,
            )
        )

    # -- what is done

    def admit(self, reader: Reader, now: datetime) -> None:
        """The session must still hold; a use case asks for its rights itself, or
        ``iam.perform_at`` does.
        """
        if sessions.visitor_of(reader, self.session_text, now) is None:
            raise AuthenticationFailed("Your session has ended.", advice="Sign in again.")

    async def perform(self, work: Callable[[Transaction, Act], T]) -> T:
        """``Caller.perform``; raise FormUnsent for a form that came back."""
        if self.is_unsent:
            raise unsent()
        return await Caller.perform(self, work)

    # -- answers

    def show(self, template: str, status: int = 200, /, **content: Any) -> Response:  # noqa: ANN401  # reason: a template takes values of any type
        """A page, or only its content where a pane asks for it."""
        return look.show(self, template, content, status)

    def go(self, path: str, notice: str = "") -> Response:
        """Lead on after an act; ``notice`` names a text that the next page shows once."""
        if notice:
            path += ("&" if "?" in path else "?") + urlencode({"notice": notice})
        return look.go(self, path)


async def current_visit(request: Request) -> Visit:
    return cast("Visit", request.state.visit)


CurrentVisit = Annotated[Visit, Depends(current_visit)]


class PortalRoute(APIRoute):
    """A page's route with its guard; making one whose endpoint declares nothing fails.

    Pages are for people: the API's document does not name them.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401  # reason: FastAPI's own
        super().__init__(path, endpoint, **{**options, "include_in_schema": False})

    def get_route_handler(self) -> Handler:
        entry = entry_of(self.endpoint)
        if entry.where is Where.PATH:
            raise LookupError(f"{self.path} is no scope; say shows() or decides()")
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if not entry.kinds:
                return await handler(request)
            visit = await _admit(request)
            if visit is None:
                return await _interrupted(request, self.endpoint)
            request.state.visit = visit
            try:
                if request.method not in ("GET", "HEAD"):
                    visit = request.state.visit = await _with_form(visit, self.endpoint)
                missing = [
                    action for action in entry.actions if not visit.rights.may_anywhere(action)
                ]
                if entry.where is Where.BELOW and missing and not visit.rights.held:
                    raise await visit.read_few(lambda reader: _denial(reader, visit, missing))
                return await handler(request)
            except AuthenticationFailed:
                return await _interrupted(request, self.endpoint, visit.form)
            except Forbidden as error:
                await record_denial(request, visit.subject, error)
                return problems.show(visit, error)
            except (BasculeError, RequestValidationError, HTTPException) as error:
                forget_frames(error)
                return problems.show(visit, error)
            except Exception:
                log.exception("page failed", id=request.state.request_id, path=request.url.path)
                return problems.show_failure(visit)
            finally:
                forget(request, "visit")

        return guarded


def _denial(reader: Reader, visit: Visit, missing: list[str]) -> Forbidden:
    scope = subscription_scope(visit.subscription_id)
    return denial(reader, visit.subject, [Needed(action, scope) for action in missing])


async def _admit(request: Request) -> Visit | None:
    """Whose browser this is; None when it is nobody's."""
    state = state_of(request)
    browser, changes = Browser(request), state.services.hub.mark
    visitor = await browser.visitor(is_use=_is_use(request))
    if visitor is None:
        return None
    user, address = visitor.user, caller_address(request)
    factor_at = visitor.sign_in.factor_at
    subject = Subject(
        user.id, PrincipalKind.USER, user.name, address, client_of(request), factor_at
    )
    now = state.services.clock.now()
    state.proved.note(visitor.session.id, address, now)
    rights, waiting = await state.services.read_few(lambda reader: _arrival(reader, user.id, now))
    note_caller(request, user.id)
    text = browser.session_text
    return Visit(state, request, subject, rights, visitor, look_of(request), text, changes, waiting)


def _arrival(reader: Reader, user_id: str, now: datetime) -> tuple[Rights, int]:
    """What this user holds, and how many requests wait for their approval or review."""
    rights = rights_of(reader, user_id, now)
    groups = frozenset(each.group_id for each in reader.memberships_of(user_id, now))
    approver = Approver(user_id, groups, rights.reach(REQUEST_APPROVE))
    waiting = reader.count_waiting_for(approver, now, MOST_COUNTED)
    subject = Subject(user_id, PrincipalKind.USER, "")
    return rights, waiting + len(unreviewed_for(reader, subject, now, MOST_COUNTED))


def _is_use(request: Request) -> bool:
    """Did somebody ask for this? An open page asks by itself too, which keeps no session."""
    is_by_itself = request.headers.get(REFRESH_HEADER) == "1" or request.url.path == LIVE_PATH
    return request.method not in ("GET", "HEAD") or not is_by_itself


async def _with_form(visit: Visit, endpoint: Callable[..., Any]) -> Visit:
    """The visit with its form, if a page of this session sent it; raise Forbidden when another
    did. One of the same user's session before is taken to be shown again.
    """
    request = visit.request
    if (waiting := request.scope.get(_KEPT)) is not None:
        return replace(visit, form=form_of(waiting.text), is_unsent=True)
    form = await read_form(request)
    given = form.text("csrf") or request.headers.get(CSRF_HEADER, "")
    if _is_from_here(request):
        if is_csrf_token(given, visit.session_text, PURPOSE):
            return replace(visit, form=form)
        owner = kept.owner_of(visit.state, form, visit.now)
        if owner == visit.subject.principal_id and does_come_back(endpoint):
            return replace(visit, form=without_secrets(form), is_unsent=True)
    raise Forbidden(
        "This form does not come from a page of your session; nothing was changed.",
        code="FormRefused",
        advice="Reload the page and send the form again.",
    )


def _is_from_here(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or origin == base_url(request)


# -- without a session ------------------------------------------------------------------------


async def _interrupted(
    request: Request, endpoint: Callable[..., Any], form: Form | None = None
) -> Response:
    """Ask who it is, then lead back: to the page itself, or to the form that was sent."""
    if request.url.path == LIVE_PATH:
        return Response(status_code=204, headers=look.HEADERS)  # a browser asks no more
    if request.method in ("GET", "HEAD"):
        query = str(request.scope["query_string"], "latin-1")
        return _to_sign_in(request, request.url.path + (f"?{query}" if query else ""))
    text = None
    if does_come_back(endpoint) and _is_from_here(request):
        text = await _keep(request, form)
    if text is None:
        return _to_sign_in(request, _page_of(request))
    response = _to_sign_in(request, KEPT_PATH)
    response.set_cookie(
        COOKIE,
        text,
        max_age=int(KEPT_FOR.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )
    return response


async def _keep(request: Request, form: Form | None) -> str | None:
    """Keep the form for its user, who is not known by a session: what is read is bounded."""
    state = state_of(request)
    try:
        allow_body(request, LONGEST)
        found = form if form is not None else await read_form(request, LONGEST)
    except (BasculeError, HTTPException, ClientDisconnect):  # no form, or not all of one
        return None
    return await kept.keep(state, request.url.path, found)


def _page_of(request: Request) -> str:
    """The page that a form was on, as the browser says; /portal when it says none of ours."""
    parts = urlsplit(request.headers.get("referer", ""))
    if f"{parts.scheme}://{parts.netloc}" != base_url(request):
        return "/portal"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return safe_next(path) if path.startswith("/portal") else "/portal"


def _to_sign_in(request: Request, path: str) -> Response:
    return look.lead(request, sign_in_path(path))


# -- a form that came back --------------------------------------------------------------------

_KEPT = "bascule.kept"  # in the scope of a request that shows one; no client can set it


async def show_kept(visit: Visit) -> Response:
    """The form that waits for this visitor, shown by the page that it was sent to."""
    text = visit.request.cookies.get(COOKIE, "")
    form = await kept.find(visit.state, text, visit.subject.principal_id, visit.now)
    response = await _show_unsent(visit.request, form) if form is not None else None
    if response is None:
        response = visit.go("/portal")
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


async def _show_unsent(request: Request, form: KeptForm) -> Response | None:
    scope = {
        **request.scope,
        "method": "POST",
        "path": form.path,
        "raw_path": form.path.encode(),
        "query_string": b"",
        _KEPT: form,
    }
    for route in request.app.routes:
        match, more = route.matches(scope)
        if match is Match.FULL and isinstance(route, PortalRoute):
            return await route.get_route_handler()(Request({**scope, **more}, request.receive))
    return None
