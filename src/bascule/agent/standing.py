"""What keeps ports closed over reboots when no agent starts: a rule file and a unit of its own.

A package's scripts write both before an upgrade and at a removal (EDGES I4). They need nothing of
ours to work, only the firewall's own program. An agent that has its rules in place deletes the
rule file (``install``); without it the unit does nothing. Here nothing opens a port.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from pathlib import Path

from bascule.agent.enrolment import IDENTITY_FILE
from bascule.agent.install import (
    RULE_FILE,
    UNIT_NAME,
    is_systemd_running,
    service_state,
    systemctl,
)
from bascule.agent.memory import HeldFile
from bascule.domain.holding import firewall_rules
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, port_order
from bascule.errors import BasculeError, ConfigurationError
from bascule.files import PUBLIC, sync_directory, write_atomically
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import HostFirewall, HostNeeds

UNIT = "bascule-closed.service"
UNIT_FOLDER = Path("/etc/systemd/system")
CHECK_SECONDS = 60.0

_UNIT = """\
[Unit]
Description=Keeps closed what Bascule closed, while its agent is not there
DefaultDependencies=no
ConditionPathExists={file}
After={after}
Before=network-pre.target shutdown.target bascule-agent.service
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={load} {file}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
"""


def keep_closed(firewall: HostFirewall, state: Path, clock: Clock) -> list[PortKey]:
    """Write rule file and unit for all that is closed by now; returns these ports, in order.

    What the firewall closes and what the agent's memory closes both count: either may be lost.
    Raises ConfigurationError when something is closed and the files cannot be written, or would not
    be loaded.
    """
    closed = _closed(firewall, (service_state() or state, state), clock)
    if not closed:
        return []
    _check(firewall, closed)
    try:
        RULE_FILE.parent.mkdir(mode=0o755, exist_ok=True)
        write_atomically(RULE_FILE, firewall.standing(closed))
        _write_unit(firewall.needs)
    except OSError as error:
        raise ConfigurationError(
            f"Closed ports could not be kept closed over a reboot: {error.filename}: {error.strerror}."
        ) from error
    if is_systemd_running():
        systemctl("daemon-reload")
    return sorted((each.port for each in closed), key=port_order)


def _closed(
    firewall: HostFirewall, states: Collection[Path], clock: Clock
) -> Collection[ClosedPort]:
    found = {
        each.port: each
        for state in states
        for each in firewall_rules(HeldFile(state, clock).load(), 0.0).closed
    }
    try:
        driver = firewall.open()
        try:
            seen = driver.observe().rules.closed
        finally:
            driver.close()
    except BasculeError:
        if not found and _may_have_closed(states):
            raise  # nobody knows
        return found.values()
    return {**{each.port: each for each in seen}, **found}.values()


def _may_have_closed(states: Collection[Path]) -> bool:
    """Is an agent enrolled here, or installed with a state that nobody tells of?"""
    is_enrolled = any((state / IDENTITY_FILE).exists() for state in states)
    return is_enrolled or (UNIT_FOLDER / UNIT_NAME).exists()


def _check(firewall: HostFirewall, closed: Collection[ClosedPort]) -> None:
    """Is there a program that would load this? Raises ConfigurationError."""
    command = firewall.needs.check
    if not command:
        return
    try:
        done = subprocess.run(  # noqa: S603  # reason: fixed words, no shell
            command,
            input=firewall.standing(closed, is_trial=True),
            capture_output=True,
            text=True,
            check=False,
            timeout=CHECK_SECONDS,
        )
        why = (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    if why:
        raise ConfigurationError(
            f"Closed ports could not be kept closed over a reboot: {command[0]} would not load "
            f"their rules: {why.splitlines()[0].rstrip('.')}."
        )


def _write_unit(needs: HostNeeds) -> None:
    after = " ".join(("local-fs.target", *needs.unit.after))
    text = _UNIT.format(file=RULE_FILE, after=after, load=" ".join(needs.unit.load))
    wanted = UNIT_FOLDER / "sysinit.target.wants"
    wanted.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomically(UNIT_FOLDER / UNIT, text, PUBLIC)
    link = wanted / UNIT
    if not link.is_symlink():  # what systemctl enable does, which needs no systemd that runs
        link.symlink_to(UNIT_FOLDER / UNIT)
    sync_directory(wanted)


def end() -> list[str]:
    """Delete rule file and unit, when the ports were opened on purpose; says what was done."""
    there = [RULE_FILE, UNIT_FOLDER / "sysinit.target.wants" / UNIT, UNIT_FOLDER / UNIT]
    there = [path for path in there if path.is_symlink() or path.exists()]
    for path in there:
        path.unlink()
    if there and is_systemd_running():
        systemctl("daemon-reload")
    return [f"deleted {path}" for path in there]


def how_to_open(needs: HostNeeds) -> list[str]:
    """What root types to open what stands."""
    return [
        f"rm {RULE_FILE}",
        " ".join(needs.release).removeprefix("/usr/sbin/"),
    ]
