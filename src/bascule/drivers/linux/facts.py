"""Facts about this host that a report or a decision needs. Reads only; guesses nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

UNKNOWN = "unknown"
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SBIN = "/usr/sbin:/sbin:/usr/local/sbin"  # often missing from PATH


def local_port_range() -> tuple[int, int] | None:
    """First and last port that outbound connections may use here; None when not readable.

    The setting is the network namespace's and covers IPv4 and IPv6.
    """
    try:
        first, last = _PORT_RANGE.read_text(encoding="ascii").split()
        return int(first), int(last)
    except (OSError, ValueError):
        return None


def kernel_version() -> str:
    return os.uname().release


def nft_version() -> str:
    """The version of the nft command, "unknown" when it is not installed.

    The library itself does not tell its version; both come from one source package.
    """
    found = shutil.which("nft", path=os.environ.get("PATH", "") + ":" + _SBIN)
    if found is None:
        return UNKNOWN
    try:
        answer = subprocess.run(  # noqa: S603  # reason: a list, no shell; the program is looked up by name
            [found, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    return answer[1].lstrip("v") if len(answer) > 1 else UNKNOWN
