"""Chromium as somebody on the lab's client starts it: in its network, with its /etc/hosts.

What it trusts is the lab's CA, put into the NSS database of a home of its own, and nothing is
waved through: a page that opens has passed the checks of a certificate that everybody passes.
Playwright speaks to it over inherited descriptors, so that no port is opened for it.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from tests.e2e.lab_world import LabWorld

PROGRAM = "chromium-headless-shell"  # Chromium without a window's frame, which nobody looks at
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def why_not() -> str:
    """Why there can be no browser here; empty when there can."""
    missing = [tool for tool in (PROGRAM, "certutil") if shutil.which(tool) is None]
    return f"needs {' and '.join(missing)}" if missing else ""


def write_launcher(lab: LabWorld, host: str, folder: Path) -> Path:
    """Write a program that Playwright takes for Chromium; ``folder`` is the browser's own."""
    home = folder / "home"
    _trust(Path(lab.info()["ca_file"]), home / ".pki" / "nssdb")
    inside = ("env", "-u", "XDG_DATA_HOME", f"HOME={home}", PROGRAM)
    entered = (*lab.argv("exec", host), "--", *inside)
    launcher = folder / "chromium"
    launcher.write_text(
        "#!/bin/sh\n"
        f"XDG_STATE_HOME={shlex.quote(str(lab.state_home))}\n"
        "export XDG_STATE_HOME\n"
        f'exec {shlex.join(entered)} "$@"\n'
    )
    launcher.chmod(0o700)
    return launcher


def _trust(ca_file: Path, database: Path) -> None:
    database.mkdir(parents=True)
    certutil = ("certutil", "-d", f"sql:{database}")
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    subprocess.run([*certutil, "-A", "-t", "C,,", "-n", "lab", "-i", str(ca_file)], check=True)
