"""Blocked attempts by hour: no agent puts them where they were not, or more than fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.knocks import (
    LONGEST_AGE,
    MOST_ATTEMPTS,
    OTHERS,
    Knock,
    Knocks,
    by_hour,
    hour_of,
    hours_until,
)
from bascule.domain.net import PortKey, TransportProtocol

NOW = datetime(2030, 1, 1, 12, 10, 7, 5, tzinfo=UTC)
SSH = PortKey(TransportProtocol.TCP, 22)
RDP = PortKey(TransportProtocol.TCP, 3389)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_the_last_hours_end_with_the_one_that_is_running() -> None:
    assert hour_of(NOW) == NOON
    assert hour_of(NOON) == NOON
    assert hours_until(NOW, 3) == (NOON - minutes(120), NOON - minutes(60), NOON)


def test_attempts_are_added_up_by_source_and_port() -> None:
    told = [
        Knock("192.0.2.7", SSH, 2),
        Knock("192.0.2.7", RDP, 1),
        Knock("192.0.2.7", SSH, 3, minutes(5)),
        Knock("2001:db8::7", SSH, 4),
        Knock(OTHERS, None, 9),
        Knock("192.0.2.8", SSH, 0),
    ]
    assert by_hour(told, NOW) == {
        NOON: (
            Knocks("192.0.2.7", SSH, 5, NOW),
            Knocks("192.0.2.7", RDP, 1, NOW),
            Knocks("2001:db8::7", SSH, 4, NOW),
            Knocks(OTHERS, None, 9, NOW),
        )
    }


@pytest.mark.parametrize(
    ("age", "at"),
    [
        (minutes(0), NOW),
        (minutes(10), NOW - minutes(10)),
        (minutes(10.2), NOW - minutes(10.2)),  # in the hour before
        (minutes(-1), NOW),  # none is from the future
        (timedelta(days=400), NOW - LONGEST_AGE),
    ],
)
def test_an_attempt_lies_in_the_hour_in_which_it_was_seen(age: timedelta, at: datetime) -> None:
    told = by_hour([Knock("192.0.2.7", SSH, 1, age)], NOW)
    assert told == {hour_of(at): (Knocks("192.0.2.7", SSH, 1, at),)}


def test_no_number_is_larger_than_its_row() -> None:
    """Sums of rows must not leave the database's numbers, whatever an agent claims."""
    huge = Knock("192.0.2.7", SSH, 2**53 - 1)
    assert by_hour([huge], NOW)[NOON][0].attempts == MOST_ATTEMPTS
    assert by_hour([huge, huge], NOW)[NOON][0].attempts == MOST_ATTEMPTS
