"""Real ufw, firewalld, Docker's chains and proxies in a namespace of a Network's host.

Packages are unpacked beside the system, never installed, so that no service of theirs starts on
this machine: ``apt-get download`` and ``dpkg -x``, once a run. Whoever lacks one skips, and says so.
firewalld runs with a message bus of its own.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.netns.containers import ONE, Containers
from tests.netns.network import PATIENCE, Network, Space

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/><allow user="*"/></policy></busconfig>
"""
_LISTEN = """
import socket, sys, threading
def serve(made):
    while True:
        peer, _ = made.accept()
        peer.sendall(b"hello\\n")
        peer.close()
for each in sys.argv[1:]:
    address, _, port = each.rpartition(":")
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((address, int(port)))
    made.listen()
    threading.Thread(target=serve, args=(made,)).start()
"""


def need(*programs: str) -> None:
    """Skip where one is not on PATH."""
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} on PATH")


_roots: dict[tuple[str, ...], Path | None] = {}


def _unpack(packages: tuple[str, ...]) -> Path | None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="bascule-test-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fetched = subprocess.run(
        ["apt-get", "download", *packages],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    found = list(folder.glob("*.deb"))
    if fetched.returncode or len(found) != len(packages):
        return None
    for each in found:
        subprocess.run(["dpkg", "-x", each, folder / "root"], check=True)
    return folder / "root"


def unpacked(*packages: str) -> Path:
    """The root below which Debian's packages are unpacked; skips where they cannot be had."""
    if packages not in _roots:
        _roots[packages] = _unpack(packages)
    root = _roots[packages]
    if root is None:
        pytest.skip(f"needs Debian's {', '.join(packages)}, which could not be downloaded")
    return root


def program(root: Path, name: str) -> tuple[str, ...]:
    """How a program of unpacked packages is started."""
    libraries = ":".join(str(each) for each in (root / "usr/lib").glob("*-linux-gnu"))
    for folder in ("usr/bin", "usr/sbin"):
        if os.access(root / folder / name, os.X_OK):
            return ("env", f"LD_LIBRARY_PATH={libraries}", str(root / folder / name))
    raise AssertionError(f"{name} is not in that package")


class Programs:
    """Other programs on a Network's host. Those that keep running end with the network."""

    def __init__(self, network: Network, folder: Path) -> None:
        self._network = network
        self.host: Space = network.host
        self.folder = folder
        self.run_advice: Callable[[str], object] = self.shell

    def shell(self, command: str) -> str:
        return self.host.run("sh", "-ec", command)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        made = self.host.popen(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._network.keep(_Ended(made))
        return made

    def listen(self, *endpoints: str) -> subprocess.Popen[bytes]:
        """One process that listens on all of these (``0.0.0.0:22``, ``:::2222``)."""
        made = self.start(sys.executable, "-c", _LISTEN, *endpoints)
        self.wait_for(*(int(each.rpartition(":")[2]) for each in endpoints))
        return made

    def wait_for(self, *ports: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while not all(self._is_listening(port) for port in ports):
            assert time.monotonic() < deadline, f"nobody listens on {ports}"
            time.sleep(0.02)

    def _is_listening(self, port: int) -> bool:
        return bool(self.host.run("ss", "-Hltn", f"sport = :{port}").strip())

    # -- firewalls ----------------------------------------------------------------------

    def ufw(self, *commands: str) -> None:
        """Enable a ufw of its own folders, then run these commands of it."""
        need("iptables", "python3")
        root = self.folder / "ufw"
        if not root.exists():
            shutil.copytree(unpacked("ufw"), root, symlinks=True)
            for each in (root / "usr/share/ufw").iterdir():
                if each.is_file():
                    shutil.copy(each, root / "etc/ufw")
            (root / "lib").symlink_to("usr/lib")
            self._ufw("--force enable")
        for command in commands:
            self._ufw(command)
        self.run_advice = lambda advice: self._ufw(advice.removeprefix("ufw "))

    def _ufw(self, command: str) -> None:
        root = self.folder / "ufw"
        folders = f"--rootdir={root} --datadir={root}"
        self.shell(
            f"PYTHONPATH={root}/usr/lib/python3/dist-packages /usr/bin/python3 "
            f"{root}/usr/sbin/ufw {folders} {command}"
        )

    def firewalld(self, *commands: str) -> None:
        """Start firewalld, then run these options of firewall-cmd."""
        need("firewalld", "firewall-cmd", "dbus-daemon")
        folder = self.folder / "firewalld"
        shutil.copytree("/etc/firewalld", folder)
        bus = folder / "bus"
        (folder / "bus.conf").write_text(_BUS.format(path=bus))
        address = f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={bus}"
        self.start("dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile")
        _wait(bus.exists)
        self.start(
            "env", address, "firewalld", "--nofork", "--nopid", "--system-config", str(folder)
        )
        self.run_advice = lambda advice: self.shell(f"export {address}; {advice}")
        ask = ("env", address, "firewall-cmd", "--state")
        _wait(lambda: "running" in self.host.run(*ask, check=False).split("\n")[0].split())
        for command in commands:
            self.shell(f"{address} firewall-cmd {command}")

    def docker(self, *published: tuple[int, int]) -> Containers:
        """Containers with the rules that Debian's docker.io writes: (port, the container's own)."""
        made = Containers(self._network)
        for port, own in published:
            made.publish(port, ONE, own)
        return made


class _Ended:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 3 * PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "another program did not start"
        time.sleep(0.1)
