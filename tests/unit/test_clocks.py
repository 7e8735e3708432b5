"""The real clocks: which of the kernel's is read."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from bascule.clocks import FollowedClock

AHEAD = 1000  # seconds
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
BOOTTIME = "from bascule.clocks import SystemClock; print(SystemClock().boottime())"


def _boottime(*prefix: str) -> float:
    """What a process of its own reads, behind these words."""
    command = [*prefix, sys.executable, "-c", BOOTTIME]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if prefix and (os.geteuid() != 0 or done.stderr.startswith("unshare:")):
        pytest.skip(f"needs root and time namespaces: {done.stderr.strip()}")
    return float(done.stdout)


def test_suspended_time_counts() -> None:
    """A lease on a laptop that slept is over: its clock goes on asleep, as CLOCK_MONOTONIC does
    not. A time namespace in which only that clock is ahead stands for the sleep."""
    slept = _boottime("unshare", "--time", "--boottime", str(AHEAD), "--fork")
    assert slept - _boottime() > AHEAD / 2


class _Own:
    """A host's clocks, as a test sets them."""

    def __init__(self) -> None:
        self.wall, self.boot = NOON + timedelta(minutes=10), 100.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.boot

    def boottime(self) -> float:
        return self.boot


def _after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def _following(own: _Own) -> FollowedClock:
    """At boottime 100 the other clock was at noon."""
    clock = FollowedClock(own)
    clock.note(NOON, 100.0, 100.0)
    return clock


def test_the_other_clock_counts_and_not_the_hosts_own() -> None:
    own = _Own()
    clock = _following(own)
    assert clock.now() == NOON
    own.boot = 107.5  # nothing is measured meanwhile
    assert clock.now() == _after(7.5)
    own.wall -= timedelta(days=1)
    assert clock.now() == _after(7.5), "whatever is done to the host's wall clock"


def test_how_far_the_hosts_own_clock_is_apart() -> None:
    own = _Own()
    clock = _following(own)
    assert clock.own_is_ahead() == timedelta(minutes=10)
    own.wall = NOON - timedelta(hours=1)
    assert clock.own_is_ahead() == timedelta(hours=-1)


def test_what_an_answer_takes_on_its_way_moves_nothing() -> None:
    """Else the time would go back by up to a round trip every few seconds."""
    own = _Own()
    clock = _following(own)
    own.boot = 110.0
    for told, began, ended in ((10.0, 109.0, 110.0), (9.2, 109.0, 110.0), (5.0, 104.0, 109.0)):
        clock.note(_after(told), began, ended)
        assert clock.now() == _after(10.0)


@pytest.mark.parametrize(
    ("told", "now"),
    [(8.5, 9.5), (11.5, 10.5), (-3600.0, -3599.0), (3610.0, 3609.0)],
)
def test_a_clock_that_was_set_is_followed_by_as_little_as_fits(told: float, now: float) -> None:
    """Asked at 109 and answered at 111: what it said was so at some moment between."""
    own = _Own()
    clock = _following(own)
    own.boot = 110.0
    assert clock.now() == _after(10.0)
    clock.note(_after(told), 109.0, 111.0)
    assert clock.now() == _after(now)


def test_a_clock_that_was_never_read_says_no_time() -> None:
    with pytest.raises(RuntimeError):
        FollowedClock(_Own()).now()
