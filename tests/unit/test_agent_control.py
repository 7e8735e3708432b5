"""The agent's control socket: heard as long as the agent lives."""

from __future__ import annotations

import errno
import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from bascule.agent.control import ControlSocket
from bascule.client.host_agent import tell_agent


class Crowded(socket.socket):
    """No descriptor is left when the first one calls (accept(2), EMFILE)."""

    refusals = 1

    def accept(self) -> tuple[socket.socket, object]:
        if Crowded.refusals:
            Crowded.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_a_want_of_descriptors_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A25: root's way in must not be gone for good because of a busy minute."""
    monkeypatch.setattr("bascule.agent.control.socket.socket", Crowded)
    path = tmp_path / "agent.sock"
    control = ControlSocket(path, lambda message, _: {"heard": message["command"]})
    try:
        assert tell_agent(path, {"command": "status"})["heard"] == "status"
        assert Crowded.refusals == 0
    finally:
        control.close()
    control._thread.join(30)
    assert not control._thread.is_alive(), "it ends when it is told to"


def call(path: Path, said: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(path))
    connection.sendall(said)
    return connection


@pytest.mark.parametrize("said", [b"\xff\xfe\xfd\n", b"{\n", b"[" * 4096, b"7\n", b"\n"])
def test_what_cannot_be_read_is_answered_and_the_next_one_heard(
    tmp_path: Path, said: bytes
) -> None:
    """One undecodable byte must not take root's way in away."""
    path = tmp_path / "agent.sock"
    control = ControlSocket(path, lambda message, _: {"heard": message["command"]})
    try:
        with call(path, said) as connection:
            assert json.loads(connection.recv(4096))["ok"] is False
        assert tell_agent(path, {"command": "status"})["heard"] == "status"
    finally:
        control.close()


def test_a_command_whose_caller_has_hung_up_is_not_done(tmp_path: Path) -> None:
    """He waited behind another, gave up and was told that nobody answers (EDGES A25)."""
    path = tmp_path / "agent.sock"
    done: list[str] = []
    is_busy, may_end = threading.Event(), threading.Event()

    def handle(message: Mapping[str, object], _: object) -> Mapping[str, object]:
        is_busy.set()
        may_end.wait(10)
        done.append(str(message["command"]))
        return {}

    control = ControlSocket(path, handle)
    try:
        with call(path, b'{"command": "first"}\n') as first:
            assert is_busy.wait(10)
            call(path, b'{"command": "given up"}\n').close()
            with call(path, b'{"command": "said all"}\n') as patient:
                patient.shutdown(socket.SHUT_WR)
                may_end.set()
                assert json.loads(first.recv(4096))["ok"] is True
                assert json.loads(patient.recv(4096))["ok"] is True
    finally:
        control.close()
    assert done == ["first", "said all"]
