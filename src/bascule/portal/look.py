"""How a page is put together: templates, headers, and where a browser is led.

The Content-Security-Policy allows our own files alone: no inline script or style, nothing
from elsewhere. A template extends ``base``, which is the whole layout, or the pane's frame
when htmx asks for content only. What is not here: what codes are called (``codes``), data (``pages``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bascule.api.pages.files import read_file, version_of
from bascule.domain.lifecycle import STATES
from bascule.domain.times import format_duration, format_utc, with_instants
from bascule.portal import once
from bascule.portal.codes import text_of
from bascule.portal.spans import words_of
from bascule.words import Words, msgid

if TYPE_CHECKING:
    from bascule.portal.guard import Visit

_HERE = Path(__file__).parent
_STATIC = _HERE / "static"
FILES = "/portal/files"
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    # With no-referrer browsers would send our own forms with Origin: null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self), "
    "camera=(), microphone=(), geolocation=()",
    "Vary": "HX-Target, Cookie, Accept-Language",
}
# Main navigation: (text, path, icon).
NAVIGATION = (
    (msgid("Overview"), "/portal", "home"),
    (msgid("Just-in-time access"), "/portal/jit", "lock-closed"),
    (msgid("Open now"), "/portal/open", "lock-open"),
    (msgid("Approvals"), "/portal/approvals", "checkmark"),
    (msgid("Virtual machines"), "/portal/machines", "machine"),
    (msgid("Activity log"), "/portal/activity", "history"),
    (msgid("Exposure"), "/portal/exposure", "eye"),
    (msgid("Enforcement points"), "/portal/points", "policy"),
    (msgid("Access control (IAM)"), "/portal/access", "people"),
)


def show(visit: Visit, template: str, content: Mapping[str, Any], status: int = 200) -> Response:
    path = visit.request.url.path
    notice = visit.request.query_params.get("notice", "")
    words = visit.words
    body = (
        environment(words.language)
        .get_template(template)
        .render(
            content,
            base="pane.html" if visit.is_for_pane else "layout.html",
            visit=visit,
            look=visit.look,
            path=path,
            here=visit.path_and_query,
            navigation=NAVIGATION,
            current=_current(path),
            notice=text_of(words, f"notice.{notice}", ""),
            csrf=csrf_field(visit.csrf, visit.whose),
            files=files(),
            now=visit.now,
        )
    )
    return HTMLResponse(body, status, HEADERS)


def csrf_field(token: str, whose: str = "") -> Markup:
    """What each form holds: the proof that this session made it, and whose it is (``kept``)."""
    held = {"csrf": token} | ({"whose": whose} if whose else {})
    field = Markup('<input type="hidden" name="{}" value="{}">')
    return Markup("").join(field.format(*each) for each in held.items())


def go(visit: Visit, path: str) -> Response:
    """Lead to another page of ours; htmx loads it without a reload."""
    if not visit.is_from_htmx:
        return RedirectResponse(path, 303, {"Cache-Control": "no-store"})
    where = {"path": path, "target": "body", "swap": "innerMorph"}
    return Response(status_code=200, headers={"HX-Location": json.dumps(where), **HEADERS})


def lead(request: Request, path: str) -> Response:
    """Lead the whole browser somewhere, out of the portal too."""
    if request.headers.get("hx-request") == "true":
        return Response(status_code=200, headers={"HX-Redirect": path, **HEADERS})
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def files() -> str:
    """Where pages have their files from; the address changes when one of them does."""
    return f"{FILES}/{version_of(_STATIC)}"


def static_file(request: Request, version: str, name: str) -> Response:
    """A file of the portal; its address holds the version, so that browsers may keep it."""
    path = _STATIC / name
    if name != path.name or path.suffix not in _TYPES or not path.is_file():
        raise HTTPException(404)
    is_current = version == version_of(_STATIC)
    age = "max-age=31536000, immutable" if is_current else "no-store"
    return read_file(path, _TYPES[path.suffix]).answer(request, age)


def _current(path: str) -> str:
    """The navigation's entry that a path belongs to."""
    if path.startswith("/portal/requests/"):
        return "/portal/open"
    own = (
        each for _, each, _ in NAVIGATION if each != "/portal" and f"{path}/".startswith(f"{each}/")
    )
    return "/portal" if path == "/portal" else next(own, "")


@cache
def environment(language: str) -> Environment:
    """The templates in one language: ``_``, ``ngettext`` and ``pgettext`` are gettext's, ``words``
    has numbers, ``text_of`` what a code is called.

    Translations are text and are escaped like everything else: none is taken for markup.
    """
    words = Words(language)
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do", "jinja2.ext.i18n", "jinja2.ext.loopcontrols"],
    )
    made.filters |= {"at": at, "left": left, "timed": timed}
    made.filters |= {"utc": format_utc, "iso_duration": format_duration}
    made.filters["span_words"] = words_of
    made.globals |= {
        "_": words,
        "gettext": words,
        "icon": icon,
        "ngettext": words.ngettext,
        "once_field": once.field,
        "pgettext": words.pgettext,
        "text_of": partial(text_of, words),
        "words": words,
        "lifecycle": STATES,
    }
    return made


@lru_cache(maxsize=1024)
def icon(name: str, label: str = "") -> Markup:
    """An icon of the sprite; without a label it is decoration."""
    described = (
        Markup('role="img" aria-label="{}"').format(label)
        if label
        else Markup('aria-hidden="true"')
    )
    return Markup('<svg class="icon" {}><use href="{}/icons.svg#{}"/></svg>').format(
        described, files(), name
    )


_FORMS = {"date": "%Y-%m-%d", "day": "%Y-%m-%d", "time": "%H:%M", "second": "%Y-%m-%d %H:%M:%S"}


def at(instant: datetime | None, form: str = "datetime") -> Markup:
    """An instant: UTC as it comes, the viewer's zone once the script has run, UTC on hover.

    ``form`` is datetime, second, date, day, time or relative.
    """
    if instant is None:
        return Markup("<span class=none>—</span>")
    utc = instant.astimezone(UTC)
    shown = f"{utc:{_FORMS.get(form, '%Y-%m-%d %H:%M')}}"
    title = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    # Put together by hand, as a page has a hundred of them; only ``form`` is not digits.
    return Markup(  # noqa: S704  # reason: what is not made here is escaped
        f'<time datetime="{format_utc(utc)}" data-form="{escape(form)}" title="{title}">'
        f"{shown}</time>"
    )


def timed(text: str) -> Markup:
    """A sentence in which each instant is shown as ``at`` shows it; markup in it is text."""
    escaped = escape(
        str(text)
    )  # str first: Markup, too, is escaped; instants hold nothing to escape
    shown = with_instants(escaped, lambda each: at(each, "second"))
    return Markup(shown)  # noqa: S704  # reason: escaped, and what ``at`` made of digits


def left(ends_at: datetime, now: datetime) -> Markup:
    """The time until an end, which the script counts down."""
    title = f"{ends_at:%Y-%m-%d %H:%M:%S} UTC"
    return Markup(  # noqa: S704  # reason: digits, all of it
        f'<time class=left datetime="{format_utc(ends_at)}" data-form="left" title="{title}">'
        f"{_span(ends_at - now)}</time>"
    )


def _span(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
