"""Deleting the agent's own files from the host, and no others (EDGES A25).

The state directory is whatever ``--state`` says: a mistyped one must lose nothing. What is
not here: the firewall's rules (the driver's ``remove``) and the unit (``install``).
"""

from __future__ import annotations

import re
from pathlib import Path

from bascule.agent import enrolment, local_openings, memory, witness
from bascule.client.host_agent import CONTROL_NAME

LOCK_FILE = "lock"
OURS = frozenset(
    {
        enrolment.IDENTITY_FILE,
        enrolment.DRAFT_FILE,
        memory.NEWEST,
        memory.PREVIOUS,
        local_openings.FILE,
        witness.FILE,
        witness.KEPT_ASIDE,
        LOCK_FILE,
        CONTROL_NAME,
    }
)
# Of client.private_file and of memory's second name; of files.write_atomically.
_UNFINISHED = re.compile(r"\.(?P<hidden>.+)\.([0-9a-f]{12}|link)|(?P<beside>.+)\.new")


def remove_files(state: Path) -> None:
    """Delete our files in the directory; it stays, and what is not ours stays."""
    for path in sorted(state.iterdir()) if state.is_dir() else ():
        unfinished = _UNFINISHED.fullmatch(path.name)
        name = unfinished["hidden"] or unfinished["beside"] if unfinished else path.name
        if name in OURS:
            path.unlink()


def remove_state(state: Path) -> str:
    """Delete our files and the directory when it is then empty; returns what was done.

    Not from inside the agent's service: systemd binds the directory there, and a mount
    cannot be removed (systemd.exec(5), StateDirectory and ProtectSystem).
    """
    if not state.is_dir():
        return f"there was no {state}"
    remove_files(state)
    left = sorted(path.name for path in state.iterdir())
    if left:
        return f"kept {state}, because it contains other files: {', '.join(left[:5])}"
    state.rmdir()
    return f"deleted {state}"
