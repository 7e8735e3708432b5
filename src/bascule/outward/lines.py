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
        descriptor = self._open()
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "it is not a regular file")
            if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
                data = b"\n" + data
            while data:
                data = data[file.write(data) or 0 :]
            os.fsync(descriptor)

    def _open(self) -> int:
        how = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, how | os.O_CREAT | os.O_EXCL, MODE)
        except FileExistsError:
            return os.open(self._path, how)  # whose mode is as somebody set it
        os.fchmod(descriptor, MODE)  # whatever the umask took away; a service's is 0077
        return descriptor
