"""Ports and names that no other test run has."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests.support import own


@pytest.mark.sockets
def test_a_port_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three, one is listened on and one is another run's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    served, theirs, free = own.free_port(), own.free_port(), own.free_port()
    assert len({served, theirs, free}) == 3
    while own._held:
        os.close(own._held.pop())
    monkeypatch.setattr(own, "_PORTS", (served, theirs, free))
    with (
        socket.create_server(("127.0.0.1", served)),
        (tmp_path / f"bascule-test-port-{theirs}").open("r+") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert own.free_port() == free
        with pytest.raises(OSError, match="no port"):
            own.free_port()
    assert own.free_port() in (served, theirs)


def test_a_mark_is_not_that_of_an_earlier_process_with_this_pid() -> None:
    marks = {own.mark("t") for _ in range(3)}
    assert len(marks) > 1
    assert all(len(each) <= 12 for each in marks)
