"""EDGES J13: the service that warns, as systemd starts it and with no more rights than its unit gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

import bascule
from bascule.agent.install import further_units, program
from bascule.agent.notice import Notice
from bascule.agent.warn_units import WARN_PATH, WARN_SERVICE, WARN_SOCKET
from tests.e2e.booted import CLIENT, HOST, BootedMachine, why_not
from tests.e2e.lab_world import until
from tests.netns.ssh import SSHD, Session, config_text, make_keys, why_no_ssh

pytestmark = [pytest.mark.root, pytest.mark.leak]

UNNEEDED = ("ssh.service", "ssh.socket", "getty@tty1.service", "systemd-networkd.service")
THERE = Path("/etc/warned")
SEND = (
    "import socket, sys; "
    f"socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), '{WARN_PATH}')"
)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[BootedMachine]:
    if why := why_not(Path(sys.executable), Path(bascule.__file__)) or why_no_ssh():
        pytest.skip(why)
    make_keys(tmp_path)
    (tmp_path / "boot").mkdir()
    with BootedMachine(tmp_path / "boot") as made:
        made.mask(*UNNEEDED)
        for name in ("host", "user.pub"):
            made.put(str(THERE / name), tmp_path / name)
        made.write(str(THERE / "config"), config_text(THERE, (22, 2222)))
        for name, text in further_units(program()).items():
            made.write(f"/etc/systemd/system/{name}", text)
        made.boot()
        made.run("chmod", "600", str(THERE / "host"))
        made.run("mkdir", "-p", "/run/sshd")
        made.run("useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", "ordinary")
        made.run("systemd-run", "--quiet", "--unit=sshd", SSHD, "-D", "-f", str(THERE / "config"))
        assert until(lambda: made.client.reaches(22, HOST), 20)
        made.run("systemctl", "start", WARN_SOCKET)
        yield made


def _is_idle(machine: BootedMachine) -> bool:
    return machine.run("systemctl", "is-active", WARN_SERVICE, check=False) == "inactive"


def test_it_warns_root_and_others_by_its_own_few_rights(
    machine: BootedMachine, tmp_path: Path
) -> None:
    command = "echo here; exec cat"
    sessions = [
        Session(machine.client, tmp_path, port, HOST, command, user)
        for port, user in ((22, "root"), (22, "ordinary"), (2222, "ordinary"))
    ]
    try:
        notice = Notice(22, 5, (ip_network(f"{CLIENT}/32"),)).encode().decode()
        for sent in ("nonsense", notice):
            machine.run("python3", "-c", SEND, sent)
        assert all(each.reads(b"ends in 5 minutes", 20) for each in sessions[:2]), machine.run(
            "journalctl", "--no-pager", "-u", WARN_SERVICE
        )
        assert until(lambda: _is_idle(machine), 20)
        assert [each.warnings for each in sessions] == [1, 1, 0]
        said = machine.run("journalctl", "--no-pager", "-u", WARN_SERVICE)
        assert "refused: This is not a warning." in said
        mode = machine.run("stat", "-c", "%a %U", WARN_PATH)
        assert mode == "600 root", "else anybody could have people warned"
    finally:
        for each in sessions:
            each.close()
