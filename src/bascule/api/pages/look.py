"""How a browser likes its pages: language and theme.

Both stand in one cookie that holds no secret, so that sign-in pages and portal look alike;
a language that was never chosen is the browser's (RFC 9110 section 12.5.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "__Host-bascule-look"
LANGUAGES = {"en": "English", "fr": "Français"}  # each by its own name
THEMES = ("system", "light", "dark")
_COOKIE = re.compile(rf"({'|'.join(LANGUAGES)}|)\.({'|'.join(THEMES)})")
_RANGE = re.compile(r"\s*([a-zA-Z]{1,8})(?:-[a-zA-Z0-9-]*)?\s*(?:;\s*q\s*=\s*([0-9.]{1,5}))?\s*")
_A_YEAR = 365 * 24 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class Look:
    language: str = "en"
    theme: str = "system"
    is_chosen: bool = False  # the language was chosen here, not taken from the browser


def look_of(request: Request) -> Look:
    chosen = _COOKIE.fullmatch(request.cookies.get(COOKIE, ""))
    theme = chosen[2] if chosen else "system"
    if chosen and chosen[1]:
        return Look(chosen[1], theme, is_chosen=True)
    return Look(_accepted(request.headers.get("accept-language", "")), theme)


def keep_look(response: Response, look: Look) -> None:
    language = look.language if look.is_chosen else ""
    response.set_cookie(
        COOKIE,
        f"{language}.{look.theme}",
        max_age=_A_YEAR,
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )


def _accepted(header: str) -> str:
    """The language of ours that the browser prefers; English when it names none of them."""
    best, best_weight = "en", 0.0
    for part in header[:200].split(","):
        found = _RANGE.fullmatch(part)
        if found is None or found[1].lower() not in LANGUAGES:
            continue
        try:
            weight = float(found[2]) if found[2] else 1.0
        except ValueError:
            continue
        if weight > best_weight:
            best, best_weight = found[1].lower(), weight
    return best
