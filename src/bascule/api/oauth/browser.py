"""What the pages share: cookies, the proof that a form is ours, and whose browser it is.

* ``__Host-bascule`` is the session; ``__Host-bascule-signin`` belongs to a sign-in under way;
  ``__Host-bascule-known`` says that somebody has signed in here before (EDGES E5).
  All are Secure, HttpOnly and of this host alone (RFC 6265bis section 4.1.3.2). SameSite is
  Strict for the last, which only our own forms need. Else it is Lax, since a program or an
  external provider sends the browser here by a link; and so no cookie opens anything by itself (EDGES B7).
* Each form holds a CSRF token: an HMAC of what the form is for under the cookie's text, so
  that a form for one client, code or page is none for another. A form from another origin is
  refused by its Origin header too.
* ``next`` is where a sign-in leads: a path of ours, by a fixed list, never a URL.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bascule.api.body_limit import KIB
from bascule.api.context import AppState, state_of
from bascule.api.denials import client_of
from bascule.api.oauth.refusals import read_fields
from bascule.api.origin import base_url, caller_address
from bascule.api.pages import Page, show
from bascule.api.pages.look import look_of
from bascule.domain.principals import User
from bascule.domain.tokens import MARK_LIFE, Origin
from bascule.identity.token_request import Refused
from bascule.services import sessions
from bascule.services.sessions import Visitor
from bascule.services.sign_in import Visit
from bascule.services.tokens import new_text

SESSION = "__Host-bascule"
SIGN_IN = "__Host-bascule-signin"
KNOWN = "__Host-bascule-known"
HOME = "/portal"
YOU = "/signin/you"
LONGEST_FORM = 16 * KIB  # where it leads, and a passkey's answer, percent-encoded
LONGEST_NEXT = 4096  # characters; an authorize request has about 700
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
_MARK = re.compile(r"[A-Za-z0-9_-]{1,400}")
_NEXT = re.compile(
    r"/(?:signin/you|device|portal(?:/[A-Za-z0-9._~%/-]*)?|[A-Za-z0-9-]{1,64}/oauth2/(?:v2\.0/)?authorize)(?:\?.*)?"
)
_PAGE_OF_SIGN_IN = re.compile(r"/signin(?:/factor)?(?:\?.*)?")


@dataclass(frozen=True, slots=True)
class Browser:
    """One request of a browser."""

    request: Request

    @property
    def state(self) -> AppState:
        return state_of(self.request)

    @property
    def session_text(self) -> str:
        return _cookie(self.request, SESSION)

    @property
    def sign_in_text(self) -> str:
        return _cookie(self.request, SIGN_IN)

    @property
    def address(self) -> str:
        return caller_address(self.request)

    @property
    def origin(self) -> Origin:
        return Origin(self.address, client_of(self.request))

    @property
    def visit(self) -> Visit:
        correlation_id = str(self.request.state.correlation_id)
        mark = self.request.cookies.get(KNOWN, "")
        mark = mark if _MARK.fullmatch(mark) else ""
        return Visit(self.address, client_of(self.request), correlation_id, mark)

    @property
    def path_and_query(self) -> str:
        query = self.request.url.query
        return self.request.url.path + (f"?{query}" if query else "")

    async def visitor(self, *, is_use: bool = True) -> Visitor | None:
        services, text = self.state.services, self.session_text
        return await sessions.find(services, text, self.address, is_use=is_use)

    def show(self, page: Page, status: int = 200) -> Response:
        return show(page, status, look_of(self.request), self._here)

    @property
    def _here(self) -> str:
        """What a browser may ask for to see this page, or its like, once more."""
        is_page = self.request.method in ("GET", "HEAD")
        has_page = self.request.url.path.endswith(("/authorize", "/device"))
        return self.path_and_query if is_page or has_page else "/signin"

    async def fields(self) -> Mapping[str, str]:
        """The form; empty when it is none, or comes from a page of somebody else's."""
        form = await read_fields(self.request, LONGEST_FORM)
        return {} if isinstance(form, Refused) or not self._is_from_here() else form

    def _is_from_here(self) -> bool:
        origin = self.request.headers.get("origin")
        return origin is None or origin == base_url(self.request)


def csrf_token(secret: str, purpose: str) -> str:
    """The proof that a form for ``purpose`` was made for the browser that holds ``secret``."""
    made = hmac.digest(secret.encode(), purpose.encode(errors="replace"), "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def is_csrf_token(given: str, secret: str, purpose: str) -> bool:
    wanted = csrf_token(secret, purpose)
    return bool(secret) and hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def safe_next(text: str) -> str:
    """Where a sign-in leads: one of our pages; HOME when ``text`` is anything else."""
    return text if _is_plain(text) and _NEXT.fullmatch(text) else HOME


def safe_page(text: str) -> str:
    """As ``safe_next``, or a page of signing in."""
    return text if _is_plain(text) and _PAGE_OF_SIGN_IN.fullmatch(text) else safe_next(text)


def _is_plain(text: str) -> bool:
    return len(text) <= LONGEST_NEXT and text.isprintable() and "\\" not in text


def new_cookie_text() -> str:
    return new_text()


def go(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def set_cookie(response: Response, name: str, text: str) -> None:
    response.set_cookie(name, text, path="/", secure=True, httponly=True, samesite="lax")


def remember(response: Response, state: AppState, user: User) -> None:
    """Leave the mark of a successful sign-in in the browser, in place of any other's."""
    response.set_cookie(
        KNOWN,
        state.sign_in.proofs.marks.make(user, state.services.clock.now()),
        max_age=int(MARK_LIFE.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def _cookie(request: Request, name: str) -> str:
    text = request.cookies.get(name, "")
    return text if _COOKIE.fullmatch(text) else ""
