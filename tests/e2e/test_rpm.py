"""The .rpm packages on a booted machine: installed, upgraded, removed (EDGES I4).

All are the life of one machine, in the order of this file. BASCULE_TEST_ROOT names the folder with a root as
``test_packages`` has it, with rpm in it. What such a root lacks is a list of rpm's own of what is installed: the
packages' dependencies are not looked at.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.booted import CLIENT, closed_throughout
from tests.e2e.lab_world import until
from tests.e2e.packaged import AGENT, CLOSED, PORT, ROOT, RULES, Host, machine_with
from tests.support.packages import NEWER, OLDER, Built, build

pytestmark = [pytest.mark.root, pytest.mark.leak, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if not ROOT or shutil.which("rpm", path=f"{ROOT}/usr/bin") is None:
        pytest.skip("needs BASCULE_TEST_ROOT, a root with rpm")
    if shutil.which("gpg") is None:
        pytest.skip("needs gpg")
    built: Built = build(tmp_path_factory.mktemp("packages"))
    with machine_with(built.rpms, tmp_path_factory.mktemp("boot")) as found:
        yield found


def rpm(host: Host, *words: str, check: bool = True) -> str:
    """What it said on both streams."""
    return host.machine.run("sh", "-c", f"rpm {' '.join(words)} 2>&1", check=check, patience=400)


def files(version: str, *packages: str) -> list[str]:
    return ["--nodeps", *(f"/packages/{each}-{version}-*.rpm" for each in packages)]


def test_a_newcomer_installs_server_and_agent(host: Host) -> None:
    said = rpm(host, "--install", *files(OLDER, "bascule-cli", "bascule-agent", "bascule-server"))
    assert "systemctl enable --now bascule" in said
    host.serve()
    host.enrol()
    host.bascule("policy", "set", "web-1", "--port", str(PORT))
    assert until(lambda: not host.reaches(), 20)
    host.bascule("request", "web-1", "--port", str(PORT), "--from", CLIENT, "--for", "15s")
    assert host.reaches()
    assert until(lambda: not host.reaches(), 40)
    for path in ("man/man1/bascule-agent.1.gz", "bash-completion/completions/bascule"):
        assert host.is_there(f"/usr/share/{path}"), path
    changed = ("rpm", "--verify", "--nodeps", "bascule-cli", "bascule-agent")
    assert host.machine.run(*changed, check=False) == "", "every file is as the package has it"


def test_an_upgrade_closes_throughout(host: Host) -> None:
    before = host.machine.run("systemctl", "show", "-P", "MainPID", AGENT)
    packages = ("bascule-cli", "bascule-agent", "bascule-server")
    with closed_throughout(host.machine, PORT):
        rpm(host, "--upgrade", *files(NEWER, *packages))
        assert until(host.is_connected, 30)
    assert host.machine.run("systemctl", "show", "-P", "MainPID", AGENT) != before
    assert not host.is_there(RULES), "the agent's rules are in place"
    assert not host.is_there("/run/bascule-keep")
    assert NEWER in rpm(host, "--query", "bascule-agent")
    assert host.machine.is_active("bascule.service")


def test_an_older_package_over_a_newer_one_is_refused(host: Host) -> None:
    said = rpm(host, "--upgrade", *files(OLDER, "bascule-cli", "bascule-agent"), check=False)
    assert "newer" in said
    assert NEWER in rpm(host, "--query", "bascule-agent")
    assert not host.reaches()


def test_a_command_line_that_is_installed_again_leaves_nothing_behind(host: Host) -> None:
    """Else the next boot would close what was released since."""
    with closed_throughout(host.machine, PORT):
        rpm(host, "--reinstall", *files(NEWER, "bascule-cli"))
        assert until(host.is_connected, 30)
    assert not host.is_there(RULES)
    assert not host.is_there("/run/bascule-keep")


def test_what_is_removed_stays_closed_over_a_reboot(host: Host) -> None:
    with closed_throughout(host.machine, PORT):
        said = rpm(host, "--erase", "bascule-agent")
    assert host.is_there(RULES)
    assert "Kept closed, also after a reboot:" in said
    host.boot()
    assert host.machine.is_active(CLOSED)
    assert not host.is_there(f"/usr/lib/systemd/system/{AGENT}")
    assert not host.reaches()


def test_an_agent_that_comes_again_takes_over_what_is_closed(host: Host) -> None:
    with closed_throughout(host.machine, PORT):
        rpm(host, "--install", *files(NEWER, "bascule-agent"))
        host.enrol("--replace")
    assert not host.is_there(RULES)
    assert str(PORT) in host.bascule("agent", "status")


def test_what_root_uninstalls_is_open_and_a_removal_after_it_closes_nothing(host: Host) -> None:
    host.bascule("agent", "uninstall", "--yes")
    assert host.reaches()
    rpm(host, "--erase", "bascule-agent", "bascule-server", "bascule-cli")
    assert host.reaches()
    host.boot()
    assert host.reaches()
    assert not host.is_there("/usr/lib/bascule")
