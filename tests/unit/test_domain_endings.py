"""When an end is near."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.endings import THRESHOLDS, Ending, Ends

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def ends_in(left: timedelta, renews_in: timedelta | None = None) -> Ending:
    renews_at = None if renews_in is None else NOW + renews_in
    return Ending(Ends.SERVER, "1", "a server", NOW + left, renews_at)


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (61 * DAY, None),
        (60 * DAY + timedelta(microseconds=1), None),
        (60 * DAY, 60),
        (31 * DAY, 60),
        (30 * DAY, 30),
        (14 * DAY, 14),
        (7 * DAY, 7),
        (timedelta(days=1, seconds=1), 7),
        (DAY, 1),
        (timedelta(), 1),
        (-5 * DAY, 1),
    ],
)
def test_an_end_is_told_within_a_number_of_days(left: timedelta, days: int | None) -> None:
    assert ends_in(left).threshold(NOW) == days


def test_what_renews_itself_is_near_only_when_it_did_not() -> None:
    assert ends_in(20 * DAY, timedelta()).threshold(NOW) is None
    assert ends_in(20 * DAY, -19 * DAY).threshold(NOW) is None
    assert ends_in(20 * DAY, -20 * DAY).threshold(NOW) == THRESHOLDS[1]
    assert ends_in(timedelta(seconds=5), timedelta(seconds=1)).threshold(NOW) is None


def test_days_left_are_whole_ones() -> None:
    assert ends_in(timedelta(days=2, hours=23)).days_left(NOW) == 2
    assert ends_in(-timedelta(hours=1)).days_left(NOW) == -1
