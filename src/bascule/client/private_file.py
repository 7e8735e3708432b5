"""Files that only their owner may read, replaced whole or not at all (rename(2))."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: str) -> None:
    """Write ``content`` with mode 0600 in a folder that is made 0700 when it is missing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A name of its own, so that two commands at once never write into one file.
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
