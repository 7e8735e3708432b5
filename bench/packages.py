"""The Debian packages of the peers: said first, then installed, their daemons kept from starting.

Source: invoke-rc.d(8) and Debian's policy-rc.d interface (exit code 101: action forbidden).
Only root installs; anybody else gets the reason that the peer's line of the table shows.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PROGRAMS = {  # what has to be there, and whose it is
    "fwknopd": "fwknop-server",
    "fwknop": "fwknop-client",
    "iptables": "iptables",
    "firewalld": "firewalld",
    "firewall-cmd": "firewalld",
    "dbus-daemon": "dbus-daemon",
    "setpriv": "util-linux",
}
_POLICY = Path("/usr/sbin/policy-rc.d")
_ASIDE = Path("/usr/sbin/policy-rc.d.before-bench")
_MARK = "# bascule bench:"
_UNITS = {"fwknop-server": "fwknop-server.service", "firewalld": "firewalld.service"}
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def find(program: str) -> str | None:
    """Where a program of the system is; a user's PATH often lacks the sbin folders."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")


def missing(programs: Sequence[str]) -> list[str]:
    """The packages that these programs still need, each once."""
    return list(dict.fromkeys(PROGRAMS[each] for each in programs if find(each) is None))


def install(packages: Sequence[str], tell: Callable[[str], None]) -> None:
    """Install what is missing, as root and where there is apt-get; failures are told, and then
    show as peers that are not there.
    """
    if not packages:
        return
    line = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or find("apt-get") is None:
        tell(f"not installed (needs root and apt-get): {line}")
        return
    tell(f"installing the peers, without starting their daemons: {line}")
    with _no_daemons():
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                tell(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    _stay_off(packages)


def _stay_off(packages: Sequence[str]) -> None:
    """Debian enables a daemon's unit as it installs it: take that back, for the next boot."""
    units = [_UNITS[each] for each in packages if each in _UNITS]
    if units and find("systemctl") is not None:
        subprocess.run(
            ["systemctl", "disable", "--quiet", *units], capture_output=True, check=False
        )


@contextlib.contextmanager
def _no_daemons() -> Iterator[None]:
    """Put a policy in place that starts nothing; the host's own comes back afterwards.

    After a run that was killed in here, the file in place is ours and the one aside the host's.
    """
    if _POLICY.exists() and _MARK not in _POLICY.read_text():
        _POLICY.rename(_ASIDE)
    try:
        _POLICY.write_text(f"#!/bin/sh\n{_MARK} nothing starts while its package comes\nexit 101\n")
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
        if _ASIDE.exists():
            _ASIDE.rename(_POLICY)
