"""Lengths of time as forms take and show them: ``2:30`` is two and a half hours.

A number alone is refused, because it may be meant as hours or as minutes.
"""

from __future__ import annotations

import re
from datetime import timedelta

from bascule.errors import InvalidInput
from bascule.sentences import sentence

_CLOCK = re.compile(r"([0-9]{1,3}):([0-5][0-9])(?::([0-5][0-9]))?")
_UNITS = re.compile(
    r"(?:([0-9]{1,3})\s*h(?:ours?|eures?)?)?\s*"
    r"(?:([0-9]{1,5})\s*m(?:in(?:utes?)?)?)?\s*"
    r"(?:([0-9]{1,6})\s*s(?:ec)?)?"
)
_HALF_WORDS = re.compile(r"([0-9]{1,3})\s*h\s*([0-5]?[0-9])")  # 1h30, as it is written in French


def parse_span(text: str, target: str = "") -> timedelta:
    """``2:30``, ``3 h``, ``45 min``, ``1h30``, ``90 s``; raise InvalidInput for what is none, and
    for nothing at all.
    """
    word = " ".join(text.lower().split())
    match = _CLOCK.fullmatch(word) or _HALF_WORDS.fullmatch(word) or _UNITS.fullmatch(word)
    hours, minutes, seconds = (
        (int(each or 0) for each in (*match.groups(), None)[:3]) if match else (0, 0, 0)
    )
    span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not span:
        raise InvalidInput(
            sentence(
                "{text} is not a duration. Write hours and minutes as 2:30, or use a unit, as in "
                "3 h or 45 min.",
                text=repr(text[:40]),
            ),
            code="InvalidDuration",
            target=target,
        )
    return span


def show_span(span: timedelta) -> str:
    """As ``parse_span`` takes it, seconds where there are any."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if seconds else f"{hours}:{minutes:02}"


def words_of(span: timedelta) -> str:
    """For a sentence, alike in both languages: ``2 h 30 min``."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    gap = "\N{NO-BREAK SPACE}"
    return gap.join(f"{count}{gap}{unit}" for count, unit in parts if count) or f"0{gap}s"
