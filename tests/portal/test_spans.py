"""Lengths of time in forms."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bascule.errors import InvalidInput
from bascule.portal.spans import parse_span, show_span, words_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3:00", 10_800),
        ("0:05", 300),
        ("24:00", 86_400),
        ("0:00:30", 30),
        ("3 h", 10_800),
        ("3h", 10_800),
        ("45 min", 2_700),
        ("45 m", 2_700),
        ("1 h 30 min", 5_400),
        ("1h30", 5_400),
        ("1 h 30", 5_400),
        ("90 s", 90),
        (" 2 heures ", 7_200),
        ("2\N{NO-BREAK SPACE}h 30\N{NO-BREAK SPACE}min", 9_000),
    ],
)
def test_what_is_a_length_of_time(text: str, seconds: int) -> None:
    span = parse_span(text)
    assert span == timedelta(seconds=seconds)
    assert parse_span(show_span(span)) == span
    assert parse_span(words_of(span)) == span


@pytest.mark.parametrize(
    "text",
    ["", "3", "0", "0:00", "0 h", "1:60", "-1 h", "1.5 h", "PT3H", "forever", "3 days", "٣ h"],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_span(text)
    assert error.value.specific_code == "InvalidDuration"
