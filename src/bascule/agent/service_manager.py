"""Talking to the service manager: readiness and the fd store.

Sources: sd_notify(3), sd_pid_notify_with_fds(3), sd_notify_barrier(3), sd_listen_fds(3);
systemd.service(5) FileDescriptorStoreMax=. What owns our rules is kept there by the driver
(``interfaces.driver.Keeper``), so that they stay owned while no agent lives (EDGES A5).
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
from collections.abc import Callable

from bascule.agent.install import forget_stored

FIRST_PASSED = 3  # SD_LISTEN_FDS_START
BARRIER_SECONDS = 5.0


def passed_descriptors() -> list[tuple[str, int]]:
    """(name, descriptor) of what the manager handed over to this process, once."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":") if count else []
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(variable, None)
    passed = []
    for index in range(count):
        descriptor = FIRST_PASSED + index
        os.set_inheritable(descriptor, False)
        passed.append((names[index] if index < len(names) else "unknown", descriptor))
    return passed


class Watchdog:
    """Tells the manager that a loop still goes round, as often as it wants to hear it.

    sd_watchdog_enabled(3): who is not heard for WATCHDOG_USEC is killed and started again. What is told
    must come from the loop itself, not from a thread beside it.
    """

    def __init__(self, manager: ServiceManager, monotonic: Callable[[], float]) -> None:
        self._manager = manager
        self._monotonic = monotonic
        self.every = _watchdog_seconds() / 4  # 0: nobody wants to hear it
        self._next = 0.0

    def alive(self) -> None:
        """To be called each time round; says it when it is time."""
        now = self._monotonic()
        if self.every and now >= self._next:
            self._next = now + self.every
            self._manager.notify("WATCHDOG=1")


def _watchdog_seconds() -> float:
    """0: there is no watchdog, or it is another process's."""
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if pid == str(os.getpid()) and text.isdecimal() else 0.0


class ServiceManager:
    """The manager that started us, or nobody: then nothing is kept, and that is said."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self.is_present = bool(address)

    @classmethod
    def from_environment(cls) -> ServiceManager:
        return cls(os.environ.get("NOTIFY_SOCKET"))

    def passed(self) -> list[tuple[str, int]]:
        return passed_descriptors()

    def forget_stopped(self) -> None:
        forget_stored()

    def notify(self, state: str, descriptors: tuple[int, ...] = ()) -> bool:
        """Send one message; False when there is no manager or it does not listen."""
        if not self._address:
            return False
        target = self._address
        if target.startswith("@"):
            target = "\0" + target[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            ancillary = []
            if descriptors:
                ancillary = [
                    (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())
                ]
            try:
                sender.connect(target)
                sender.sendmsg([state.encode()], ancillary)
            except OSError:
                return False
        return True

    def store(self, name: str, descriptor: int) -> bool:
        """Have a descriptor kept across our death, under ``name``.

        FDPOLL=0: a netlink socket may show an error condition and must be kept all the same.
        """
        return self.notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", (descriptor,))

    def forget(self, name: str) -> bool:
        """Have every descriptor of that name closed, and wait until it is so."""
        return self.notify(f"FDSTOREREMOVE=1\nFDNAME={name}") and self.barrier()

    def barrier(self) -> bool:
        """Wait until the manager has processed all that was sent before."""
        reader, writer = os.pipe()
        try:
            sent = self.notify("BARRIER=1", (writer,))
            os.close(writer)
            writer = -1
            if not sent:
                return False
            poll = select.poll()
            poll.register(reader, select.POLLHUP)
            return bool(poll.poll(BARRIER_SECONDS * 1000))
        finally:
            os.close(reader)
            if writer >= 0:
                with contextlib.suppress(OSError):
                    os.close(writer)
