"""The packages on a booted machine: installed, upgraded, interrupted, removed, purged (EDGES I4).

All are the life of one machine, in the order of this file. BASCULE_TEST_ROOT names the folder with the root
of a Debian, made by mmdebstrap with systemd, systemd-sysv, dbus, python3-cryptography, nftables, iproute2 and
debconf in it; without it only what needs no machine is run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.booted import CLIENT, closed_throughout
from tests.e2e.lab_world import until
from tests.e2e.packaged import AGENT, CLOSED, PORT, RULES, SERVER, Host, machine_with
from tests.support.packages import NEWER, OLDER, Built, build, make
from tests.support.packages import ROOT as REPOSITORY

pytestmark = [pytest.mark.root, pytest.mark.leak, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    for program in ("gpg", "dpkg-deb", "apt-get"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    return build(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def host(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with machine_with(built.debs, tmp_path_factory.mktemp("boot")) as found:
        yield found


def test_a_newcomer_installs_server_and_agent(host: Host) -> None:
    """The agent by the line that the server prints, from its own packages, by the server's host name (EDGES I3)."""
    said = host.install(OLDER, "bascule-cli", "bascule-server")
    assert "systemctl enable --now bascule" in said
    host.serve()
    line, token = host.line("web-1")
    said = host.paste(line, token)
    assert f"Enrolled with https://{SERVER}:8443" in said, said
    assert "connected to its server" in said
    assert until(host.is_connected, 30)
    before = host.machine.run("systemctl", "show", "-P", "MainPID", AGENT)
    assert "Nothing was changed" in host.paste(line, token)
    assert host.machine.run("systemctl", "show", "-P", "MainPID", AGENT) == before
    assert not host.is_there(f"/etc/systemd/system/{AGENT}"), "the package's unit is enough"
    host.bascule("policy", "set", "web-1", "--port", str(PORT))
    assert until(lambda: not host.reaches(), 20)
    host.bascule("request", "web-1", "--port", str(PORT), "--from", CLIENT, "--for", "15s")
    assert host.reaches()
    assert until(lambda: not host.reaches(), 40)


def test_the_unit_of_the_docs_makes_a_backup(host: Host) -> None:
    """As the server's account, with root's options in it (docs/backups.md)."""
    text = (REPOSITORY / "docs/backups.md").read_text()
    (unit,) = [
        each for each in re.findall(r"```ini\n(.*?)```", text, re.DOTALL) if "backup" in each
    ]
    host.machine.write("/etc/systemd/system/bascule-backup.service", unit)
    host.machine.run("install", "-d", "-o", "bascule", "-m", "700", "/var/backups/bascule")
    key = ("bascule", "admin", "recovery-key", "--data", "/var/lib/bascule")
    host.machine.run("runuser", "-u", "bascule", "--", *key)
    # systemd does so on a host; in namespaces it does not, and the unit would not see its credential.
    host.machine.run("mount", "--make-rshared", "/")
    host.machine.run("systemctl", "daemon-reload")
    host.machine.run("systemctl", "start", "bascule-backup", check=False)
    said = host.machine.run("journalctl", "--no-pager", "-u", "bascule-backup")
    result = host.machine.run("systemctl", "show", "-P", "Result", "bascule-backup")
    assert result == "success", said
    (file,) = host.machine.run("find", "/var/backups/bascule", "-type", "f").splitlines()
    assert host.machine.run("stat", "-c", "%U %a", file) == "bascule 600"
    assert f"Made {file}" in said


def test_a_server_that_came_without_its_unit_gets_one(host: Host) -> None:
    """As by pip: the package's unit is put away meanwhile. systemd runs what was written."""
    packaged, own = "/usr/lib/systemd/system/bascule.service", "/etc/systemd/system/bascule.service"
    host.machine.run("sh", "-c", f"rm -f {own}; mv {packaged} /root/; systemctl daemon-reload")
    try:
        said = host.bascule("admin", "install-server")
        assert f"Wrote {own}" in said
        assert "The account bascule is there." in said
        host.machine.run("systemctl", "restart", "bascule")
        assert host.machine.is_active("bascule.service")
        assert own in host.machine.run("systemctl", "show", "-P", "FragmentPath", "bascule")
        host.machine.run("sed", "-i", "s/^RestartSec=5/RestartSec=6/", own)
        assert "was written or edited" in host.bascule("admin", "install-server", check=False)
    finally:
        away = f"rm -f {own}; mv /root/bascule.service {packaged}; systemctl daemon-reload"
        host.machine.run("sh", "-c", f"{away}; systemctl restart bascule")
    assert until(host.is_connected, 60)


def test_an_upgrade_closes_throughout_and_keeps_who_is_in(host: Host) -> None:
    """Also while another tool flushes what it may, where the kernel lets a table be owned."""
    machine = host.machine
    before = machine.run("systemctl", "show", "-P", "MainPID", AGENT)
    with closed_throughout(host.machine, PORT):
        if host.is_owned():
            loop = "while :; do nft flush ruleset; done"
            machine.run("systemd-run", "--quiet", "--unit=flusher", "/bin/sh", "-c", loop)
        host.install(NEWER, "bascule-cli", "bascule-agent", "bascule-server")
        machine.run("systemctl", "stop", "flusher", check=False)
        assert until(host.is_connected, 30)
    assert machine.run("systemctl", "show", "-P", "MainPID", AGENT) != before
    assert not host.is_there(RULES), "the agent's rules are in place"
    assert NEWER in machine.run("dpkg-query", "-W", "bascule-agent")


def test_an_upgrade_that_is_cut_off_leaves_no_port_open_after_the_boot(host: Host) -> None:
    """Half of the files are new and the agent cannot start: nft alone closes, before the network."""
    host.dpkg("--force-downgrade", "--unpack", f"/packages/bascule-cli_{OLDER}_*.deb")
    assert host.is_there(RULES), "written while all files were of one version"
    host.dpkg("--force-downgrade", "--unpack", f"/packages/bascule-agent_{OLDER}_*.deb")
    host.machine.run("rm", "/usr/lib/bascule/bascule/errors.py")
    host.boot()
    assert not host.machine.is_active(AGENT)
    assert host.machine.is_active(CLOSED)
    assert until(lambda: host.machine.is_active("network-pre.target"), 30)
    assert host.machine.entered_at(CLOSED) < host.machine.entered_at("network-pre.target")
    assert not host.reaches()
    with closed_throughout(host.machine, PORT):
        host.install(NEWER, "bascule-cli", "bascule-agent")
        assert until(host.is_connected, 40)
    assert not host.is_there(RULES)


def test_a_command_line_that_is_installed_again_leaves_nothing_behind(host: Host) -> None:
    """Else the next boot would close what was released since."""
    with closed_throughout(host.machine, PORT):
        host.install(NEWER, "bascule-cli")
        assert until(host.is_connected, 30)
    assert not host.is_there(RULES)
    assert not host.is_there("/run/bascule-keep")


def test_what_is_removed_stays_closed_over_a_reboot(host: Host) -> None:
    """Also when the agent dies and comes again, over and over, while it is removed."""
    machine = host.machine
    folder = f"/run/systemd/system/{AGENT}.d"
    drop_in = f"printf '[Service]\\nRestartSec=50ms\\n' > {folder}/quickly.conf"
    machine.run("sh", "-c", f"mkdir -p {folder} && {drop_in} && systemctl daemon-reload")
    loop = "while :; do systemctl kill -s KILL bascule-agent; sleep 0.3; done"
    machine.run("apt-mark", "auto", "nftables")
    machine.run("systemd-run", "--quiet", "--unit=killer", "/bin/sh", "-c", loop)
    with closed_throughout(host.machine, PORT):
        said = host.dpkg("--remove", "bascule-agent")
    machine.run("systemctl", "stop", "killer", check=False)
    assert host.is_there(RULES)
    assert machine.run("apt-mark", "showmanual", "nftables") == "nftables", "autoremove keeps it"
    assert "Kept closed, also after a reboot:" in said
    assert "nft delete table inet bascule" in said
    assert not host.is_owned()
    host.boot()
    assert not host.is_there(f"/usr/lib/systemd/system/{AGENT}")
    assert not host.reaches()


def test_a_purge_with_nobody_there_keeps_and_says_so(host: Host) -> None:
    """Also where somebody has answered beforehand: only a question that is shown counts."""
    yes = "echo bascule-agent bascule-agent/open-ports boolean true | debconf-set-selections"
    host.machine.run("sh", "-c", yes)
    with closed_throughout(host.machine, PORT):
        said = host.dpkg("--purge", "bascule-agent")
    assert "ports stay closed" in said
    assert host.is_there(RULES)
    assert not host.is_there("/var/lib/bascule-agent")


def test_an_agent_that_comes_again_takes_over_what_is_closed(host: Host) -> None:
    with closed_throughout(host.machine, PORT):
        host.install(NEWER, "bascule-agent")
        host.enrol("--replace")
    assert not host.is_there(RULES)
    assert str(PORT) in host.bascule("agent", "status")


def purge(host: Host, answer: str) -> str:
    """A person purges at a terminal and types the answer."""
    command = "DEBIAN_FRONTEND=teletype dpkg --purge bascule-agent"
    return host.machine.run("script", "-qec", command, "/dev/null", stdin=f"{answer}\n")


def test_a_no_keeps(host: Host) -> None:
    with closed_throughout(host.machine, PORT):
        said = purge(host, "no")
    assert "ports stay closed" in said
    host.install(NEWER, "bascule-agent")
    host.enrol("--replace")


def test_a_yes_opens_and_nothing_of_it_comes_back(host: Host) -> None:
    said = purge(host, "yes")
    assert "are open" in said
    assert host.reaches()
    host.boot()
    assert host.reaches()
    for path in (RULES, f"/etc/systemd/system/{CLOSED}", "/var/lib/bascule-agent"):
        assert not host.is_there(path)


def test_what_root_uninstalls_is_open_and_a_removal_after_it_closes_nothing(host: Host) -> None:
    host.install(NEWER, "bascule-agent")
    host.enrol("--replace")
    assert until(lambda: not host.reaches(), 20)
    said = host.bascule("agent", "uninstall", "--yes")
    assert AGENT in said
    assert host.reaches()
    said = host.dpkg("--purge", "bascule-agent", "bascule-server", "bascule-cli")
    assert "No port is kept closed here." in said
    assert "the record and its keys are kept" in said
    assert host.reaches()
    assert not host.is_there("/usr/lib/bascule")


def test_apt_takes_what_is_signed_and_nothing_else(built: Built, tmp_path: Path) -> None:
    """A real apt with lists of its own, against the repository as it is published."""

    def update(keyring: Path) -> subprocess.CompletedProcess[str]:
        source = tmp_path / "bascule.list"
        source.write_text(f"deb [signed-by={keyring}] file:{built.repository} stable main\n")
        lists = tmp_path / "lists"
        shutil.rmtree(lists, ignore_errors=True)
        (lists / "partial").mkdir(parents=True)
        options = [f"Dir::Etc::sourcelist={source}", "Dir::Etc::sourceparts=-"]
        options += [f"Dir::State::lists={lists}", "APT::Sandbox::User=root"]
        command = ["apt-get", "update", *(f"-o{each}" for each in options)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = update(built.keyring)
    assert done.returncode == 0, done.stderr
    assert "W:" not in done.stderr
    packages = built.repository / "dists/stable/main/binary-amd64/Packages"
    text = packages.read_text()
    assert text.count("Package: bascule-") == 3
    try:
        for name in ("Packages", "Packages.gz"):
            packages.with_name(name).write_bytes(b"Package: evil\n")
        assert update(built.keyring).returncode != 0, "edited after it was signed"
    finally:
        packages.write_text(text)
    assert update(built.other_keyring).returncode != 0, "signed by somebody else"


def test_two_builds_are_the_same_bytes(built: Built, tmp_path: Path) -> None:
    """Whoever has the commit can check what was published."""
    make(tmp_path / "again", "--version", OLDER)
    files = {each.name for each in built.published.iterdir() if each.is_file()}
    assert {each.suffix for each in (tmp_path / "again").iterdir()} >= {
        ".deb",
        ".rpm",
        ".whl",
        ".gz",
    }
    for file in (tmp_path / "again").iterdir():
        if file.is_file():
            assert file.read_bytes() == (built.published / file.name).read_bytes(), file.name
            files.discard(file.name)
    assert files == {"SHA256SUMS.asc"}
