"""Files that are whole or absent, whenever the process or the machine dies.

rename(2) replaces atomically; fsync(2) of the file before it and of the directory after
it make that hold across a power cut too.
"""

from __future__ import annotations

import os
from pathlib import Path

from bascule.errors import ConfigurationError

PRIVATE = 0o600
PUBLIC = 0o644


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """Replace ``path``; it never exists half-written nor with a wider mode than ``mode``."""
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)  # left by a start that was killed
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask took away
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.",
            advice="The server must be able to write its data directory (--data DIR).",
        ) from error


def read_if_present(path: Path) -> bytes | None:
    """The file's content, None when there is none; raise ConfigurationError otherwise."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.",
            advice="Run the server as the account that owns its data directory.",
        ) from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
