"""Instants and durations as the wire writes them; what is vague is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bascule.domain.times import (
    format_duration,
    format_utc,
    parse_duration,
    parse_instant,
    with_instants,
)
from bascule.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2030-01-31T17:00:00Z", datetime(2030, 1, 31, 17, tzinfo=UTC)),
        ("2030-01-31t17:00:00z", datetime(2030, 1, 31, 17, tzinfo=UTC)),
        ("2030-01-31T17:00:00+00:00", datetime(2030, 1, 31, 17, tzinfo=UTC)),
        ("2030-01-31T17:00:00+02:00", datetime(2030, 1, 31, 15, tzinfo=UTC)),
        ("2030-01-31T17:00:00-05:30", datetime(2030, 1, 31, 22, 30, tzinfo=UTC)),
        ("2030-01-31T17:00:00.5Z", datetime(2030, 1, 31, 17, 0, 0, 500_000, tzinfo=UTC)),
        ("2030-01-31T17:00:00.1234567Z", datetime(2030, 1, 31, 17, 0, 0, 123_456, tzinfo=UTC)),
        ("2030-01-31T17:00:00.123456789Z", datetime(2030, 1, 31, 17, 0, 0, 123_456, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_instant(text: str, instant: datetime) -> None:
    """Digits past the microsecond are cut, never rounded up: a lease ends no later than asked."""
    parsed = parse_instant(text)
    assert parsed == instant
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-01-31",
        "2030-01-31T17:00:00",  # whose clock?
        "2030-01-31 17:00:00Z",
        "2030-01-31T17:00Z",
        "2030-02-30T17:00:00Z",
        "2030-01-31T25:00:00Z",
        "2030-01-31T17:00:60Z",
        "2030-01-31T17:00:00.Z",
        "2030-01-31T17:00:00,5Z",
        "2030-01-31T17:00:00+24:01",
        "2030-01-31T17:00:00Z\n",
        "٢030-01-31T17:00:00Z",
        "1893430800",
        "0001-01-01T00:00:00+01:00",  # before the first instant there is
        "9999-12-31T23:59:59-01:00",  # after the last
    ],
)
def test_no_instant(text: str) -> None:
    """An end without a zone may be hours later than was meant: it is refused."""
    with pytest.raises(InvalidInput) as refused:
        parse_instant(text, "endTimeUtc")
    assert refused.value.specific_code == "InvalidDateTime"
    assert refused.value.target == "endTimeUtc"


def test_instants_are_written_as_azure_writes_them() -> None:
    """Seven digits and Z: clients compare these as text. The year always has four."""
    east = timezone(timedelta(hours=2))
    assert format_utc(datetime(2030, 1, 31, 17, tzinfo=east)) == "2030-01-31T15:00:00.0000000Z"
    assert format_utc(datetime(2030, 1, 31, 1, 2, 3, 45, UTC)) == "2030-01-31T01:02:03.0000450Z"
    assert format_utc(datetime(999, 1, 1, tzinfo=UTC)) == "0999-01-01T00:00:00.0000000Z"


NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (f"away since {format_utc(NOON)}.", "away since <12:00>."),
        (f"{format_utc(NOON)} or {format_utc(NOON + timedelta(hours=1))}", "<12:00> or <13:00>"),
        ("2030-01-31", "2030-01-31"),
        ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00Z"),  # somebody typed it
        (f"x{format_utc(NOON)}", f"x{format_utc(NOON)}"),
        ("2030-02-30T12:00:00.0000000Z", "2030-02-30T12:00:00.0000000Z"),  # no such day
        (
            "2\u066030-01-31T12:00:00.0000000Z",
            "2\u066030-01-31T12:00:00.0000000Z",
        ),  # an Arabic zero
        ("", ""),
    ],
)
def test_instants_in_a_sentence(text: str, written: str) -> None:
    """Those that ``format_utc`` wrote; what only looks like one stays as it is."""
    assert with_instants(text, lambda each: f"<{each:%H:%M}>") == written


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("PT3H", timedelta(hours=3)),
        ("PT30M", timedelta(minutes=30)),
        ("PT1H30M", timedelta(hours=1, minutes=30)),
        ("PT90M", timedelta(minutes=90)),
        ("PT5S", timedelta(seconds=5)),
        ("PT0.25S", timedelta(milliseconds=250)),
        ("P1D", timedelta(days=1)),
        ("P1DT1S", timedelta(days=1, seconds=1)),
        ("PT0S", timedelta(0)),
    ],
)
def test_a_duration(text: str, span: timedelta) -> None:
    """Azure writes PT3H, people write PT90M; both are exact."""
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "3H",
        "PT3",
        "PT3h",
        "pt3h",
        "P1Y",
        "P1M",  # a month has no fixed length, and PT1M was meant
        "P1W",
        "PT-3H",
        "-PT3H",
        "PT3H ",
        "PT1.5H",
        "PT3H\n",
        "PT٣H",
        "PT1234567H",
        "03:00:00",
    ],
)
def test_no_duration(text: str) -> None:
    """What could be read in two ways is not read in either."""
    with pytest.raises(InvalidInput) as refused:
        parse_duration(text, "duration")
    assert refused.value.specific_code == "InvalidDuration"
    assert refused.value.target == "duration"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(hours=3), "PT3H"),
        (timedelta(minutes=90), "PT1H30M"),
        (timedelta(days=1), "P1D"),
        (timedelta(days=1, hours=2), "P1DT2H"),
        (timedelta(days=1, seconds=1), "P1DT1S"),
        (timedelta(seconds=59), "PT59S"),
        (timedelta(0), "PT0S"),
        (timedelta(milliseconds=900), "PT0S"),
    ],
)
def test_durations_are_written_shortest(span: timedelta, text: str) -> None:
    """Clients compare maxRequestAccessDuration as text with what Azure wrote."""
    assert format_duration(span) == text
