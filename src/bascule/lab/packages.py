"""PostgreSQL's programs from Debian's package, which is installed when it is missing.

Only by root, and said first. The daemon that the package brings is kept from starting, now (policy-rc.d:
invoke-rc.d(8)) and at the next boot.
What is not here: the programs that every lab needs (``preflight``), which are only asked for.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from bascule.errors import ConfigurationError
from bascule.lab.environment import find_tool

PACKAGE = "postgresql"
_VERSIONS = Path("/usr/lib/postgresql")
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = (
    "#!/bin/sh\n# bascule: nothing is started while its packages are installed\nexit 101\n"
)


def postgresql_programs() -> Path | None:
    """The folder of initdb and postgres, of the newest version here; None: there is none."""
    folders = [each.parent for each in _VERSIONS.glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda each: float(each.parent.name))
    found = find_tool("initdb")
    return None if found is None else Path(found).resolve().parent


def ensure_postgresql(tell: Callable[[str], None]) -> Path:
    """Install the package if need be; raise ConfigurationError when that cannot be done."""
    found = postgresql_programs()
    if found is not None:
        return found
    apt = find_tool("apt-get")
    if apt is None or os.geteuid() != 0:
        raise ConfigurationError(
            "the lab needs PostgreSQL, which this machine does not have",
            advice=f"as root, on Debian: apt-get install --no-install-recommends {PACKAGE}",
        )
    tell(f"installing Debian's package {PACKAGE} (its daemon is not started)")
    with _no_daemons(_POLICY):
        _apt(apt, "update", may_fail=True)
        _apt(apt, "install", "-y", "--no-install-recommends", PACKAGE)
    if (systemctl := find_tool("systemctl")) is not None:
        subprocess.run([systemctl, "disable", "--quiet", f"{PACKAGE}.service"], check=False)  # noqa: S603  # reason: a list, no shell
    found = postgresql_programs()
    if found is None:
        raise ConfigurationError(f"the package {PACKAGE} was installed, and brought no initdb")
    return found


def _apt(apt: str, *arguments: str, may_fail: bool = False) -> None:
    done = subprocess.run(  # noqa: S603  # reason: a list, no shell
        [apt, "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode != 0 and not may_fail:
        raise ConfigurationError(
            f"`apt-get {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}",
            advice=f"install the package {PACKAGE}, then try again",
        )


@contextlib.contextmanager
def _no_daemons(policy: Path) -> Iterator[None]:
    """Put the host's own policy back afterwards, or have none as before."""
    aside = policy.with_name(policy.name + ".before-bascule")
    if policy.exists() and policy.read_text(errors="replace") == _POLICY_TEXT:
        policy.unlink()  # of a run that was killed; the host's own is aside
    if policy.exists() and not aside.exists():
        policy.rename(aside)
    try:
        policy.write_text(_POLICY_TEXT)
        policy.chmod(0o755)
        yield
    finally:
        policy.unlink(missing_ok=True)
        if aside.exists():
            aside.rename(policy)
