"""A real sshd in a namespace, people in it from others, and the service that warns them."""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.netns.network import HOST, Space

SSHD = "/usr/sbin/sshd"
SERVICE = (sys.executable, "-m", "bascule.bootstrap", "agent", "warn")
# Hands stdin over as the service manager does, and becomes the program.
_HAND_OVER = """
import os, sys
os.dup2(0, 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execvp(sys.argv[1], sys.argv[1:])
"""
_CONFIG = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PermitRootLogin yes
UsePAM no
PidFile none
PrintMotd no
PrintLastLog no
"""


def why_no_ssh() -> str:
    missing = [each for each in (SSHD, "ssh", "ssh-keygen") if shutil.which(each) is None]
    return f"needs {', '.join(missing)} (Debian package openssh-server)" if missing else ""


def make_keys(folder: Path) -> None:
    """``host`` and ``user``."""
    for name in ("host", "user"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)


def config_text(folder: Path, ports: Sequence[int]) -> str:
    """Of an sshd that finds the keys in ``folder``."""
    return "".join(f"Port {port}\n" for port in ports) + _CONFIG.format(folder=folder)


class Sshd:
    """Listens on ports of both families; root gets in by a key."""

    def __init__(
        self, space: Space, folder: Path, ports: Sequence[int], prefix: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd(8), FILES
        make_keys(folder)
        config = folder / "config"
        config.write_text(config_text(folder, ports))
        words = (*prefix, SSHD, "-D", "-f", str(config), "-E", str(folder / "log"))
        self._process = space.popen(*words)
        self._sessions: list[Session] = []

    def session(
        self,
        space: Space,
        port: int = 22,
        address: str = HOST,
        command: str = "echo 'here'; exec cat",
    ) -> Session:
        """Somebody's terminal; ``command`` says ``here`` when it is ready."""
        made = Session(space, self.folder, port, address, command)
        self._sessions.append(made)
        return made

    def close(self) -> None:
        for each in self._sessions:
            each.close()
        self._process.terminate()
        self._process.wait(10)


class Session:
    def __init__(
        self,
        space: Space,
        folder: Path,
        port: int,
        address: str,
        command: str,
        user: str = "root",
    ) -> None:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        self._ssh = space.popen(
            *("ssh", "-tt", "-F", "/dev/null", "-i", str(folder / "user"), "-p", str(port)),
            *(word for each in (*options, "ConnectionAttempts=20") for word in ("-o", each)),
            f"{user}@{address}",
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._seen = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self.reads(b"here", 20), self._seen

    def _read(self) -> None:
        assert self._ssh.stdout is not None
        while data := self._ssh.stdout.read1(4096):  # type: ignore[attr-defined]  # reason: it is buffered
            self._seen += data

    def types(self, data: bytes) -> None:
        assert self._ssh.stdin is not None
        self._ssh.stdin.write(data)
        self._ssh.stdin.flush()

    def reads(self, text: bytes, seconds: float = 5.0) -> bool:
        deadline = time.monotonic() + seconds
        while text not in self._seen and time.monotonic() < deadline:
            time.sleep(0.02)
        return text in self._seen

    @property
    def pid(self) -> int:
        """Of the client: ``ip netns exec`` becomes the program."""
        return self._ssh.pid

    @property
    def warnings(self) -> int:
        return self._seen.count(b"Bascule: access to port ")

    @property
    def seen(self) -> bytes:
        return self._seen

    def close(self) -> None:
        self._ssh.terminate()
        self._ssh.wait(10)
        self._reader.join(10)
        for pipe in (self._ssh.stdin, self._ssh.stdout):
            if pipe is not None:
                pipe.close()


def start_service(space: Space, listener: socket.socket) -> subprocess.Popen[bytes]:
    """As systemd starts it when a datagram came."""
    launch = (sys.executable, "-c", _HAND_OVER, *SERVICE)
    return space.popen(*launch, stdin=listener.fileno(), stderr=subprocess.PIPE)


class Activated:
    """The socket of the service, which is started for each datagram that comes."""

    def __init__(self, space: Space, path: Path) -> None:
        self._space = space
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(str(path))
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.is_set():
            if select.select([self._listener], [], [], 0.1)[0]:
                start_service(self._space, self._listener).communicate(timeout=30)

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        self._listener.close()
