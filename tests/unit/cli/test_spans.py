"""Durations and instants as people write and read them; text made safe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.cli.clean import clean, escape_json
from bascule.cli.spans import (
    parse_since,
    parse_span,
    parse_until,
    show_dated,
    show_instant,
    show_span,
)
from bascule.errors import InvalidInput

NOW = datetime(2030, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2h", 7200), ("1d", 86400), ("1d2h3m4s", 93784), (" 5M ", 300),
     ("PT3H", 10800), ("pt90s", 90), ("P1D", 86400), ("1s", 1)],
)  # fmt: skip
def test_span(text: str, seconds: int) -> None:
    assert parse_span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "5x",
        "30m1h",
        "-5m",
        "1.5h",
        "0s",
        "0h0m",
        "PT",
        "PT0S",
        "1 h",
        "\u0665m",
        "9" * 30 + "d",
        "P1Y",
    ],
)
def test_no_span(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_span(text)


@given(st.integers(1, 10**7))
def test_every_shown_span_of_two_units_reads_back(seconds: int) -> None:
    shown = show_span(timedelta(seconds=seconds))
    parsed = parse_span(shown.replace(" ", ""))
    assert (
        timedelta()
        <= timedelta(seconds=seconds) - parsed
        < timedelta(days=1 if "d" in shown else 0, hours=1)
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (3598.9, "59m 58s"),
        (7500, "2h 5m"),
        (7200, "2h"),
        (97200, "1d 3h"),
        (0.4, "0s"),
        (-5, "0s"),
        (3605, "1h"),
    ],
)
def test_show_span(seconds: float, shown: str) -> None:
    assert show_span(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("17:30", datetime(2030, 1, 31, 16, 30, tzinfo=UTC)),
        ("12:59", datetime(2030, 2, 1, 11, 59, tzinfo=UTC)),  # it is 13:00 in Paris: tomorrow
        ("2030-06-01T12:00", datetime(2030, 6, 1, 10, 0, tzinfo=UTC)),  # summer time there
        ("2030-06-01 12:00:30", datetime(2030, 6, 1, 10, 0, 30, tzinfo=UTC)),
        ("2030-06-01T12:00:00Z", datetime(2030, 6, 1, 12, 0, tzinfo=UTC)),
        ("2030-06-01T12:00:00-05:00", datetime(2030, 6, 1, 17, 0, tzinfo=UTC)),
    ],
)
def test_until(text: str, instant: datetime) -> None:
    assert parse_until(text, NOW) == instant


@pytest.mark.parametrize("text", ["", "25:00", "12:60", "noon", "2030-13-01", "12"])
def test_no_until(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_until(text, NOW)


def test_a_night_of_changing_clocks() -> None:
    """2030-03-31 has no 02:30 in Paris, and 12:00 that day is ten hours after midnight, not eleven."""
    evening = datetime(2030, 3, 30, 22, 0, tzinfo=UTC)
    assert parse_until("12:00", evening) == datetime(2030, 3, 31, 10, 0, tzinfo=UTC)


def test_since() -> None:
    assert parse_since("2h", NOW) == NOW - timedelta(hours=2)
    assert parse_since("2030-01-01", NOW) == datetime(2029, 12, 31, 23, 0, tzinfo=UTC)


def test_show_instant_has_its_offset_and_the_date_on_another_day() -> None:
    assert show_instant(NOW + timedelta(hours=1), NOW) == "14:00:00 +01:00"
    assert show_instant(NOW + timedelta(hours=11), NOW) == "2030-02-01 00:00:00 +01:00"


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("Europe/Paris", "2030-01-31 13:00:00 +01:00"),
        ("America/New_York", "2030-01-31 07:00:00 -05:00"),
        ("UTC", "2030-01-31 12:00:00 +00:00"),
    ],
)
def test_in_a_sentence_the_date_is_always_told(
    place: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", place)
    time.tzset()
    assert show_dated(NOW) == shown


def test_clean() -> None:
    assert clean("a\x1b[31mb\x07\tc\r\nd\u202e\u2066\x9b\u200b\ud800\U000e0041") == "a[31mb c d"
    assert clean("é ü 漢字 \U0001f600") == "é ü 漢字 \U0001f600"


@given(st.text() | st.text(alphabet='a\x7f\x9b\u202e\U000e0041\n"\\'))
def test_escaped_json_reads_back_and_holds_no_control(text: str) -> None:
    rendered = escape_json(json.dumps({"x": text}, indent=2, ensure_ascii=False))
    assert json.loads(rendered) == {"x": text}
    assert all(character == "\n" or clean(character) == character for character in rendered)
