"""A machine that boots: systemd as the first process of namespaces of its own.

Its files are this machine's, or those of another root, with a layer of its own above them that outlives a reboot; its
network is one namespace with a wire to ``client``. Nothing that it does reaches outside.
Sources: unshare(1), systemd's container interface. Needs root and systemd.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.e2e.lab_world import until
from tests.netns.network import Space
from tests.support.own import mark

SYSTEMD = "/lib/systemd/systemd"
HOST, CLIENT = "10.79.0.1", "10.79.0.2"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Run as the first process of the new namespaces: put the layers together and become systemd.
# Quiet units of this machine that have no business there are masked by the layer.
_BOOT = """
set -e
layer=$1 root=$1/root lower=$2
mkdir -p "$root"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$layer/upper,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup" 2>/dev/null || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount --rbind /dev "$root/dev"
ip link set lo up
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=other {path} {systemd} --unit=multi-user.target --log-target=journal
""".replace("{path}", _PATH).replace("{systemd}", SYSTEMD)


def why_not(*needed: Path) -> str:
    """Why no machine can be booted here; empty when one can."""
    if os.geteuid() != 0:
        return "needs root"
    if not Path(SYSTEMD).exists() or shutil.which("unshare") is None:
        return "needs systemd and unshare"
    root = Path("/").stat().st_dev
    if any(path.exists() and path.stat().st_dev != root for path in needed):
        return "needs Bascule on the root file system"
    if any(path.is_relative_to("/tmp") for path in needed):
        return "needs Bascule outside /tmp, of which services have their own"
    return ""


class BootedMachine:
    """One machine; ``boot`` and ``power_off`` as often as one likes."""

    def __init__(self, folder: Path, lower: Path = Path("/")) -> None:
        self._lower = lower
        self._layer = folder / "layer"
        # An overlay cannot lie on an overlay; a file system in memory it can.
        self._layer.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(self._layer)], check=True)
        for part in ("upper/etc/systemd/system", "work"):
            (self._layer / part).mkdir(parents=True)
        self._cgroup = self._own_cgroup()
        self.client = Space(mark("boot"))
        self._unshared: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def _own_cgroup(self) -> Path:
        unified = Path("/sys/fs/cgroup/unified")
        top = unified if unified.is_dir() else Path("/sys/fs/cgroup")
        made = top / f"bascule-boot-{os.getpid()}-{time.monotonic_ns()}"
        made.mkdir()
        return made

    def mask(self, *units: str) -> None:
        for unit in units:
            (self._layer / "upper/etc/systemd/system" / unit).symlink_to("/dev/null")

    def write(self, path: str, text: str) -> None:
        """Put a file into the machine's own layer; only while it is off."""
        inside = self._layer / "upper" / path.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_text(text)

    def put(self, path: str, file: Path) -> None:
        """Copy a file into the machine's own layer; only while it is off."""
        inside = self._layer / "upper" / path.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, inside)

    def boot(self) -> None:
        """Switch on; returns when systemd answers and the wire is plugged in."""

        def join() -> None:
            (self._cgroup / "cgroup.procs").write_text("0")

        spaces = ("--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork")
        command = ["unshare", *spaces, "--kill-child", "bash", "-c", _BOOT, "boot"]
        self._unshared = subprocess.Popen(
            [*command, str(self._layer), str(self._lower)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=join,  # noqa: PLW1509  # reason: no thread of ours holds a lock here
        )
        assert until(self._is_systemd, 30), "it did not come up"
        self._plug_in()
        assert until(self._is_answering, 40), "systemd does not answer"

    def _is_answering(self) -> bool:
        said = self.run("systemctl", "is-system-running", check=False)
        return said.startswith(("running", "degraded", "starting"))

    def _is_systemd(self) -> bool:
        assert self._unshared is not None
        children = Path(f"/proc/{self._unshared.pid}/task/{self._unshared.pid}/children")
        found = children.read_text().split()
        if not found:
            return False
        self._pid = int(found[0])
        return Path(f"/proc/{self._pid}/comm").read_text().strip() == "systemd"

    def _plug_in(self) -> None:
        wire = ["ip", "link", "add", "eth0", "netns", self.client.name, "type", "veth"]
        subprocess.run([*wire, "peer", "name", "eth0", "netns", str(self._pid)], check=True)
        self.client.run("ip", "address", "add", f"{CLIENT}/24", "dev", "eth0")
        self.client.run("ip", "link", "set", "eth0", "up")
        net = ["nsenter", "-t", str(self._pid), "--net"]
        for words in (
            ("address", "add", f"{HOST}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            subprocess.run([*net, "ip", *words], check=True)

    def run(self, *command: str, check: bool = True, stdin: str = "", patience: float = 60) -> str:
        """Type a command on the machine as root, which ends within ``patience`` seconds; what it printed."""
        inside = [
            "nsenter",
            "-t",
            str(self._pid),
            "--all",
            "--wd=/",
            "env",
            "-i",
            _PATH,
            "HOME=/root",
        ]
        done = subprocess.run(
            [*inside, *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip() + (done.stderr.strip() if not check else "")

    def is_active(self, unit: str) -> bool:
        return self.run("systemctl", "is-active", unit, check=False) == "active"

    def entered_at(self, unit: str) -> int:
        """When the unit became active: microseconds of this boot."""
        return int(self.run("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", unit))

    def serve_echo(self, port: int) -> None:
        """Have something listen on a port, for probes to reach."""
        self.run("systemd-run", "--quiet", "/usr/bin/python3", "-m", "http.server", str(port))

    def power_off(self) -> None:
        """Cut the power: nothing gets to say good-bye."""
        if self._unshared is not None:
            self._unshared.send_signal(signal.SIGKILL)
            self._unshared.wait(10)
            assert until(lambda: not Path(f"/proc/{self._pid}").exists(), 10)
            self._unshared = None

    def close(self) -> None:
        self.power_off()
        self.client.close()
        subprocess.run(["umount", "-l", str(self._layer)], check=False)
        for folder in sorted(self._cgroup.rglob("*"), reverse=True):
            if folder.is_dir():
                folder.rmdir()
        self._cgroup.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def closed_throughout(machine: BootedMachine, port: int) -> Iterator[None]:
    """``client`` knocks from before the block until after it, and no knock is answered."""
    over, answered = threading.Event(), list[bool]()

    def knock() -> None:
        while not over.is_set():
            answered.append(machine.client.reaches(port, HOST, wait=0.1))

    def knocks(more: int) -> None:
        wanted = len(answered) + more
        assert until(lambda: len(answered) >= wanted, 30), "nobody knocks"

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        knocks(3)
        yield
        knocks(3)
    finally:
        over.set()
        knocking.join()
    assert not any(answered)
