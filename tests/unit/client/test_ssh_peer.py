"""Whose ssh session it is, and by which port, though sudo empties the environment."""

from __future__ import annotations

import subprocess
import sys

import pytest

_ASK = "from bascule.client.ssh_peer import ssh_session; print(*(ssh_session() or ['none']))"


def _session(connection: str) -> str:
    """What a process says whose parent alone was told of the session."""
    done = subprocess.run(
        ["sh", "-c", 'env -i "$@"; exit $?', "sh", sys.executable, "-c", _ASK],
        env={"SSH_CONNECTION": connection, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ("192.0.2.7 50000 198.51.100.1 22", "192.0.2.7 22"),
        ("2001:db8::7 50000 2001:db8::1 2222", "2001:db8::7 2222"),  # sshd elsewhere than on 22
        ("fe80::1%eth0 50000 fe80::2%eth0 22", "fe80::1 22"),  # a zone is no part of a source
    ],
)
def test_the_session_is_found_through_the_parents(connection: str, said: str) -> None:
    assert _session(connection) == said


@pytest.mark.parametrize("connection", ["nonsense", "192.0.2.7 50000 198.51.100.1 x"])
def test_what_cannot_be_read_is_no_session_of_ours(connection: str) -> None:
    assert "192.0.2.7" not in _session(connection)
    assert "nonsense" not in _session(connection)
