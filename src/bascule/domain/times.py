"""Instants and durations as the wire writes them.

Sources: RFC 3339 (instants; Azure sends and takes up to seven fractional digits),
ISO 8601-1:2019 5.5.2.4 (durations ``PnDTnHnMnS``; years and months have no fixed length
and are refused, weeks likewise refused because Azure never sends them).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bascule.errors import InvalidInput
from bascule.sentences import sentence

_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})"
)
_WRITTEN = re.compile(r"\b2\d{3}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{7}Z")  # by format_utc
_DURATION = re.compile(
    r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})(?:\.(\d{1,6}))?S)?)?"
)


def parse_instant(text: str, target: str = "") -> datetime:
    """Parse an RFC 3339 instant to aware UTC, digits past the microsecond cut off."""
    match = _INSTANT.fullmatch(text) if text.isascii() else None
    if match is None:
        raise _not_an_instant(text, target)
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        parsed = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}")
        return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_an_instant(text, target) from None


def _not_an_instant(text: str, target: str) -> InvalidInput:
    return InvalidInput(
        sentence(
            "{text} is not an instant with a zone; write it as 2030-01-31T17:00:00Z.",
            text=repr(text[:80]),
        ),
        code="InvalidDateTime",
        target=target,
    )


def format_utc(instant: datetime) -> str:
    """Seven fractional digits and Z, as Azure writes instants."""
    text = instant.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "0Z"


def with_instants(text: str, write: Callable[[datetime], str]) -> str:
    """The text, with each instant that ``format_utc`` wrote into it written by ``write``."""

    def written(match: re.Match[str]) -> str:
        try:
            return write(parse_instant(match[0]))
        except InvalidInput:
            return match[0]

    return _WRITTEN.sub(written, text)


def parse_duration(text: str, target: str = "") -> timedelta:
    """Parse an ISO 8601 duration of days, hours, minutes and seconds."""
    match = _DURATION.fullmatch(text) if text.isascii() else None
    if match is None or text.endswith("T") or not any(match.groups()):
        raise InvalidInput(
            sentence(
                "{text} is not a duration; write it as PT3H (3 hours) or PT30M (30 minutes).",
                text=repr(text[:80]),
            ),
            code="InvalidDuration",
            target=target,
        )
    days, hours, minutes, seconds, fraction = match.groups()
    return timedelta(
        days=int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=int(f"{fraction or '0':0<6}"),
    )


def format_duration(span: timedelta) -> str:
    """The shortest ISO 8601 form: PT3H, PT1H30M, P1D; whole seconds."""
    total = int(span.total_seconds())
    days, rest = divmod(total, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    clock = "".join(f"{n}{u}" for n, u in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return (
        "P"
        + (f"{days}D" if days else "")
        + (f"T{clock}" if clock or not days else "")
        + ("0S" if not total else "")
    )
