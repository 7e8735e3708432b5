"""The agent's control socket: heard as long as the agent lives."""

from __future__ import annotations

import errno
import socket
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
    control = ControlSocket(path, lambda message: {"heard": message["command"]})
    try:
        assert tell_agent(path, {"command": "status"})["heard"] == "status"
        assert Crowded.refusals == 0
    finally:
        control.close()
    assert not control._thread.is_alive(), "it ends when it is told to"
