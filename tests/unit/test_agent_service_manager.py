"""The fd store protocol, spoken to a stand-in manager over a real socket."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from bascule.agent.service_manager import ServiceManager, Watchdog, passed_descriptors
from bascule.bootstrap.alive import tell_alive


class Manager:
    """Receives datagrams as a service manager does and closes barrier descriptors."""

    def __init__(self, path: Path) -> None:
        self.messages: list[str] = []
        self.descriptors: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        while True:
            size = socket.CMSG_SPACE(array.array("i", [0] * 4).itemsize * 4)
            try:
                body, ancillary, _, _ = self._socket.recvmsg(4096, size)
            except OSError:
                return
            received = array.array("i")
            for _, _, data in ancillary:
                received.frombytes(data[: len(data) - len(data) % received.itemsize])
            self.messages.append(body.decode())
            if body == b"BARRIER=1":
                for descriptor in received:
                    os.close(descriptor)
            else:
                self.descriptors.extend(received)
            if body == b"STOP":
                return

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    return Manager(tmp_path / "notify")


def test_a_stored_descriptor_arrives_open_under_its_name(tmp_path: Path, manager: Manager) -> None:
    ours, theirs = socket.socketpair()
    speaker = ServiceManager(str(tmp_path / "notify"))
    assert speaker.store("nft-owner-1", ours.fileno())
    assert speaker.barrier()
    assert manager.messages[0] == "FDSTORE=1\nFDNAME=nft-owner-1\nFDPOLL=0"
    copy = socket.socket(fileno=manager.descriptors.pop())
    copy.sendall(b"x")
    assert theirs.recv(1) == b"x"
    for each in (ours, theirs, copy):
        each.close()
    manager.close()


def test_forget_returns_only_when_it_was_processed(tmp_path: Path, manager: Manager) -> None:
    speaker = ServiceManager(str(tmp_path / "notify"))
    assert speaker.forget("nft-owner-1")
    assert manager.messages == ["FDSTOREREMOVE=1\nFDNAME=nft-owner-1", "BARRIER=1"]
    manager.close()


def test_without_a_manager_nothing_is_claimed(tmp_path: Path) -> None:
    """No one keeps the socket: the caller must hear it, so that it can say so."""
    nobody = ServiceManager(None)
    assert not nobody.is_present
    assert not nobody.store("x", 0)
    assert not ServiceManager(str(tmp_path / "gone")).notify("READY=1")


def test_descriptors_meant_for_another_process_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert passed_descriptors() == []


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def _told(tmp_path: Path, manager: Manager) -> int:
    ServiceManager(str(tmp_path / "notify")).notify("STOP")
    manager._thread.join()
    manager.close()
    return manager.messages.count("WATCHDOG=1")


def test_a_loop_that_goes_round_says_so_four_times_in_the_time_that_it_has(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    clock = Clock()
    watchdog = Watchdog(ServiceManager(str(tmp_path / "notify")), clock)
    for _ in range(120):
        watchdog.alive()
        clock.at += 0.5
    assert _told(tmp_path, manager) == 4


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}],
)
def test_nobody_is_told_who_does_not_want_to_hear_it(
    tmp_path: Path,
    manager: Manager,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Watchdog(ServiceManager(str(tmp_path / "notify")), Clock()).alive()
    assert _told(tmp_path, manager) == 0


def test_a_server_whose_event_loop_stands_still_says_nothing(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")  # told every tenth of a second
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    async def serve() -> int:
        telling = asyncio.create_task(tell_alive())
        await asyncio.sleep(0.5)
        before = manager.messages.count("WATCHDOG=1")
        time.sleep(0.5)  # noqa: ASYNC251  # reason: it hangs
        hung = manager.messages.count("WATCHDOG=1")
        telling.cancel()
        assert before >= 2
        return hung - before

    assert asyncio.run(serve()) == 0
    assert _told(tmp_path, manager) >= 2
