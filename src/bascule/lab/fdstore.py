"""The service manager's side of sd_notify: what a service says, and the descriptors it leaves.

Sources: sd_notify(3) (READY, STATUS, STOPPING, FDSTORE, FDSTOREREMOVE, FDNAME, FDPOLL),
sd_pid_notify_with_fds(3), sd_notify_barrier(3) (BARRIER: one descriptor, closed once all that
came before is processed), sd_listen_fds(3) (LISTEN_FDS, LISTEN_FDNAMES, descriptors from 3 on),
systemd.service(5) FileDescriptorStoreMax=.

Rules: every descriptor that comes is either stored or closed; a socket that is stored already
is not stored twice; what is stored outlives the process and is handed to the next one.
What is not here: sockets, processes, epoll (``supervisor``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

UNNAMED = "stored"  # FDNAME when the service gives none or one that is not allowed
NAME_LENGTH = 255


def parse_notice(data: bytes) -> Mapping[str, str]:
    """Read NAME=VALUE lines; a line without ``=`` is passed over, the last of a name counts."""
    fields: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            fields[name] = value
    return fields


def is_fd_name(name: str) -> bool:
    """Tell whether FDNAME may be used: printable ASCII, no colon, 1 to 255 (sd_notify(3))."""
    return 0 < len(name) <= NAME_LENGTH and all(" " <= char <= "~" and char != ":" for char in name)


def is_same_socket(one: int, other: int) -> bool:
    """Tell whether two descriptors are the same socket (each has an inode of its own)."""
    first, second = os.fstat(one), os.fstat(other)
    return stat.S_ISSOCK(first.st_mode) and (
        (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    )


@dataclass(frozen=True, slots=True)
class StoredFd:
    """One descriptor that a service left."""

    name: str
    fd: int
    is_polled: bool  # dropped when it hangs up or errs, unless the service said FDPOLL=0


@dataclass(slots=True)
class FdStore:
    """What one service has stored. The limit is FileDescriptorStoreMax=."""

    limit: int = 64
    close: Callable[[int], None] = os.close
    is_same: Callable[[int, int], bool] = is_same_socket
    entries: list[StoredFd] = field(default_factory=list)

    def accept(self, fields: Mapping[str, str], fds: Sequence[int]) -> tuple[StoredFd, ...]:
        """Act on one notice and its descriptors; answer the entries that are new."""
        name = fields.get("FDNAME", UNNAMED)
        if "FDSTOREREMOVE" in fields:
            self.remove(fields.get("FDNAME", ""))
        added: list[StoredFd] = []
        for fd in fds:
            if fields.get("FDSTORE") == "1" and self._has_room_for(fd):
                entry = StoredFd(
                    name if is_fd_name(name) else UNNAMED, fd, fields.get("FDPOLL") != "0"
                )
                self.entries.append(entry)
                added.append(entry)
            else:
                self.close(fd)  # a barrier's, one too many, one known, or one nobody asked for
        return tuple(added)

    def _has_room_for(self, fd: int) -> bool:
        return len(self.entries) < self.limit and not any(
            self.is_same(entry.fd, fd) for entry in self.entries
        )

    def remove(self, name: str) -> None:
        """Close and forget all of that name."""
        for entry in [entry for entry in self.entries if entry.name == name]:
            self.drop(entry.fd)

    def drop(self, fd: int) -> None:
        """Close and forget one, for example because its other end is gone."""
        self.entries = [entry for entry in self.entries if entry.fd != fd]
        self.close(fd)

    def clear(self) -> None:
        """The service is stopped for good: nothing is kept (FileDescriptorStorePreserve=no)."""
        for entry in list(self.entries):
            self.drop(entry.fd)


def listen_environment(names: Sequence[str]) -> dict[str, str]:
    """The variables for descriptors from 3 on, in this order; LISTEN_PID is the child's to set."""
    if not names:
        return {}
    return {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
