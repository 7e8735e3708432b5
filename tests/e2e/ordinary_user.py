"""Become an ordinary user that the machine does not have: ``python ordinary_user.py HOME COMMAND...``.

Run as root. In a mount namespace of its own, /etc/passwd and /etc/group gain one user with the
home named, and folders that only root may enter (root's home with a Python in it, say) are
covered so that our code stays visible; then all rights are given up. No account of the machine
changes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bascule.lab import namespaces as linux
from bascule.lab.environment import code_folders
from bascule.lab.host import cover

NAME, NUMBER = "somebody", 54321
ENTER = 0o5  # what others need of a folder


def closed_folders(paths: tuple[Path, ...]) -> list[Path]:
    """The outermost folder that others may not enter, of each path that has one."""
    found = []
    for path in paths:
        line = [*reversed(path.parents), path]
        shut = [each for each in line if each.stat().st_mode & ENTER != ENTER]
        found += shut[:1]
    return sorted(set(found))


def main(home: str, *command: str) -> None:
    lines = {
        "passwd": f"{NAME}:x:{NUMBER}:{NUMBER}::{home}:/bin/sh\n",
        "group": f"{NAME}:x:{NUMBER}:\n",
    }
    place = Path(home).parent
    for name, line in lines.items():
        (place / name).write_text(Path("/etc", name).read_text() + line)
    linux.unshare(linux.CLONE_NEWNS)
    linux.make_mounts_private()
    folders = code_folders()
    for folder in closed_folders(folders):
        cover(folder, folders, "tmpfs", "tmpfs")
    for name in lines:
        linux.bind(place / name, Path("/etc", name))
    os.setgroups([])
    os.setresgid(NUMBER, NUMBER, NUMBER)
    os.setresuid(NUMBER, NUMBER, NUMBER)
    os.chdir(home)
    path = os.environ["PATH"]
    outer = {"PATH": path, "HOME": home, "LANG": "C.UTF-8"}
    os.execve(command[0], list(command), outer)  # noqa: S606  # reason: no shell wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
