"""What the packages' scripts do on a host, run as they are, over files and programs of a test (EDGES I4)."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bascule.agent.install import unit_text
from bascule.interfaces.driver import UnitNeeds
from tests.support.packages import maintainer_scripts

_BASCULE = """#!/bin/sh
echo "bascule $*" >>{root}/done
read -r left <{root}/works || left=0
echo $((left - 1)) >{root}/works
[ "$left" -gt 0 ] || {{ echo "no library" >&2; exit 1; }}
mkdir -p {root}/etc/bascule
echo 22 >{root}/etc/bascule/closed.rules
echo "Kept closed, also after a reboot: 22/tcp."
"""
# An agent that dies after READY and comes again is there until it is stopped, and whenever it is started.
_SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>{root}/done
if [ "$1" = is-enabled ]; then
    if [ -e {root}/enabled ]; then echo enabled; exit 0; fi
    exit 1
fi
if [ -e {root}/loops ] || [ "$1" = restart ] || [ "$1" = try-restart ]; then {started}; fi
if [ "$1" = disable ]; then rm -f {root}/enabled; fi
if [ "$1" = enable ]; then touch {root}/enabled; fi
exit 0
"""
_DPKG_QUERY = """#!/bin/sh
for last; do :; done
case "$last" in
bascule-cli) printf 0.2 ;;
*) cat {root}/status ;;
esac
"""


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return maintainer_scripts()


@dataclass
class Host:
    """A booted host on which an agent is enabled, in a folder."""

    root: Path
    scripts: dict[str, str]

    def __post_init__(self) -> None:
        for folder in ("bin", "run/systemd/system", "etc", "usr/lib/bascule/bascule/agent"):
            (self.root / folder).mkdir(parents=True)
        for file in ("enabled", "usr/lib/bascule/bascule/agent/run.py", "done"):
            (self.root / file).touch()
        self.works(100)
        (self.root / "status").write_text("installed 0.2")
        text = unit_text(("bascule",), Path("/var/lib/bascule-agent"), UnitNeeds())
        (line,) = (each for each in text.splitlines() if each.startswith("ExecStartPost="))
        self.unit_is(shlex.join(shlex.split(line.removeprefix("ExecStartPost=+-"))))
        for name, text in (("bascule", _BASCULE), ("dpkg-query", _DPKG_QUERY)):
            self._program(name, text.format(root=self.root))
        self._program("apt-mark", f'#!/bin/sh\necho "apt-mark $*" >>{self.root}/done\n')
        for name in ("systemd-sysusers", "systemd-tmpfiles", "nft"):
            self._program(name, "#!/bin/sh\n")

    def unit_is(self, started: str) -> None:
        """What root runs when the agent says that it is ready."""
        self._program("systemctl", _SYSTEMCTL.format(root=self.root, started=self._here(started)))

    def works(self, times: int) -> None:
        """keep-closed works so often, and then no more."""
        (self.root / "works").write_text(f"{times}\n")

    def _program(self, name: str, text: str) -> None:
        file = self.root / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def _here(self, text: str) -> str:
        ours = ("/etc/bascule", "/etc/systemd", "/run/", "/usr/lib/bascule", "/var/lib/")
        for path in (*ours, "/usr/share/debconf"):
            text = text.replace(path, f"{self.root}{path}")
        return text.replace("/usr/bin/bascule", f"{self.root}/bin/bascule")

    def run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        script = self.root / "script"
        script.write_text(self._here(self.scripts[name]))
        path = f"{self.root}/bin:{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/sh", str(script), *words],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    def is_kept(self) -> bool:
        return (self.root / "etc/bascule/closed.rules").exists()

    def is_marked(self) -> bool:
        return (self.root / "run/bascule-keep").exists()

    def done(self) -> list[str]:
        return (self.root / "done").read_text().splitlines()


@pytest.fixture
def host(tmp_path: Path, scripts: dict[str, str]) -> Host:
    return Host(tmp_path, scripts)


REMOVALS = [("deb/bascule-agent.prerm", "remove"), ("rpm/bascule-agent.prerm", "0")]


@pytest.mark.parametrize(("name", "word"), REMOVALS)
@pytest.mark.parametrize("is_older", [False, True])
def test_an_agent_that_comes_again_and_again_does_not_undo_a_removal(
    host: Host, name: str, word: str, *, is_older: bool
) -> None:
    """Its unit deletes the rule file whenever it is ready; an older unit knows of no mark."""
    (host.root / "loops").touch()
    if is_older:
        host.unit_is(f"if [ -e {host.root}/enabled ]; then rm -f /etc/bascule/closed.rules; fi")
    done = host.run(name, word)
    assert done.returncode == 0, done.stderr
    assert host.is_kept()
    assert "systemctl disable --now --quiet bascule-agent.service" in host.done()
    assert "keep the package nftables installed" in done.stderr
    assert ("apt-mark manual nftables" in host.done()) == name.startswith("deb")


@pytest.mark.parametrize(("name", "word"), REMOVALS)
@pytest.mark.parametrize("times", [0, 1])
def test_a_removal_that_cannot_keep_ports_closed_fails_and_leaves_the_agent(
    host: Host, name: str, word: str, times: int
) -> None:
    host.works(times)
    done = host.run(name, word)
    assert done.returncode == 1
    assert "not removed" in done.stderr
    assert (host.root / "enabled").exists()
    assert not host.is_marked()


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("deb/bascule-cli.prerm", ("upgrade", "0.2")),
        ("deb/bascule-server.prerm", ("upgrade", "0.2")),
        ("deb/bascule-cli.prerm", ("deconfigure", "in-favour", "other", "1")),
        ("rpm/bascule-cli.preinst", ("2",)),
        ("rpm/bascule-server.preinst", ("2",)),
    ],
)
def test_whichever_package_is_unpacked_first_writes_the_rule_file(
    host: Host, first: str, words: tuple[str, ...]
) -> None:
    """Later scripts run over files of two versions, and may fail; what was written stays."""
    assert host.run(first, *words).returncode == 0
    assert host.is_kept()
    (host.root / "loops").touch()
    host.works(0)
    own = (
        ("rpm/bascule-agent.preinst", "2")
        if "rpm" in first
        else ("deb/bascule-agent.prerm", "upgrade")
    )
    done = host.run(*own)
    assert done.returncode == 0
    assert done.stderr == ""
    subprocess.run([host.root / "bin/systemctl", "start"], check=False)
    assert host.is_kept()


def test_an_upgrade_goes_on_where_nothing_can_be_written_and_says_so(host: Host) -> None:
    host.works(0)
    for name in ("deb/bascule-cli.prerm", "deb/bascule-agent.prerm"):
        done = host.run(name, "upgrade", "0.2")
        assert done.returncode == 0
        assert "no library" in done.stderr
        assert "may be open after a reboot" in done.stderr


@pytest.mark.parametrize(
    ("name", "word"),
    [("deb/bascule-agent.postinst", "configure"), ("rpm/bascule-agent.postinst", "2")],
)
def test_the_new_agent_deletes_the_rule_file_when_it_is_ready(
    host: Host, name: str, word: str
) -> None:
    host.run("deb/bascule-cli.prerm", "upgrade", "0.2")
    assert host.run(name, word).returncode == 0
    assert "systemctl restart bascule-agent.service" in host.done()
    assert not host.is_marked()
    assert not host.is_kept()


@pytest.mark.parametrize("package", ["bascule-cli", "bascule-server"])
@pytest.mark.parametrize(
    ("status", "is_over"),
    [("installed 0.2", True), ("installed 0.1", False), ("unpacked 0.2", False)],
)
def test_a_package_that_is_installed_again_alone_ends_it(
    host: Host, package: str, status: str, *, is_over: bool
) -> None:
    """Not while the agent's own package is still to be completed."""
    host.run(f"deb/{package}.prerm", "upgrade", "0.2")
    (host.root / "status").write_text(status)
    assert host.run(f"deb/{package}.postinst", "configure").returncode == 0
    assert host.is_marked() != is_over
    assert host.is_kept() != is_over


def test_a_host_without_an_agent_is_left_alone(host: Host) -> None:
    (host.root / "usr/lib/bascule/bascule/agent/run.py").unlink()
    for name in ("deb/bascule-cli.prerm", "deb/bascule-server.prerm"):
        assert host.run(name, "upgrade", "0.2").returncode == 0
    assert host.done() == []
    assert not host.is_marked()


@pytest.mark.parametrize(
    ("name", "word"), [("deb/bascule-cli.prerm", "remove"), ("rpm/bascule-cli.prerm", "0")]
)
def test_a_command_line_is_not_removed_by_force_where_ports_would_open(
    host: Host, name: str, word: str
) -> None:
    assert host.run(name, word).returncode == 0
    assert host.is_kept()
    host.works(0)
    assert host.run(name, word).returncode == 1


def test_a_server_that_was_stopped_on_purpose_is_not_started(host: Host) -> None:
    (host.root / "usr/lib/bascule/bascule/agent/run.py").unlink()
    assert host.run("deb/bascule-server.postinst", "configure").returncode == 0
    told = [line for line in host.done() if line.startswith("systemctl")]
    assert "systemctl try-restart bascule.service" in told
    assert not [line for line in told if line.split()[1] in ("start", "restart", "enable")]
