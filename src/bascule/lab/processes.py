"""Which process is which, and ending those that belong to a lab.

Sources: proc_pid_stat(5) (field 22, the start time), proc_pid_mountinfo(5), namespaces(7),
pidfd_open(2). A pid alone names nobody: it is used again. A pid with its start time does, within
one boot; and a process of a lab's host is known by a mount that only the lab makes.
Rules: a process is ended only through a pidfd, and only when it was recognised after that was
opened; never this process or one that it descends from.
What is not here: starting processes (``launch``).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

NETNS_FOLDER = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, for good: its pid and when it started, in ticks since boot."""

    pid: int
    started: int

    def is_alive(self) -> bool:
        return identify(self.pid) == self


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets


def identify(pid: int) -> ProcessId | None:
    """The process that has this pid now; None when there is none or it is only a zombie."""
    fields = _stat_fields(pid)
    if not fields or fields[0] in "ZX":
        return None
    return ProcessId(pid, int(fields[19]))


def parent_of(pid: int) -> int:
    """Its parent's pid, 0 when unknown."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def boot_id() -> str:
    """What tells one boot of the host from the next, after which no start time counts."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def mark_of(folder: Path) -> str:
    """The source name of the file system that only this lab mounts in its hosts."""
    return "bascule-lab-" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]


def all_pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def is_in_lab(pid: int, mark: str, networks: frozenset[int] = frozenset()) -> bool:
    """Tell whether a process stands in a host of the lab: by its mounts, or by its network."""
    try:
        if networks and Path(f"/proc/{pid}/ns/net").stat().st_ino in networks:
            return True
        return f" {mark} " in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:  # gone, or somebody else's: not ours to end
        return False


def registered_networks(names: tuple[str, ...]) -> frozenset[int]:
    """The inodes of the network namespaces of these names under /run/netns.

    As long as it is registered there, an inode's number belongs to that namespace alone. A file
    that no namespace is bound to (a registration cut short) counts for nothing.
    """
    known: set[int] = set()
    nsfs = Path("/proc/self/ns/net").stat().st_dev
    for name in names:
        with contextlib.suppress(OSError):
            status = (NETNS_FOLDER / name).stat()
            if status.st_dev == nsfs:
                known.add(status.st_ino)
    with contextlib.suppress(OSError):
        known.discard(
            Path("/proc/1/ns/net").stat().st_ino
        )  # never the host's own, whoever bound it
    return frozenset(known)


def _own_line() -> frozenset[int]:
    """Our own pid and those that this process descends from."""
    line, pid = set(), os.getpid()
    while pid > 0 and pid not in line:
        line.add(pid)
        pid = parent_of(pid)
    return frozenset(line)


def end(pid: int, number: int, is_denied_call: Callable[[], bool], wait: float = 0.0) -> bool:
    """Signal a process if it is the one that is meant; tell whether it is gone within the wait."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # no such process
        return True
    try:
        if not is_denied_call():
            return True
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return True
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(wait * 1000))
    finally:
        os.close(handle)


def end_all(mark: str, networks: frozenset[int] = frozenset(), wait: float = 5.0) -> list[int]:
    """Kill every process that stands in the lab's hosts; answer the pids that would not go."""
    spared = _own_line()
    deadline = time.monotonic() + wait
    while True:
        found = [pid for pid in all_pids() if pid not in spared and is_in_lab(pid, mark, networks)]
        if not found or time.monotonic() > deadline:
            return found
        for pid in found:  # all first, then wait: a parent could start another in between
            end(pid, signal.SIGKILL, partial(is_in_lab, pid, mark, networks))
        time.sleep(0.02)
