"""The floor of the record, and when a wall clock is not believed (EDGES E2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.retention import ClockMark, check_floor
from bascule.errors import InvalidInput

NOW = datetime(2030, 1, 31, 17, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MARK = ClockMark(NOW, 5000.0)


@pytest.mark.parametrize("days", [1, 90, 3650])
def test_a_floor_that_protects(days: int) -> None:
    assert check_floor(timedelta(days=days)) == timedelta(days=days)


@pytest.mark.parametrize("floor", [timedelta(), DAY - HOUR, timedelta(days=3651)])
def test_a_floor_that_does_not(floor: timedelta) -> None:
    with pytest.raises(InvalidInput):
        check_floor(floor)


@pytest.mark.parametrize("wall", [DAY - HOUR, -(DAY - HOUR), timedelta()])
def test_a_step_below_a_day_is_no_leap(wall: timedelta) -> None:
    assert not MARK.followed(NOW + wall, 5000.0).has_leapt


@pytest.mark.parametrize("wall", [DAY + HOUR, -(DAY + HOUR), timedelta(days=4000)])
def test_a_step_of_more_than_a_day_is_a_leap_until_it_is_confirmed(wall: timedelta) -> None:
    leapt = MARK.followed(NOW + wall, 5000.0)
    assert leapt.has_leapt
    back = leapt.followed(NOW, 5000.0)
    assert back.has_leapt, "whoever puts the clock back has not confirmed anything"
    assert not back.confirmed(NOW, 5000.0).followed(NOW + HOUR, 8600.0).has_leapt


def test_time_that_passes_on_both_clocks_is_no_leap() -> None:
    assert not MARK.followed(NOW + 400 * DAY, 5000.0 + 400 * 86_400).has_leapt


def test_small_steps_of_one_boot_add_up() -> None:
    mark = MARK
    for _ in range(3):
        mark = mark.followed(mark.at + 9 * HOUR, mark.boottime)
    assert mark.has_leapt


def test_after_a_reboot_a_day_away_is_believed_and_more_is_not() -> None:
    """How long a host was off cannot be told from a clock that was set."""
    assert not MARK.followed(NOW + 20 * HOUR, 60.0).has_leapt
    assert MARK.followed(NOW + 3 * DAY, 60.0).has_leapt


def test_many_reboots_with_short_absences_are_no_leap() -> None:
    mark = MARK
    for _ in range(40):
        mark = mark.followed(mark.at + 2 * HOUR, 60.0)  # off for two hours, less a minute
        mark = mark.followed(mark.at + HOUR, 60.0 + 3600.0)
    assert not mark.has_leapt


@pytest.mark.parametrize("up", [60.0, 400 * 86_400.0])
def test_the_mark_of_another_host_says_nothing_of_what_this_one_counted(up: float) -> None:
    """Servers take turns at marking: one that has been up for a year sees no year in it."""
    mark = ClockMark(NOW, 5000.0, boot="a")
    assert not mark.followed(NOW + HOUR, up, "b").has_leapt
    assert mark.followed(NOW + HOUR, up, "b").boot == "b"
    assert mark.followed(NOW - 2 * DAY, up, "b").has_leapt, "back is back, whoever looks"
    assert mark.followed(NOW + 3 * DAY, 60.0, "b").has_leapt, "it was not up for as long"
    assert not mark.followed(NOW + 3 * DAY, 400 * 86_400.0, "b").has_leapt


def test_the_same_host_counts_within_its_boot() -> None:
    mark = ClockMark(NOW, 5000.0, boot="a")
    assert mark.followed(NOW + 3 * DAY, 5060.0, "a").has_leapt
