"""Up and down: the machine is as before, whatever was killed, however often."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from bascule.lab.processes import identify
from bascule.lab.state import read_state, write_state
from tests.e2e.lab_world import LabWorld, until

pytestmark = pytest.mark.root

_LOOKED_AT = (
    ("ip", "-oneline", "address"),
    ("ip", "route", "show", "table", "all"),
    ("ip", "-6", "route", "show", "table", "all"),
    ("ip", "rule"),
    ("ip", "-oneline", "link"),
    ("nft", "list", "ruleset"),
    ("sysctl", "net.ipv4", "net.ipv6", "net.core", "net.bridge", "kernel.hostname", "user"),
    ("sh", "-c", "cat /etc/passwd /etc/shadow /etc/group /etc/hosts /etc/hostname"),
    ("sh", "-c", "ls -lA /etc/ssh ~ /var/log/wtmp /var/log/lastlog"),
)
_NOISE = ("valid_lft", "expires", "fs.", "random", "last used")


def machine_state() -> list[str]:
    """What the lab may not change, line by line, without what changes by itself."""
    lines: list[str] = []
    for command in _LOOKED_AT:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines += [line for line in done.stdout.splitlines() if not any(n in line for n in _NOISE)]
    return lines


def namespaces(lab: LabWorld) -> list[str]:
    folder = Path("/run/netns")
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    return [name for name in names if name.startswith(f"bascule-{lab.name}-")]


def listeners(port: int) -> str:
    done = subprocess.run(
        ["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True
    )
    return done.stdout


def is_gone(lab: LabWorld) -> bool:
    return not lab.folder.exists() and not namespaces(lab) and not listeners(lab.port)


def test_machine_is_unchanged_during_and_after(own_lab: LabWorld) -> None:
    before = machine_state()
    assert own_lab.up().returncode == 0
    assert machine_state() == before
    assert "127.0.0.1" in listeners(own_lab.port)
    assert len(namespaces(own_lab)) == 9
    assert own_lab.down().returncode == 0
    assert machine_state() == before
    assert is_gone(own_lab)


def test_up_and_down_may_be_repeated(own_lab: LabWorld) -> None:
    assert own_lab.down().returncode == 0
    assert own_lab.up().returncode == 0
    first = own_lab.info()["pids"]
    again = own_lab.up()
    assert again.returncode == 0
    assert "running already" in again.stdout
    assert "bascule" in again.stdout
    assert own_lab.info()["pids"] == first
    assert own_lab.down().returncode == 0
    assert own_lab.down().returncode == 0
    assert own_lab.run("exec", "client", "--", "true").returncode == 3
    assert own_lab.run("info").returncode == 3


def test_killed_supervisors_lab_is_cleared_by_the_next_up(own_lab: LabWorld) -> None:
    """A session in the lab and a program that came in through `ip netns` end too."""
    own_lab.up()
    pids = own_lab.info()["pids"]
    script = ("sh", "-c", "echo in; sleep 600; true")
    inside = ("ip", "netns", "exec", f"bascule-{own_lab.name}-web-1", *script)
    with (
        _started(own_lab.argv("exec", "client", "--", *script), own_lab.environment) as session,
        _started(inside, os.environ) as other,
    ):
        own_lab.kill(pids["supervisor"])
        assert until(lambda: identify(pids["server"]) is None)  # nothing of a lab runs unwatched
        done = own_lab.up()
        assert done.returncode == 0, done.stderr
        assert "earlier" in done.stderr
        assert session.wait(5) == -signal.SIGKILL
        assert other.wait(5) == -signal.SIGKILL
    assert own_lab.said("client", "bascule", "ssh", "web-1", "--", "hostname") == "web-1"


@contextmanager
def _started(
    argv: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A program that has said its first line; it does not outlive the test."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "in\n"
            yield process
        finally:
            process.kill()


def test_killed_supervisors_lab_is_cleared_by_down(own_lab: LabWorld) -> None:
    own_lab.up()
    own_lab.kill(own_lab.info()["pids"]["supervisor"])
    assert own_lab.down().returncode == 0
    assert until(lambda: is_gone(own_lab))  # the dying let go of the port a moment later


def test_process_that_got_a_used_pid_is_left_alone(own_lab: LabWorld) -> None:
    """The supervisor is dead and its pid another's: here the test's own child."""
    own_lab.up()
    own_lab.kill(own_lab.info()["pids"]["supervisor"])
    file = own_lab.folder / "state.json"
    state = read_state(file)
    assert state is not None
    with subprocess.Popen(["sleep", "600"]) as innocent:
        state.supervisor = type(state.supervisor)(innocent.pid, state.supervisor.started)
        write_state(file, state)
        assert own_lab.down().returncode == 0
        assert innocent.poll() is None
        innocent.kill()
    assert until(lambda: is_gone(own_lab))


def _foreground(lab: LabWorld) -> subprocess.Popen[str]:
    """Start `lab up` in the foreground and return when it stands."""
    process = subprocess.Popen(
        lab.argv("up", "--port", str(lab.port)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=lab.environment,
    )
    assert process.stdout is not None
    _read_until(process.stdout, "Ctrl-C")
    return process


def _read_until(stream: IO[str], word: str) -> None:
    seen = ""
    for line in stream:
        seen += line
        if word in line:
            return
    pytest.fail(seen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_foreground_lab_ends_with_its_terminal(own_lab: LabWorld, number: int) -> None:
    with _foreground(own_lab) as process:
        process.send_signal(number)
        assert process.wait(30) == 0
    assert is_gone(own_lab)


def test_foreground_lab_ends_when_its_command_is_killed(own_lab: LabWorld) -> None:
    with _foreground(own_lab) as process:
        process.kill()
        process.wait(5)
    assert until(lambda: not namespaces(own_lab), 40)
    assert own_lab.up().returncode == 0
    assert own_lab.down().returncode == 0


def test_port_in_use_is_said_with_another_one(own_lab: LabWorld) -> None:
    with socket.create_server(("127.0.0.1", own_lab.port)):
        done = own_lab.up()
    assert done.returncode == 2
    assert str(own_lab.port) in done.stderr
    assert f"--port {own_lab.port + 1}" in done.stderr or "--port" in done.stderr
    assert is_gone(own_lab)


def test_two_labs_run_side_by_side(lab: LabWorld, own_lab: LabWorld) -> None:
    """`make test` while `make demo` is up."""
    own_lab.up()
    assert own_lab.said("client", "hostname") == "client"
    assert own_lab.info()["subscription_id"] != lab.info()["subscription_id"]
    own_lab.down()
    assert lab.said("client", "hostname") == "client"


def test_missing_tools_are_named_with_their_packages(own_lab: LabWorld, tmp_path: Path) -> None:
    """With the system's folders hidden in a mount namespace of its own."""
    hide = 'mount --bind "$0" /usr/sbin && PATH=/nowhere exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide, str(tmp_path), *own_lab.argv("up", "--detach")],
        capture_output=True,
        text=True,
        check=False,
        env=own_lab.environment,
    )
    assert done.returncode == 2, done.stderr
    assert "openssh-server" in done.stderr
    assert "nftables" in done.stderr
    assert is_gone(own_lab)


def test_right_that_is_lacking_is_named(own_lab: LabWorld) -> None:
    """As root of a container without privileges."""
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", *own_lab.argv("up", "--detach")],
        capture_output=True,
        text=True,
        check=False,
        env=own_lab.environment,
    )
    assert done.returncode == 7, done.stderr
    assert "SYS_ADMIN" in done.stderr
    assert own_lab.down().returncode == 0
    assert is_gone(own_lab)


def test_terminal_is_passed_through(lab: LabWorld) -> None:
    near, far = os.openpty()
    try:
        done = subprocess.run(
            lab.argv("exec", "client", "--", "sh", "-c", "test -t 0 && test -t 1"),
            stdin=far,
            stdout=far,
            check=False,
            env=lab.environment,
        )
        assert done.returncode == 0
    finally:
        os.close(near)
        os.close(far)


def test_shell_says_where_it_is(lab: LabWorld) -> None:
    done = subprocess.run(
        lab.argv("shell", "web-1"),
        input="hostname; exit 4\n",
        capture_output=True,
        text=True,
        check=False,
        env=lab.environment,
    )
    assert done.returncode == 4
    assert "web-1" in done.stdout.split()
    assert f"[web-1.{lab.name}" in done.stderr
