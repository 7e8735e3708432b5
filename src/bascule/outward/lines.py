"""A file of JSON lines in the one folder that the operator named, for log shippers.

Opened by its path for each page, so that a rotated file is simply begun anew; never through a
symbolic link. What was cut off by a full disk or a crash is ended by a line feed, and the
event is written again whole.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from bascule.domain.delivery import Answer, Outcome
from bascule.interfaces.delivery import Parcel

MODE = 0o640  # a shipper may read by its group


class FileLine:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def carry(self, parcel: Parcel) -> Outcome:
        try:
            await asyncio.to_thread(self._append, b"".join(parcel.messages))
        except OSError as error:
            return Outcome(Answer.LATER, f"the file cannot be written: {error.strerror}")
        return Outcome(Answer.TAKEN, "written")

    async def close(self) -> None:
        """Nothing stays open."""

    def _append(self, data: bytes) -> None:
        how = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, how, MODE)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "it is no regular file")
            if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
                data = b"\n" + data
            while data:
                data = data[file.write(data) or 0 :]
            os.fsync(descriptor)
