"""What a test run has to itself: ports of the loopback and a mark for names.

Runs and streams of runs go on beside each other, and a killed one leaves its names behind.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import socket
import tempfile
from pathlib import Path

_PORTS = range(20_000, 32_000)  # below those from which Linux takes what a client or port 0 gets
_held: list[int] = []  # the locks: they last as long as this process


def free_port() -> int:
    """A port of the loopback that nobody has now, and that no other test takes while we live."""
    for port in random.sample(_PORTS, len(_PORTS)):
        lock = _lock(Path(tempfile.gettempdir(), f"bascule-test-port-{port}"))
        if lock is None:
            continue
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                os.close(lock)
                continue
        _held.append(lock)
        return port
    raise OSError(f"no port of {_PORTS} is free")


def _lock(file: Path) -> int | None:
    """Lock a file, empty and left where it is; None when somebody else has it."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def mark(letter: str) -> str:
    """A name for what this process makes: a pid comes again, and may find a dead run's names."""
    return f"{letter}{os.getpid()}x{secrets.token_hex(2)}"
