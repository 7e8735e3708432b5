"""The environment of a command in a lab host. Pure but for finding our own code.

Nothing comes from outside but the terminal's and the language's variables, so that neither a
BASCULE_* setting nor an ssh agent of the host reaches into the lab.
What is not here: entering a host (``launch``).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import bascule
from bascule.lab.person import Person

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TAKEN_OVER = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ", "PYTHONPATH")
# PYTHONPATH: a lab runs the code that started it


def interpreter_folder() -> Path:
    """Where this Python's commands are: the virtual environment's bin."""
    return Path(sys.executable).parent


def bascule_command() -> list[str]:
    """How to start ``bascule``: the script of this environment, else the code itself."""
    script = interpreter_folder() / "bascule"
    if os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-c", "from bascule.bootstrap import main; main()"]


def code_folders() -> tuple[Path, ...]:
    """All that must stay visible for this code to run: prefixes, the package, its checkout."""
    package = Path(bascule.__file__).resolve().parent
    checkout = package.parent.parent if package.parent.name == "src" else package.parent
    found = [Path(sys.prefix), Path(sys.base_prefix), checkout]
    found += [Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    found += [folder.resolve() for folder in found]
    return tuple(dict.fromkeys(folder.absolute() for folder in found))


def host_environment(person: Person, outer: Mapping[str, str]) -> dict[str, str]:
    """Build the whole environment; ``outer`` is the caller's."""
    kept = {
        name: value
        for name, value in outer.items()
        if name in _TAKEN_OVER or name.startswith("LC_")
    }
    if "PYTHONPATH" in kept:
        parts = [part for part in kept["PYTHONPATH"].split(os.pathsep) if part]
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts)
    home = person.home
    return {
        **kept,
        "HOME": str(home),
        "USER": person.name,
        "LOGNAME": person.name,
        "SHELL": person.shell,
        "PATH": f"{interpreter_folder()}:{_SYSTEM_PATH}",
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_RUNTIME_DIR": f"/run/user/{person.uid}",
    }


def find_tool(name: str) -> str | None:
    """Its absolute path; an ordinary user's PATH often lacks the sbin folders."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
