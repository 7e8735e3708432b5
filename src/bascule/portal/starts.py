"""A start as the request form takes it: a day, a time of day, and the zone that stands beside them.

Without the script the zone is UTC; the script puts the browser's in its place (``data-zone``).
What is not here: whether the request may wait for it (``services.begin_waiting``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bascule.errors import InvalidInput
from bascule.portal.forms import Form
from bascule.sentences import Sentence, sentence
from bascule.services.begin_waiting import check_start

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(r"[0-9]{2}:[0-9]{2}")
_LONGEST_ZONE = 64


@dataclass(frozen=True, slots=True)
class FilledStart:
    """What was filled in; the zone alone asks for nothing."""

    day: str
    clock: str
    zone: str

    @property
    def is_given(self) -> bool:
        return bool(self.day or self.clock)


def read_start(form: Form) -> FilledStart:
    zone = form.text("start_zone", "UTC")
    return FilledStart(form.text("start_day"), form.text("start_time"), zone[:_LONGEST_ZONE])


def parse_start(filled: FilledStart, now: datetime) -> datetime | None:
    """None: it opens now. Raise InvalidInput for half a start, for a time that the clocks of that
    zone leave out or repeat, and for one that is over or too far ahead.
    """
    if not filled.is_given:
        return None
    if not filled.day or not filled.clock:
        raise _unclear(sentence("A start needs both a day and a time."))
    try:
        at = _instant(filled)
    except (ValueError, OverflowError):
        raise _unclear(sentence("This is not a day and a time.")) from None
    check_start(at, (), now, is_emergency=False)
    return at


def _instant(filled: FilledStart) -> datetime:
    """Raise ValueError and OverflowError for what is no day or time, as well."""
    zone = _zone(filled.zone)
    if not _DAY.fullmatch(filled.day) or not _CLOCK.fullmatch(filled.clock):
        raise ValueError
    said = datetime.combine(date.fromisoformat(filled.day), time.fromisoformat(filled.clock))
    first, second = (said.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None, fold=0) != said:
        raise _unclear(
            sentence(
                "{time} does not exist in {zone} on {day}, because the clocks are changed.",
                time=filled.clock,
                zone=filled.zone,
                day=filled.day,
            )
        )
    if first != second:
        raise _unclear(
            sentence(
                "{time} comes twice in {zone} on {day}, because the clocks are changed.",
                time=filled.clock,
                zone=filled.zone,
                day=filled.day,
            )
        )
    return first


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _unclear(sentence("{zone} is not a time zone.", zone=repr(name))) from None


def _unclear(message: Sentence) -> InvalidInput:
    return InvalidInput(message, code="InvalidStart", target="bascule.startTimeUtc")
