"""Files that are whole or absent, whenever the process or the machine dies.

rename(2) replaces atomically; fsync(2) of the file before it and of the directory after
it make that hold across a power cut too. For folders that one process owns: two that write
one file at once need ``client.private_file``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from bascule.errors import ConfigurationError

PRIVATE = 0o600
PUBLIC = 0o644


def write_atomically(
    path: Path,
    data: str | bytes,
    mode: int = PRIVATE,
    before_replacing: Callable[[], None] = lambda: None,
) -> None:
    """Replace ``path``; it never exists half-written nor with a wider mode than ``mode``.

    ``before_replacing`` is called when the new file is on disk and the old one still in its
    place. Raises ConfigurationError when the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)  # left by a process that was killed
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask took away
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(descriptor)
        before_replacing()
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.",
            advice="Free space, or make its folder writable for this account.",
        ) from error


def sync_directory(path: Path) -> None:
    """Make a rename in this folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
