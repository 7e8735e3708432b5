"""Knocks all the time and writes down what was answered; knows nothing of any grant.

``python -m tests.faults.watcher FILE EVERY ADDRESS/PORT...`` in a namespace. Each knock is
one SYN (a socket of its own, given up before the kernel would repeat it). A line is written
for each that was answered, by whatever: sent, answered (seconds of CLOCK_BOOTTIME), address,
port, how; and a line of counts each second, so that a silent watcher shows.

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
TELL = 1.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Target:
    address: str
    port: int
    kept: socket.socket | None = None  # a connection that was let in
    let_in_at: float = 0.0
    came_back_at: float = 0.0


@dataclass(slots=True)
class Knock:
    target: Target
    made: socket.socket
    sent: float
    how: str


class Watcher:
    def __init__(self, out: TextIO, every: float, targets: list[Target]) -> None:
        self._out = out
        self._every = every
        self._targets = targets
        self._poll = select.epoll()
        self._waiting: dict[int, Knock] = {}  # by descriptor, the oldest first
        self._sent = 0
        self._errors = 0

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
                self._tell(f"count {now:.4f} {self._sent} {self._errors}")
                self._sent = self._errors = 0
                told_at = now
                if os.getppid() != parent:  # nobody will read it
                    return
            for fd, _ in self._poll.poll(max(0.0, next_at - boottime())):
                self._answered(fd)
            self._give_up(boottime())

    def _tell(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def _knock(self, target: Target) -> None:
        now = boottime()
        if target.kept is not None and now - target.let_in_at > QUIET:
            self._come_back(target)
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
            self._errors += 1
            made.close()
            return
        self._sent += 1
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
        else:
            self._errors += 1
        if code == 0 and target.kept is None and knock.how == "new":
            target.kept = knock.made
        else:
            knock.made.close()

    def _come_back(self, target: Target) -> None:
        """Have the kept connection reset from the other side and knock on its tuple."""
        kept, target.kept = target.kept, None
        assert kept is not None, "asked by the caller"
        with contextlib.suppress(OSError):
            port = kept.getsockname()[1]
            kept.send(b"R")
            if select.select([kept], [], [], PATIENCE)[0]:
                with contextlib.suppress(OSError):
                    kept.recv(1)
                kept.close()
                self._send(target, port, "again")
        kept.close()

    def _give_up(self, now: float) -> None:
        late = []
        for fd, knock in self._waiting.items():
            if now - knock.sent < PATIENCE:
                break
            late.append(fd)
        for fd in late:
            if self._is_answered(fd):
                self._answered(fd)
                continue
            self._poll.unregister(fd)
            self._waiting.pop(fd).made.close()

    @staticmethod
    def _is_answered(fd: int) -> bool:
        """Answered while this process slept?"""
        return bool(select.select([], [fd], [], 0)[1])


def main(arguments: list[str]) -> None:
    file, every, *targets = arguments
    with open(file, "a", buffering=1, encoding="ascii") as out:  # noqa: PTH123  # reason: one line
        found = [Target(text.rpartition("/")[0], int(text.rpartition("/")[2])) for text in targets]
        Watcher(out, float(every), found).run()


if __name__ == "__main__":
    os.nice(-5)  # it must see what happens while everything else is busy
    main(sys.argv[1:])
