"""What a User-Agent says in words: browser and system, as far as people know them apart.

Nobody is believed for it; it helps people to recognise their own browsers. An unknown one is
shown as it came.
"""

from __future__ import annotations

_BROWSERS = (  # the first that is found: most call themselves by the names of others too
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_of(user_agent: str) -> str:
    """Firefox, Linux; the text itself, bounded, when it names no browser."""
    name = _first(_BROWSERS, user_agent)
    if not name:
        return user_agent[:60]
    system = _first(_SYSTEMS, user_agent)
    return f"{name}, {system}" if system else name


def _first(known: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in known if mark in user_agent), "")
