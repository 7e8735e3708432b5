"""The pasted line between a host and its server, with somebody in between (EDGES I3).

The line is run as it is printed, by a real apt-helper, in a mount namespace with a /run of its own; ``apt-get``
is a stub that notes what it was to install. Needs root and a Debian.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.api.packages import SCRIPT_PATH, Packages, read_packages
from tests.support.repository import BOTH, write_repository
from tests.unit.client.test_connection import Site

pytestmark = [pytest.mark.root]

PIN = "ab" * 32
FILES = [f"pool/main/{name}_{version}_all.deb" for name, version in BOTH]
_APT_GET = """\
#!/bin/sh
echo "$@" >>"{noted}"
for file; do case $file in *.deb) cat "$file" >>"{noted}" ;; esac; done
exit 1
"""


class Host:
    """Pastes lines; ``noted`` is what apt was to do, ``site`` whoever answers at the server's address."""

    def __init__(self, folder: Path) -> None:
        self.packages: Packages = read_packages(write_repository(folder / "apt"))
        (folder / "site").mkdir()
        (folder / "bin").mkdir()
        self.site = Site(folder / "site")
        self._folder, self._noted = folder, folder / "noted"
        stub = folder / "bin/apt-get"
        stub.write_text(_APT_GET.format(noted=self._noted))
        stub.chmod(0o755)
        self.site.answers[SCRIPT_PATH] = (200, self.packages.script.decode())
        for name in FILES:
            self.site.answers[f"/packages/{name}"] = (200, (folder / "apt" / name).read_text())

    def paste(self) -> subprocess.CompletedProcess[str]:
        line = self.packages.line(self.site.url, PIN)
        inside = f'mount -t tmpfs tmpfs /run && export PATH="{self._folder}/bin:$PATH" && {line}'
        command = ["unshare", "--mount", "sh", "-c", inside]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def noted(self) -> str:
        return self._noted.read_text() if self._noted.exists() else ""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    if not Path("/usr/lib/apt/apt-helper").exists():
        pytest.skip("needs apt-helper, of a Debian's apt")
    made = Host(tmp_path)
    yield made
    made.site.close()


def test_what_the_server_listed_is_installed(host: Host) -> None:
    """The server's certificate is of no authority that this host knows."""
    done = host.paste()
    assert "install" in host.noted(), done.stderr
    for name, version in BOTH:
        assert f"{name} {version}" in host.noted()
    assert "apt could not install it" in done.stderr, "the stub fails: no agent is installed here"
    assert done.returncode == 1


@pytest.mark.parametrize(
    "script",
    ["echo owned", "", "true", "#!/bin/sh\n{ id; }\n"],
    ids=["other", "empty", "true", "long"],
)
def test_another_script_is_not_run(host: Host, script: str) -> None:
    """The line trusts no certificate at all, so that one which the whole world trusts is of no use either."""
    host.site.answers[SCRIPT_PATH] = (200, script)
    done = host.paste()
    assert done.returncode != 0
    assert "owned" not in done.stdout
    assert "uid=" not in done.stdout
    assert host.noted() == ""
    assert not [each for each in host.site.seen if each.startswith("/packages")]


def test_a_script_that_is_edited_or_cut_is_not_run(host: Host) -> None:
    whole = host.packages.script.decode()
    for edited in (
        whole[:-1],
        whole + "\n",
        whole.replace("set -eu", "set +eu"),
        whole[: len(whole) // 2],
    ):
        host.site.answers[SCRIPT_PATH] = (200, edited)
        assert host.paste().returncode != 0
    assert host.noted() == ""
    assert not [each for each in host.site.seen if each.startswith("/packages")]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("status", [200, 404])
def test_another_package_is_not_installed(host: Host, name: str, status: int) -> None:
    host.site.answers[f"/packages/{name}"] = (status, "bascule-evil 1.2")
    done = host.paste()
    assert done.returncode == 1
    assert "Nothing was installed" in done.stderr
    assert host.noted() == ""
