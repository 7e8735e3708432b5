"""EDGES J13: who reads a warning on a real sshd's terminals, and who does not."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from bascule.agent.notice import Notice
from tests.netns.network import CLIENT, CLIENT6, HOST6, STRANGER, Network
from tests.netns.ssh import Session, Sshd, start_service, why_no_ssh

# As it comes out of a terminal that turns \n into \r\n; a raw one does not, hence the \r written.
TEXT = b"\r\r\nBascule: access to port 22 ends in 5 minutes. To extend: bascule extend\r\r\n"
pytestmark = [
    pytest.mark.root,
    pytest.mark.leak,
    pytest.mark.skipif(bool(why_no_ssh()), reason=why_no_ssh()),
]


class Host:
    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.sshd = Sshd(network.host, folder / "ssh", (22, 2222))
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def send(self, *sources: str, port: int = 22, spared: tuple[str, ...] = ()) -> None:
        nets = tuple(map(ip_network, sources)), tuple(map(ip_network, spared))
        self.ours.send(Notice(port, 5, *nets).encode())

    def serve(self) -> str:
        """One start of the service; what it said."""
        _, said = start_service(self.network.host, self.theirs).communicate(timeout=30)
        return bytes(said).decode()

    def warn(self, *sources: str, port: int = 22, spared: tuple[str, ...] = ()) -> None:
        self.send(*sources, port=port, spared=spared)
        assert self.serve() == ""

    def close(self) -> None:
        self.sshd.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def host(network: Network, tmp_path: Path) -> Iterator[Host]:
    made = Host(network, tmp_path)
    yield made
    made.close()


def settled(*sessions: Session) -> list[int]:
    """How many warnings each has read, when no more can come."""
    time.sleep(0.5)
    return [each.warnings for each in sessions]


def test_the_sessions_of_the_source_on_the_port_read_it_and_no_others(host: Host) -> None:
    net = host.network
    admitted = host.sshd.session(net.client)
    other_port = host.sshd.session(net.client, port=2222)
    stranger = host.sshd.session(net.stranger)
    host.warn(f"{CLIENT}/32")
    assert admitted.reads(TEXT)
    assert settled(admitted, other_port, stranger) == [1, 0, 0]
    assert admitted.seen.endswith(TEXT)


def test_two_people_behind_one_address_both_read_it(host: Host) -> None:
    both = [host.sshd.session(host.network.client) for _ in range(2)]
    host.warn(f"{CLIENT}/32")
    assert settled(*both) == [1, 1]


def test_who_is_admitted_for_longer_is_spared(host: Host) -> None:
    admitted = host.sshd.session(host.network.client)
    stranger = host.sshd.session(host.network.stranger)
    host.warn("10.77.0.0/16", spared=(f"{CLIENT}/32",))
    assert stranger.reads(TEXT)
    assert settled(admitted, stranger) == [0, 1]


def test_ipv6_is_as_ipv4(host: Host) -> None:
    admitted = host.sshd.session(host.network.client, address=HOST6)
    other_family = host.sshd.session(host.network.client)
    host.warn(f"{CLIENT6}/128", f"{STRANGER}/32")
    assert admitted.reads(TEXT)
    assert settled(admitted, other_family) == [1, 0]


def test_who_refuses_messages_reads_none(host: Host) -> None:
    # What mesg(1) does, which not every system has.
    refuses = host.sshd.session(
        host.network.client, command="chmod g-w $(tty); echo here; exec cat"
    )
    takes = host.sshd.session(host.network.client)
    host.warn(f"{CLIENT}/32")
    assert takes.reads(TEXT)
    assert settled(refuses, takes) == [0, 1]


def test_a_stopped_or_full_terminal_holds_nobody_up(host: Host) -> None:
    stopped = host.sshd.session(host.network.client)
    stopped.types(b"\x13")
    time.sleep(0.5)
    full = host.sshd.session(host.network.client, command="echo here; exec yes")
    full_process = _stop_ssh(full)
    time.sleep(1.0)
    takes = host.sshd.session(host.network.client)
    began = time.monotonic()
    host.warn(f"{CLIENT}/32")
    assert time.monotonic() - began < 15
    assert takes.reads(TEXT)
    assert settled(stopped, takes) == [0, 1]
    os.kill(full_process, signal.SIGCONT)


def _stop_ssh(session: Session) -> int:
    """Its client reads no more; its process id."""
    os.kill(session.pid, signal.SIGSTOP)
    return session.pid


def test_nonsense_is_said_and_the_rest_is_done(host: Host) -> None:
    admitted = host.sshd.session(host.network.client)
    host.ours.send(b"22 5\n10.77.0.2/32\n; \x1b[2J rm")
    host.send(f"{CLIENT}/32")
    assert host.serve() == "refused: This is not a warning.\n"
    assert settled(admitted) == [1]


def test_a_service_that_is_killed_leaves_the_next_one_free(host: Host) -> None:
    admitted = host.sshd.session(host.network.client)
    host.send(f"{CLIENT}/32")
    killed = start_service(host.network.host, host.theirs)
    killed.kill()
    killed.communicate(timeout=10)
    before = admitted.warnings
    host.send(f"{CLIENT}/32")
    host.serve()
    assert settled(admitted)[0] > before


def test_a_container_s_terminal_of_that_number_is_not_ours(host: Host) -> None:
    """A container on the host's network has terminals of its own, with the same numbers."""
    master, slave = os.openpty()
    try:
        os.fchmod(slave, os.fstat(slave).st_mode | stat.S_IWGRP)
        number = int(os.ttyname(slave).rpartition("/")[2])
        inside = (
            "mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts /dev/pts && "
            "mount --bind /dev/pts/ptmx /dev/ptmx && "
            f'exec {sys.executable} -c "import os, subprocess, sys; '
            f'held = [os.openpty() for _ in range({number})]; subprocess.call(sys.argv[1:])" "$@"'
        )
        contained = Sshd(
            host.network.host,
            host.folder / "contained",
            (2323,),
            prefix=("unshare", "--mount", "--propagation", "private", "sh", "-c", inside, "sh"),
        )
        try:
            session = contained.session(
                host.network.client, port=2323, command="tty; echo here; exec cat"
            )
            assert f"/dev/pts/{number}\r\n".encode() in session.seen
            host.warn(f"{CLIENT}/32", port=2323)
            os.set_blocking(master, False)
            with pytest.raises(BlockingIOError):
                os.read(master, 100)
            assert settled(session) == [0], "where its terminal is cannot be told from here"
        finally:
            contained.close()
    finally:
        os.close(master)
        os.close(slave)
