"""Durations and instants as people write and read them.

Written: ``90s 5m 1h30m 2h 1d``, or ISO 8601 (``PT3H``). Read: a time of day with its
offset, the date too when it is another day, and a countdown in its two largest units.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from bascule.domain.times import parse_duration
from bascule.errors import InvalidInput

_SPAN = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_OFFSET = re.compile(r"[+-]\d{2}:?\d{2}$")


def parse_span(text: str, target: str = "") -> timedelta:
    """A length of time of at least a second; raises InvalidInput."""
    word = text.strip()
    if word[:1] in ("P", "p"):
        span = parse_duration(word.upper(), target)
    else:
        match = _SPAN.fullmatch(word.lower()) if word.isascii() else None
        if match is None or not any(match.groups()):
            raise InvalidInput(
                f"{text[:80]!r} is not a duration; write it as 90s, 5m, 1h30m, 2h or 1d.",
                code="InvalidDuration",
                target=target,
            )
        days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if span < timedelta(seconds=1):
        raise InvalidInput(
            "A duration is at least one second.", code="InvalidDuration", target=target
        )
    return span


def parse_until(text: str, now: datetime, target: str = "") -> datetime:
    """An instant: ``17:30`` is the next such time of day here, a date may carry a zone."""
    word = text.strip()
    local = now.astimezone()
    clock = _CLOCK.fullmatch(word)
    if clock is not None:
        return _next_clock(local, int(clock[1]), int(clock[2]))
    try:
        parsed = datetime.fromisoformat(word.replace("z", "Z"))
    except ValueError:
        raise InvalidInput(
            f"{text[:80]!r} is not a time; write it as 17:30, 2030-01-31T17:30 or "
            "2030-01-31T17:30:00Z.",
            code="InvalidDateTime",
            target=target,
        ) from None
    return parsed.astimezone(UTC)  # without a zone it is this machine's


def _next_clock(local: datetime, hour: int, minute: int) -> datetime:
    # Wall-clock arithmetic, then the zone anew: a night of changing clocks stays right.
    today = local.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None)
    instant = today.astimezone()
    if instant <= local:
        instant = (today + timedelta(days=1)).astimezone()
    return instant.astimezone(UTC)


def parse_since(text: str, now: datetime, target: str = "") -> datetime:
    """The beginning of a stretch of time: a duration ago, or an instant."""
    try:
        return now - parse_span(text, target)
    except InvalidInput:
        pass
    try:
        return datetime.fromisoformat(text.strip().replace("z", "Z")).astimezone(UTC)
    except ValueError:
        raise InvalidInput(
            f"{text[:80]!r} is neither a duration (2h, 7d) nor a time (2030-01-31T17:30).",
            code="InvalidDateTime",
            target=target,
        ) from None


def show_instant(instant: datetime, now: datetime) -> str:
    """Local time with its offset; the date only when it is not today."""
    return _show(instant, now, "%H:%M:%S")


def show_minute(instant: datetime, now: datetime) -> str:
    """The same without the seconds, where a countdown stands beside it."""
    return _show(instant, now, "%H:%M")


def show_dated(instant: datetime) -> str:
    """Local time with its date and offset, for a sentence that may be read on another day."""
    return _write(instant.astimezone(), "%Y-%m-%d %H:%M:%S")


def _show(instant: datetime, now: datetime, clock: str) -> str:
    local = instant.astimezone()
    is_today = local.date() == now.astimezone().date()
    return _write(local, clock if is_today else f"%Y-%m-%d {clock}")


def _write(local: datetime, form: str) -> str:
    offset = _OFFSET.search(local.isoformat())
    return f"{local.strftime(form)} {offset[0] if offset else '+00:00'}"


def show_span(span: timedelta) -> str:
    """The two largest units: 59m 58s, 2h 5m, 1d 3h; whole seconds, rounded down."""
    total = int(span.total_seconds())
    if total < 0:
        return "0s"
    days, rest = divmod(total, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    first = next((i for i, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count) or "0s"
