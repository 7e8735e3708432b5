"""``--at``: which moment a time of day means, also when the clocks are changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bascule.cli.starts import parse_start
from bascule.errors import InvalidInput


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    """Clocks go forward at 2030-03-31 02:00, and back at 2030-10-27 03:00."""
    was = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Paris"
    time.tzset()
    yield
    if was is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = was
    time.tzset()


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # reason: mypy counts no star


@pytest.mark.parametrize(
    ("text", "now", "at"),
    [
        ("23:00", _utc(2030, 1, 1, 12), _utc(2030, 1, 1, 22)),
        ("08:00", _utc(2030, 1, 1, 12), _utc(2030, 1, 2, 7)),  # past: tomorrow
        ("13:00", _utc(2030, 1, 1, 12), _utc(2030, 1, 2, 12)),  # now is past
        ("2030-02-01T08:00", _utc(2030, 1, 1), _utc(2030, 2, 1, 7)),
        ("2030-02-01T08:00:00Z", _utc(2030, 1, 1), _utc(2030, 2, 1, 8)),
        ("2030-02-01T08:00+05:00", _utc(2030, 1, 1), _utc(2030, 2, 1, 3)),
        ("08:00", _utc(2030, 3, 30, 12), _utc(2030, 3, 31, 6)),  # the night is an hour shorter
        ("08:00", _utc(2030, 10, 26, 12), _utc(2030, 10, 27, 7)),
        ("2030-10-27T02:30:00+01:00", _utc(2030, 10, 1), _utc(2030, 10, 27, 1, 30)),
    ],
)
def test_what_a_time_means(text: str, now: datetime, at: datetime) -> None:
    assert parse_start(text, now) == at


@pytest.mark.parametrize(
    ("text", "now", "why"),
    [
        ("02:30", _utc(2030, 3, 30, 12), "does not exist"),
        ("2030-03-31T02:30", _utc(2030, 3, 1), "does not exist"),
        ("02:30", _utc(2030, 10, 26, 12), "comes twice"),
        ("2030-10-27T02:30", _utc(2030, 10, 1), "comes twice"),
        ("soon", _utc(2030, 1, 1), "is not a time"),
        ("25:00", _utc(2030, 1, 1), "is not a time"),
    ],
)
def test_what_means_no_one_time_is_refused(text: str, now: datetime, why: str) -> None:
    """Nothing opens an hour early because a clock was changed."""
    with pytest.raises(InvalidInput, match=why):
        parse_start(text, now)
