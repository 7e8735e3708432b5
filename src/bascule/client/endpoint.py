"""A server's URL, read once: ``https://host[:port]`` and nothing else.

What does not begin with https would be spoken to by nobody; a path would be dropped, and the
server signs and checks its own URL without one.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from bascule.errors import InvalidInput


def parse_endpoint(text: str, target: str) -> str:
    """The URL in the one form that is kept; raises InvalidInput. ``target``: the option's name."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise _no_endpoint(text, target) from None
    is_bare = not (parts.username or parts.query or parts.fragment or parts.path.strip("/"))
    if parts.scheme != "https" or not parts.hostname or port == 0 or not is_bare:
        raise _no_endpoint(text, target)
    return f"https://{parts.netloc}"


def _no_endpoint(text: str, target: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:200]!r} is not a server's URL; write it as https://bascule.example:8443.",
        target=target,
    )
