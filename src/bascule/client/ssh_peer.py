"""The ssh session in which we run: its peer's address, and the port of the connection.

Source: ssh(1), SSH_CONNECTION: the client's address and port, the server's address and
port. sudo drops it, so each ancestor's environment is read (proc(5), /proc/PID/environ)
until one holds it (EDGES A25).
"""

from __future__ import annotations

import os
from pathlib import Path

from bascule.domain.net import Address, parse_address, parse_port_number
from bascule.errors import InvalidInput

DEEPEST = 64  # ancestors looked at
_NAME = b"SSH_CONNECTION="


def ssh_peer(pid: int | None = None) -> Address | None:
    """The address of the ssh client that this process descends from, or None."""
    session = ssh_session(pid)
    return session[0] if session is not None else None


def ssh_session(pid: int | None = None) -> tuple[Address, int] | None:
    """The ssh client's address and the port of this host that it is connected to, or None."""
    current = pid if pid is not None else os.getpid()
    for _ in range(DEEPEST):
        if current <= 1:
            return None
        found = _session_in(_read(Path(f"/proc/{current}/environ")))
        if found is not None:
            return found
        current = _parent_of(current)
    return None


def _session_in(environ: bytes) -> tuple[Address, int] | None:
    for entry in environ.split(b"\0"):
        if entry.startswith(_NAME):
            words = entry[len(_NAME) :].decode(errors="replace").split()
            try:
                peer, _, _ = words[0].partition("%")  # the link of a link-local one
                return parse_address(peer), parse_port_number(int(words[3]))
            except (InvalidInput, ValueError, IndexError):
                return None
    return None


def _parent_of(pid: int) -> int:
    # Field 4 of /proc/PID/stat, after the command name in parentheses.
    tail = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
    return int(tail[1]) if len(tail) > 1 else 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
