"""How the pages of signing in look: Jinja2 templates, their words, their style.

Every page works without JavaScript but for what needs it by nature: passkeys, and sending a
form by itself (there is a button too). The Content-Security-Policy allows our own style, our
own scripts by a nonce of that answer, and forms to ourselves and to where the page says; no
inline script or style, no frame, no image from elsewhere. Language and theme are those of the
portal (``look``).
What is not here: what a page is for (``api.oauth``).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bascule.api.pages.files import read_file
from bascule.api.pages.look import LANGUAGES, Look
from bascule.words import Words, msgid

_HERE = Path(__file__).parent
_TYPES = {"style.css": "text/css", "submit.js": "text/javascript", "passkey.js": "text/javascript"}

# What a form says above itself when it did not succeed.
PROBLEMS = {
    "wrong": msgid(
        "That is not right. Try again. For security, the page does not say which part was wrong."
    ),
    "wrong_code": msgid("That is not right. Check it and try again."),
    "tooOften": msgid("Too many attempts. Wait a few minutes, then try again."),
    "busy": msgid("The server is busy. Try again in a moment."),
    "stale": msgid("This page was open for too long, or cookies are blocked. Try again."),
}


@dataclass(frozen=True, slots=True)
class Provider:
    """An external provider's button."""

    label: str
    href: str  # a path of ours, which leads there


@dataclass(frozen=True, slots=True)
class Page:
    template: str
    content: Mapping[str, Any]
    has_script: bool = False
    form_targets: tuple[str, ...] = ()  # origins beside ours that its form leads to


def show(page: Page, status: int, look: Look, here: str) -> Response:
    """``here`` is the path that shows the page, or its like, once more."""
    nonce = secrets.token_urlsafe(16)
    body = (
        _environment(look.language)
        .get_template(f"{page.template}.html")
        .render(
            page.content,
            names=LANGUAGES,
            look=look,
            here=here,
            nonce=nonce,
        )
    )
    return HTMLResponse(body, status, _headers(page, nonce))


def shown_time(at: datetime) -> str:
    """An instant as people read it; whose zone theirs is, the server does not know."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _headers(page: Page, nonce: str) -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": f"'nonce-{nonce}'" if page.has_script else "'none'",
        "form-action": " ".join(("'self'", *page.form_targets)),
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-store",
        # With no-referrer browsers would send our own forms with Origin: null.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "publickey-credentials-get=(self), camera=(), microphone=()",
        "Vary": "Cookie, Accept-Language",
    }


def static_file(request: Request, name: str) -> Response:
    """A style or script of the pages; they change with the program alone."""
    if name not in _TYPES:
        raise HTTPException(404)
    return read_file(_HERE / "static" / name, _TYPES[name]).answer(request, "max-age=3600")


@cache
def _environment(language: str) -> Environment:
    words = Words(language)
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.globals |= {"_": words, "gettext": words, "pgettext": words.pgettext, "words": words}
    made.globals["problems"] = PROBLEMS  # macros of an imported template see globals alone
    return made
