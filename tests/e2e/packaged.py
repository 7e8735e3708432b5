"""A booted machine with packages on it, and its owner who types there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.booted import HOST, BootedMachine, why_not
from tests.e2e.lab_world import until

AGENT, CLOSED = "bascule-agent.service", "bascule-closed.service"
RULES = "/etc/bascule/closed.rules"
SERVER = "bascule.test"
PORT = 2323  # of something that listens
ROOT = os.environ.get("BASCULE_TEST_ROOT", "")
UNNEEDED = (
    *("ssh.service", "ssh.socket", "getty@tty1.service", "systemd-networkd.service"),
    *("firewalld.service", "ufw.service"),  # they would close the test's port at the boot
)


class Host:
    """A machine with packages, and its owner who types at it."""

    def __init__(self, machine: BootedMachine) -> None:
        self.machine = machine

    def bascule(self, *words: str, check: bool = True, stdin: str = "") -> str:
        return self.machine.run("bascule", *words, check=check, stdin=stdin, patience=200)

    def dpkg(self, *words: str, check: bool = True) -> str:
        """As apt calls it when nobody is there; what it said on both streams."""
        line = f"DEBIAN_FRONTEND=noninteractive dpkg {' '.join(words)} 2>&1"
        return self.machine.run("sh", "-c", line, check=check, patience=400)

    def install(self, version: str, *packages: str) -> str:
        files = (f"/packages/{each}_{version}_*.deb" for each in packages)
        return self.dpkg("--install", *files)

    def serve(self) -> None:
        """The server that the package installed, and root signed in at it."""
        options = f"BASCULE_SERVE='--name {SERVER}'"
        self.machine.run("sh", "-c", f'echo "{options}" >/etc/default/bascule-server')
        self.machine.run("systemctl", "enable", "--now", "bascule")
        assert self.machine.run("stat", "-c", "%U %a", "/var/lib/bascule") == "bascule 700"
        key = ("--admin-file", "/var/lib/bascule/admin.json")
        assert until(lambda: "igned in" in self.bascule("login", *key, check=False), 40)
        self.bascule("machine", "add", "web-1", "--address", HOST)
        assert self.reaches(), "nothing is closed before somebody enrols it"

    def line(self, name: str) -> tuple[str, str]:
        """What is pasted on a host without the agent, and the token."""
        assert until(lambda: name in self.bascule("machine", "list", check=False), 60)
        made = json.loads(self.bascule("machine", "enrol", name, "-o", "json"))
        return made["bareHostCommand"], made["token"]

    def paste(self, line: str, token: str) -> str:
        """What was said on both streams; the token is in the environment."""
        inside = "BASCULE_ENROLMENT_TOKEN=$(cat) && export BASCULE_ENROLMENT_TOKEN"
        return self.machine.run(
            "sh", "-c", f"{inside} && {{ {line} ; }} 2>&1", stdin=token, patience=400
        )

    def enrol(self, *words: str) -> None:
        # A server that was just started, or whose host was, answers a little later.
        assert until(lambda: "web-1" in self.bascule("machine", "list", check=False), 60)
        made = self.bascule("machine", "enrol", "web-1", *words, "-o", "json")
        self.bascule(
            *("agent", "install", "--server", "https://127.0.0.1:8443", "--token-file", "-"),
            stdin=made.partition('"token": "')[2].partition('"')[0],
        )
        assert until(self.is_connected, 30)

    def is_connected(self) -> bool:
        return "server:  connected" in self.bascule("agent", "status", check=False)

    def reaches(self) -> bool:
        return self.machine.client.reaches(PORT, HOST)

    def boot(self) -> None:
        self.machine.power_off()
        self.machine.boot()
        self.machine.serve_echo(PORT)
        assert until(lambda: "LISTEN" in self.machine.run("ss", "-tln", f"sport = {PORT}"), 20)

    def is_there(self, path: str) -> bool:
        return self.machine.run("sh", "-c", f"test -e {path} && echo yes || true") == "yes"

    def is_owned(self) -> bool:
        return "owner" in self.machine.run("nft", "list", "table", "inet", "bascule")


@contextmanager
def machine_with(packages: Iterable[Path], folder: Path) -> Iterator[Host]:
    """A machine of BASCULE_TEST_ROOT with these files below /packages; the test is skipped without one."""
    if not ROOT:
        pytest.skip("needs BASCULE_TEST_ROOT, the root of a Debian")
    if why := why_not():
        pytest.skip(why)
    with BootedMachine(folder, Path(ROOT)) as machine:
        machine.mask(*UNNEEDED)
        machine.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.0.1 {SERVER}\n")
        machine.write("/etc/nftables.conf", "#!/usr/sbin/nft -f\nflush ruleset\n")
        for package in packages:
            machine.put(f"/packages/{package.name}", package)
        machine.boot()
        machine.run("systemctl", "enable", "nftables.service")
        machine.serve_echo(PORT)
        assert until(lambda: machine.client.reaches(PORT, HOST), 20)
        yield Host(machine)
