"""Where a lab keeps its files: $XDG_STATE_HOME/bascule/lab/NAME, mode 0700, the caller's.

Source: XDG Base Directory Specification 0.8 (a relative $XDG_STATE_HOME is passed over).
A lab's folder lives as long as the lab. What is not here: what stands in the files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import ConfigurationError
from bascule.lab.namespaces import unmount
from bascule.lab.topology import check_lab_name


def labs_folder() -> Path:
    """The folder of all labs of this user."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    state = given if given.is_absolute() else Path.home() / ".local" / "state"
    return state / "bascule" / "lab"


@dataclass(frozen=True, slots=True)
class LabFolder:
    """The files of one lab."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def data(self) -> Path:  # of `bascule serve`
        return self.root / "data"

    def data_of(self, server: str, *, is_first: bool) -> Path:
        """Of one of several; the first makes the installation."""
        return self.data if is_first else self.root / f"data-{server}"

    def join_token(self, server: str) -> Path:
        """With which a further server becomes a replica."""
        return self.root / f"join-{server}"

    @property
    def database(self) -> Path:
        """The cluster of PostgreSQL: its data and its socket."""
        return self.root / "database"

    @property
    def database_tls(self) -> Path:
        """The cluster's own CA, whose certificate the servers trust."""
        return self.root / "database-tls"

    @property
    def database_password(self) -> Path:
        return self.root / "database-password"

    def stopped(self, unit: str) -> Path:
        """There: the unit is not started again until somebody says so."""
        return self.root / "stopped" / unit.replace("/", "-")

    @property
    def admin(self) -> Path:
        return self.data / "admin.json"

    @property
    def tokens(self) -> Path:
        """One-time enrolment tokens by machine name, written by ``seed`` for the agents."""
        return self.root / "tokens.json"

    @property
    def users(self) -> Path:
        """The lab's people with their passwords, written by ``seed`` for ``lab info``."""
        return self.root / "users.json"

    @property
    def supervisor_log(self) -> Path:
        return self.log("supervisor")

    def log(self, unit: str) -> Path:
        return self.root / "logs" / f"{unit.replace('/', '-')}.log"

    def agent_state(self, machine: str) -> Path:
        return self.root / "agents" / machine

    def guard(self, machine: str) -> Path:
        """The guard file of a gateway."""
        return self.host(machine) / "guard.toml"

    def host(self, name: str) -> Path:
        return self.root / "hosts" / name

    def home(self, host: str) -> Path:
        return self.host(host) / "home"

    def ssh(self, host: str) -> Path:  # becomes /etc/ssh
        return self.host(host) / "ssh"

    def create(self, hosts: list[str]) -> None:
        """Make the folder and those below it."""
        self.root.mkdir(mode=0o700)
        for folder in (
            self.root / "logs",
            self.root / "agents",
            self.root / "stopped",
            *map(self.home, hosts),
        ):
            folder.mkdir(mode=0o700, parents=True)
        for host in hosts:
            self.ssh(host).mkdir(mode=0o755)

    def tail(self, unit: str, lines: int = 12) -> str:
        """The end of a unit's log, for an error message."""
        try:
            text = self.log(unit).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])


def lab_folder(name: str) -> LabFolder:
    return LabFolder(labs_folder() / check_lab_name(name))


def ensure_labs_folder() -> Path:
    """Make the folder of all labs if need be; refuse one that is not the caller's alone."""
    folder = labs_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
            return folder
    except OSError as error:
        raise ConfigurationError(
            f"the folder for labs cannot be created: {error}",
            advice="set XDG_STATE_HOME to a folder that you can write to",
        ) from error
    raise ConfigurationError(
        f"{folder} belongs to another user",
        advice="set XDG_STATE_HOME to a folder of your own",
    )


@contextlib.contextmanager
def sole_access() -> Iterator[None]:
    """Let one ``up`` or ``down`` of this user at a time look at labs and change them."""
    handle = os.open(ensure_labs_folder(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def mounts_below(folder: Path) -> list[str]:
    """Mount points of this mount namespace at or below a folder, the deepest first."""
    prefix = str(folder)
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        raw = line.split(" ")[4]  # blanks and the like are written as octal: \\040
        point = raw.encode("latin-1", "replace").decode("unicode_escape") if "\\" in raw else raw
        if point == prefix or point.startswith(prefix + "/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def remove(folder: LabFolder) -> None:
    """Delete a lab's folder and nothing that is only shown in it.

    A mount below it would be somebody's home or Python: it is taken away first, and if that
    fails nothing is deleted.
    """
    for point in mounts_below(folder.root):
        unmount(point)
    if mounts_below(folder.root):
        raise ConfigurationError(
            f"there are still mounts below {folder.root}",
            advice=f"list them with `findmnt -R {folder.root}` and unmount them, then try again",
        )
    if folder.root.exists():
        shutil.rmtree(folder.root)
