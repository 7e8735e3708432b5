"""Who runs the lab: the account that its hosts know too.

What is not here: the accounts of Bascule itself.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Person:
    """One account of the host, taken over unchanged."""

    name: str
    uid: int
    gid: int
    home: Path  # as in passwd, because that is where ssh and sshd look, not $HOME
    shell: str

    @property
    def is_root(self) -> bool:
        return self.uid == 0


def current_person() -> Person:
    """Read the account of the effective user."""
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise ConfigurationError(
            f"the user id {os.geteuid()} has no entry in /etc/passwd",
            advice="run the lab as a user that has one: ssh and sshd need its name and home",
        ) from error
    home = Path(entry.pw_dir)
    if home == Path("/") or not home.is_dir():
        raise ConfigurationError(
            f"the home directory {home} of {entry.pw_name} cannot be used for the lab's homes",
            advice="the user needs a home directory of its own that exists",
        )
    return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, home, entry.pw_shell or "/bin/sh")
