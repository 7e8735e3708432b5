"""A lab of the tests' own: another name, another port, a state folder that goes afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bascule.lab.processes import identify
from bascule.lab.supervisor import START_SECONDS
from bascule.lab.topology import SERVER_PORT
from tests.support.own import free_port

BASCULE = (sys.executable, "-m", "bascule.bootstrap")
SILENT = 255  # ssh's exit code when it does not get in
# CA HOST...: which of these servers do not say that they are ready.
NOT_READY = f"""
import http.client, ssl, sys
trust = ssl.create_default_context(cafile=sys.argv[1])
for host in sys.argv[2:]:
    server = http.client.HTTPSConnection(host, {SERVER_PORT}, timeout=10, context=trust)
    try:
        server.request("GET", "/readyz")
        if server.getresponse().status == 200:
            continue
    except (OSError, http.client.HTTPException):
        pass
    print(host)
"""


def until(is_so: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait for something to become true; tell whether it did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.05)
    return bool(is_so())


@dataclass
class LabWorld:
    """The commands of one lab, run as a user runs them."""

    name: str
    state_home: Path
    port: int = field(default_factory=free_port)
    _hosts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.state_home / "bascule" / "lab" / self.name

    @property
    def environment(self) -> Mapping[str, str]:
        # BASCULE_CONFIG: something of the outside that must not get in
        outer = {"XDG_STATE_HOME": str(self.state_home), "BASCULE_CONFIG": "/nonexistent"}
        return os.environ | outer

    def argv(self, verb: str, *rest: str) -> list[str]:
        return [*BASCULE, "lab", verb, "--name", self.name, *rest]

    def run(self, verb: str, *rest: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(verb, *rest),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        """Ends when the lab's own time to start is over, at the latest: the lab then says why."""
        patience = START_SECONDS + 20
        return self.run("up", "--detach", "--port", str(self.port), timeout=patience)

    def must_come_up(self) -> None:
        """``up``; a failure tells what each program of the lab logged last, and how busy it was."""
        done = self.up()
        if done.returncode == 0:
            return
        logs = sorted((self.folder / "logs").glob("*.log"))
        told = [f"-- {each.name}\n{each.read_text(errors='replace')[-1500:]}" for each in logs]
        load = f"load of this machine: {os.getloadavg()}"
        raise AssertionError("\n".join((done.stdout, done.stderr, load, *told)))

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.run("down")

    def info(self) -> dict[str, Any]:
        done = self.run("info", "-o", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def on(self, host: str, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command on a host of the lab."""
        return self.run("exec", host, "--", *command, timeout=timeout)

    def said(self, host: str, *command: str) -> str:
        """What a command that must succeed prints."""
        done = self.on(host, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def reaches(self, host: str, machine: str = "web-1", *options: str) -> bool:
        """Does a connection get through to ssh? Whether the key is taken is another matter."""
        address = next(each for each in self.hosts() if each["name"] == machine)["addresses"]
        target = address[1] if "-6" in options else address[0]
        probe = (
            "import socket,sys\n"
            "try:\n"
            "    s = socket.create_connection((sys.argv[1], 22), 1.2)\n"
            "    s.settimeout(20)\n"  # sshd's first word may take longer than the packets
            "    print(s.recv(4).decode())\n"
            "except OSError as error: print(error)"
        )
        return self.said(host, sys.executable, "-c", probe, target) == "SSH-"

    def must_serve(self, *servers: str, within: float = 60) -> None:
        """Wait until each of these replicas says that it is ready."""
        ask = ("client", sys.executable, "-c", NOT_READY, self.info()["ca_file"], *servers)
        assert until(lambda: not self.said(*ask), within), self.said(*ask)

    def hosts(self) -> list[dict[str, Any]]:
        """Names, addresses and namespaces, which do not change while the lab is up."""
        if not self._hosts:
            self._hosts = self.info()["hosts"]
        return self._hosts

    def kill(self, pid: int) -> None:
        """kill -9, and wait until it is no more than a zombie."""
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: identify(pid) is None)
