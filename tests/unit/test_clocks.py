"""The real clocks: which of the kernel's is read."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

AHEAD = 1000  # seconds
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
