"""Knocks all the time and writes down what was answered; knows nothing of any grant.

``python -m tests.faults.watcher FILE EVERY ADDRESS/PORT...`` in a namespace. Each knock is
one SYN (a socket of its own, given up before the kernel would repeat it). A line is written
for each that was answered, by whatever: sent, answered (seconds of CLOCK_BOOTTIME), address,
port, how; and four times a second one of all SYNs since the last, ``ADDRESS/PORT@SENT``, so that
a watcher who sent none somewhere shows. Nothing here waits but for the next knock.

``again``: a connection that was let in is kept; when nobody is let in there any more, the
other side is made to reset it, and the next SYN comes from its very source port, which
connection tracking still calls established (EDGES A1).
What is not here: judging (``judge``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import TextIO

PATIENCE = 0.3  # seconds; the kernel would send the SYN again after one
QUIET = (
    2.5  # nobody let in for so long: the opening is over, the judge's slack and a late answer too
)
TELL = 0.25
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Target:
    address: str
    port: int
    kept: socket.socket | None = None  # a connection that was let in
    let_in_at: float = 0.0


@dataclass(slots=True)
class Knock:
    target: Target
    made: socket.socket
    sent: float
    how: str


@dataclass(slots=True)
class Leaving:
    """A kept connection that the other side was asked to reset."""

    target: Target
    kept: socket.socket
    asked: float


class Watcher:
    def __init__(self, out: TextIO, every: float, targets: list[Target]) -> None:
        self._out = out
        self._every = every
        self._targets = targets
        self._poll = select.epoll()
        self._waiting: dict[int, Knock] = {}  # by descriptor, the oldest first
        self._leaving: dict[int, Leaving] = {}  # as above
        self._sent: list[str] = []

    def run(self) -> None:
        turn = 0
        parent = os.getppid()
        next_at = boottime()
        told_at = next_at
        while True:
            now = boottime()
            if now >= next_at:
                self._knock(self._targets[turn % len(self._targets)])
                turn += 1
                next_at = max(next_at + self._every, now)  # what was slept away is not made up
            if now - told_at > TELL:
                self._tell(" ".join(["sent", f"{now:.4f}", *self._sent]))
                self._sent.clear()
                told_at = now
                if os.getppid() != parent:  # nobody will read it
                    return
            for fd, _ in self._poll.poll(max(0.0, next_at - boottime())):
                if fd in self._leaving:
                    self._come_back(fd)
                else:
                    self._answered(fd)
            self._give_up(boottime())

    def _tell(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def _knock(self, target: Target) -> None:
        now = boottime()
        if target.kept is not None and now - target.let_in_at > QUIET:
            self._leave(target, target.kept)
            target.kept = None
        self._send(target, 0, "new")

    def _send(self, target: Target, source_port: int, how: str) -> None:
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        made.setblocking(False)
        sent = boottime()
        try:
            if source_port:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(("", source_port))
            code = made.connect_ex((target.address, target.port))
        except OSError as error:
            code = error.errno or errno.EIO
        if code != errno.EINPROGRESS:  # the link is cut: nothing was sent
            made.close()
            return
        self._sent.append(f"{target.address}/{target.port}@{sent:.4f}")
        self._waiting[made.fileno()] = Knock(target, made, sent, how)
        self._poll.register(made.fileno(), select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP)

    def _answered(self, fd: int) -> None:
        knock = self._waiting.pop(fd, None)
        if knock is None:
            return
        self._poll.unregister(fd)
        now = boottime()
        code = knock.made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        target = knock.target
        if code in (0, errno.ECONNREFUSED, errno.ECONNRESET):
            word = "open" if code == 0 else "reset"
            self._tell(
                f"through {knock.sent:.4f} {now:.4f} {target.address} {target.port}"
                f" {knock.how}-{word}"
            )
            target.let_in_at = now
        if code == 0 and target.kept is None and knock.how == "new":
            target.kept = knock.made
        else:
            knock.made.close()

    def _leave(self, target: Target, kept: socket.socket) -> None:
        """Ask the other side to reset this connection; it may be cut off and never hear of it."""
        try:
            kept.send(b"R")
        except OSError:
            kept.close()
            return
        self._leaving[kept.fileno()] = Leaving(target, kept, boottime())
        self._poll.register(kept.fileno(), select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP)

    def _come_back(self, fd: int) -> None:
        """It was reset: knock on its tuple."""
        leaving = self._leaving.pop(fd)
        self._poll.unregister(fd)
        port = leaving.kept.getsockname()[1]
        with contextlib.suppress(OSError):
            leaving.kept.recv(1)
        leaving.kept.close()
        self._send(leaving.target, port, "again")

    def _give_up(self, now: float) -> None:
        for fd in _late(now, {fd: knock.sent for fd, knock in self._waiting.items()}):
            if self._is_answered(fd):
                self._answered(fd)
                continue
            self._poll.unregister(fd)
            self._waiting.pop(fd).made.close()
        for fd in _late(now, {fd: each.asked for fd, each in self._leaving.items()}):
            self._poll.unregister(fd)
            self._leaving.pop(fd).kept.close()

    @staticmethod
    def _is_answered(fd: int) -> bool:
        """Answered while this process slept?"""
        return bool(select.select([], [fd], [], 0)[1])


def _late(now: float, since: dict[int, float]) -> list[int]:
    return [fd for fd, moment in since.items() if now - moment >= PATIENCE]


def main(arguments: list[str]) -> None:
    file, every, *targets = arguments
    with open(file, "a", buffering=1, encoding="ascii") as out:  # noqa: PTH123  # reason: one line
        found = [Target(text.rpartition("/")[0], int(text.rpartition("/")[2])) for text in targets]
        Watcher(out, float(every), found).run()


def go_first() -> None:
    """See what happens while everything else is busy: sched(7), of real time where one may.

    It mostly sleeps; niceness alone is a share of the processor, and no promise when.
    """
    os.nice(-5)
    with contextlib.suppress(OSError):  # some containers and kernels have no real time to give
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


if __name__ == "__main__":
    go_first()
    main(sys.argv[1:])
