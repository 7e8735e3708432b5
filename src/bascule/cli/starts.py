"""``--at``: when a request is to open, and what that asks of it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bascule.cli.printing import note
from bascule.cli.spans import parse_until
from bascule.errors import InvalidInput

if TYPE_CHECKING:
    from bascule.client.access import AccessRequest
    from bascule.client.connection import Connection

_ZONED = re.compile(r"([zZ]|[+-]\d{2}:?\d{2})$")
_CLOCK = re.compile(r"\d{1,2}:\d{2}")


def parse_start(text: str, now: datetime) -> datetime:
    """``23:00`` is the next such time of day here; ISO 8601, without a zone in this host's.

    Raises InvalidInput also for a time of day that the change of the clocks leaves out or repeats.
    """
    word = text.strip()
    at = parse_until(word, now, "--at")
    if _ZONED.search(word):
        return at
    local = at.astimezone()
    wall = local.replace(tzinfo=None)
    if _CLOCK.fullmatch(word):
        hour, minute = map(int, word.split(":"))
        said = wall.replace(hour=hour, minute=minute)
    else:
        said = datetime.fromisoformat(word)
    if wall != said:
        raise _unclear(word, "does not exist on that day, because the clocks are changed")
    if wall.replace(fold=0).astimezone() != wall.replace(fold=1).astimezone():
        raise _unclear(word, "comes twice on that day, because the clocks are changed")
    return at


def _unclear(word: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{word[:80]} {why}.",
        code="InvalidDateTime",
        target="--at",
        advice="Give it with its offset, as in 2030-01-31T23:00:00+01:00.",
    )


def own_source(connection: Connection) -> str:
    """Our address as the server sees it now: a request with a start names its sources."""
    if connection.caller is None:
        raise InvalidInput(
            "With --at the source must be known.", advice="Give it with --from ADDRESS."
        )
    return str(connection.caller)


def tell_reach(answer: AccessRequest, span: timedelta | None, up_to: timedelta | None) -> None:
    """On standard error, where --up-to changed nothing."""
    ports = [port for _, port in answer.ports()]
    if up_to is None or not ports:
        return
    if all(port.approved_until is None for port in ports):
        note("Nobody had to approve this, so --up-to changed nothing; extend it as usual.")
    elif span is not None and up_to <= span:
        note("--up-to is no longer than the duration, so it changed nothing.")


def check_reach(span: timedelta | None, up_to: timedelta | None) -> None:
    """Raise InvalidInput where --up-to is less than --for."""
    if span is not None and up_to is not None and up_to < span:
        raise InvalidInput("--up-to must not be shorter than --for.", target="--up-to")
