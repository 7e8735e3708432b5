"""A driver in a process of its own, inside a namespace: it can be killed, and owns its socket.

The library binds its netlink socket to the namespace in which it is made, and ``kill -9`` of
an owner is a thing to test; so the driver runs in a child that enters the namespace first.
Calls go over a pipe by name. The parent can hold the child's owning socket, as a service
manager's fd store does, and is asked to let it go by ``take_over``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

import bascule
from bascule.domain.capabilities import HOST
from tests.netns.network import enter_namespace

ROOT = Path(__file__).parents[2]
SOURCES = Path(bascule.__file__).parents[1]


class DriverProcess:
    """Calls of ``NftablesDriver`` carried to a child in ``space``; its errors are raised here."""

    def __init__(self, space: str, *, use_owner: bool = True, prefix: tuple[str, ...] = ()) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), space, str(int(use_owner))]
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "tests.netns.driver_process", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{SOURCES}:{ROOT}"},
                pass_fds=[theirs.fileno()],
            )
        self._pipe = Connection(ours.detach())
        self._held: int | None = None
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    capabilities = HOST

    @property
    def pid(self) -> int:
        return self._process.pid

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments: object) -> Any:
            self._pipe.send((name, arguments))
            return self._receive()

        return call

    def take_over(self, release_stored: Callable[[], None]) -> None:
        self._pipe.send(("take_over", ()))
        self._receive(release_stored)

    def hold(self) -> None:
        """Take a copy of the owning socket, as FDSTORE=1 does."""
        self._pipe.send(("hold", ()))
        self._held = recv_handle(self._pipe)
        self._receive()

    def release(self) -> None:
        """Let the copy go, as FDSTOREREMOVE=1 does."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.kill()
        self.release()
        self._pipe.close()

    def _receive(self, release_stored: Callable[[], None] | None = None) -> Any:
        while True:
            word, value = self._pipe.recv()
            if word == "raise":
                raise value
            if word == "return":
                return value
            assert release_stored is not None
            release_stored()
            with contextlib.suppress(BrokenPipeError):  # it may have been told to kill us
                self._pipe.send(("released", ()))


def main() -> None:
    from bascule.drivers.nftables import open_driver
    from bascule.errors import BasculeError

    pipe = Connection(int(sys.argv[1]))
    enter_namespace(sys.argv[2])

    def release_stored() -> None:
        pipe.send(("release", None))
        pipe.recv()

    def call(name: str, arguments: tuple[object, ...]) -> object:
        if name == "hold":
            send_handle(pipe, driver.owner_fd, os.getppid())
            return None
        if name == "take_over":
            driver.take_over(release_stored)
            return None
        return getattr(driver, name)(*arguments)

    try:
        driver = open_driver(use_owner=bool(int(sys.argv[3])))
        pipe.send(("return", None))
    except BasculeError as error:
        pipe.send(("raise", error))
        return
    with contextlib.suppress(EOFError):
        while True:
            name, arguments = pipe.recv()
            try:
                pipe.send(("return", call(name, arguments)))
            except BasculeError as error:
                pipe.send(("raise", error))


if __name__ == "__main__":
    main()
