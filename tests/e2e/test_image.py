"""The container image runs on a root that nobody can write, as an account without rights.

BASCULE_TEST_IMAGE names the layout that ``make image`` wrote. There is no container engine: namespaces, a root that is
mounted read-only, and the image's own account, command and health check.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab_world import until
from tests.support.image import Image

pytestmark = [pytest.mark.root, pytest.mark.leak, pytest.mark.long, pytest.mark.timeout(300)]

LAYOUT = os.environ.get("BASCULE_TEST_IMAGE", "")
# Put the root together in namespaces of its own, and wait there for commands by nsenter.
_START = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t tmpfs -o mode=700,uid=$2,gid=$2 tmpfs "$1/var/lib/bascule"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
mkdir -p "$1/dev" && mount --rbind /dev "$1/dev"
mount -o remount,bind,ro "$1"
ip link set lo up
cd "$1" && pivot_root . mnt && umount -l /mnt
exec sleep infinity
"""


class Container:
    def __init__(self, image: Image, root: Path) -> None:
        self._config = image.config["config"]
        subprocess.run(["tar", "-xzf", str(image.layer), "-C", str(root)], check=True)
        spaces = ["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        self.user = self._config["User"].partition(":")[0]
        self._holder = subprocess.Popen(
            ["unshare", *spaces, "sh", "-c", _START, "start", str(root), self.user]
        )
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        assert until(lambda: bool(children.read_text().split()), 10)
        self._pid = children.read_text().split()[0]
        assert until(lambda: Path(f"/proc/{self._pid}/comm").read_text() == "sleep\n", 10)

    def command(self, *words: str) -> list[str]:
        """As the image's account, without capabilities."""
        inside = ["nsenter", "-t", self._pid, "--mount", "--net", "--pid", "--root", "--wd"]
        account = ["--setuid", self.user, "--setgid", self.user]
        return [*inside, *account, "/usr/bin/env", "-i", *self._config["Env"], *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, timeout=60
        )

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*self._config["Entrypoint"], *self._config["Cmd"]))

    def is_healthy(self) -> bool:
        return self.run(*self._config["Healthcheck"]["Test"][1:]).returncode == 0

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait(10)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    if not LAYOUT:
        pytest.skip("needs BASCULE_TEST_IMAGE, the folder that make image wrote")
    (tmp_path / "root").mkdir()
    made = Container(Image(Path(LAYOUT)), tmp_path / "root")
    yield made
    made.close()


def test_it_serves_on_a_read_only_root_without_rights(container: Container) -> None:
    assert not container.is_healthy(), "nothing serves yet"
    for path in ("/etc/x", "/usr/lib/bascule/x", "/x"):
        assert "Read-only file system" in container.run("touch", path).stderr, path
    assert container.run("id", "-u").stdout.strip() == container.user
    serving = container.start()
    try:
        assert until(container.is_healthy, 60)
        listed = container.run("ls", "-l", "/var/lib/bascule").stdout
        assert "ca.pem" in listed
        assert "set-up-link" in listed
    finally:
        inside = container.run("python3", "-c", _STOP)
    assert inside.returncode == 0, inside.stderr
    assert serving.wait(30) == 0
    assert not container.is_healthy()


# procps is not in the image.
_STOP = f"""
import os, pathlib
for each in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if b"/usr/bin/bascule\\0serve" in each.read_bytes():
        os.kill(int(each.parent.name), {int(signal.SIGTERM)})
"""
