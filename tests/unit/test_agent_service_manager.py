"""The fd store protocol, spoken to a stand-in manager over a real socket."""

from __future__ import annotations

import array
import os
import socket
import threading
from pathlib import Path

import pytest

from bascule.agent.service_manager import ServiceManager, passed_descriptors


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
