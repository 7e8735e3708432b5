"""The agent under a real systemd: installed, killed, booted, uninstalled (EDGES A5, A6, A23).

To boot a machine is slow: all are the life of one, from its installing on, in the order of this file.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bascule
from tests.e2e.booted import CLIENT, HOST, BootedMachine, closed_throughout, why_not
from tests.e2e.lab_world import until

pytestmark = [pytest.mark.root, pytest.mark.leak]

BASCULE = (sys.executable, "-m", "bascule.bootstrap")
AGENT = "bascule-agent.service"
PORT = 2323  # of something that listens
FLUSHES = "#!/usr/sbin/nft -f\nflush ruleset\n"
# Looks at the table between the agent and whatever brings the network up.
LOOK = f"""\
[Unit]
DefaultDependencies=no
After={AGENT}
Before=network-pre.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'nft list set inet bascule closed >/seen 2>&1'
"""
# What this machine may have enabled and the booted one has no use for.
UNNEEDED = (
    *("ssh.service", "ssh.socket", "getty@tty1.service", "systemd-networkd.service"),
    *("firewalld.service", "ufw.service"),  # they would close the test's port at the boot
)


class Owner:
    """Who installs Bascule on a machine: a server and an agent, by the commands of the README."""

    def __init__(self, machine: BootedMachine) -> None:
        self.machine = machine
        self.spare = ""

    def bascule(self, *words: str, check: bool = True, stdin: str = "") -> str:
        return self.machine.run(*BASCULE, *words, check=check, stdin=stdin)

    def serve(self) -> None:
        """Start the server, which no boot does; nothing to do when it runs."""
        if not self.machine.is_active("server.service"):
            serve = (*BASCULE, "serve", "--data", "/srv/bascule")
            self.machine.run("systemd-run", "--quiet", "--unit=server", *serve)
        # No admin.json, or nobody who answers, before the server is up.
        assert until(self._is_signed_in, 40)

    def _is_signed_in(self) -> bool:
        said = self.machine.run(
            *BASCULE, "login", "--admin-file", "/srv/bascule/admin.json", check=False
        )
        return "igned in" in said

    def install(self) -> None:
        self.bascule("machine", "add", "web-1", "--address", HOST)
        self.spare = self.token()  # of before an agent was enrolled: it will be refused
        self.install_agent(self.token())
        self.bascule("policy", "set", "web-1", "--port", str(PORT))
        assert until(lambda: not self.machine.client.reaches(PORT, HOST), 20)

    def token(self, *words: str) -> str:
        made = json.loads(self.bascule("machine", "enrol", "web-1", *words, "-o", "json"))
        return str(made["token"])

    def install_agent(self, token: str, *words: str, check: bool = True) -> str:
        where = ("--server", "https://127.0.0.1:8443", "--token-file", "-", *words)
        return self.bascule("agent", "install", *where, check=check, stdin=token)

    def is_connected(self) -> bool:
        said = self.bascule("agent", "status", check=False)
        return "server:  connected" in said and "no longer accepts" not in said

    def key(self) -> str:
        found = json.loads(self.machine.run("cat", "/var/lib/bascule-agent/identity.json"))
        return str(found["privateKey"])

    def main_pid(self) -> str:
        return self.machine.run("systemctl", "show", "-P", "MainPID", AGENT)


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    if why := why_not(Path(sys.executable), Path(bascule.__file__)):
        pytest.skip(why)
    with BootedMachine(tmp_path_factory.mktemp("boot")) as machine:
        machine.mask(*UNNEEDED)
        machine.write("/etc/nftables.conf", FLUSHES)
        machine.boot()
        machine.run("systemctl", "enable", "nftables.service")
        made = Owner(machine)
        machine.serve_echo(PORT)
        assert until(lambda: machine.client.reaches(PORT, HOST), 20)
        made.serve()
        made.install()
        yield made


def test_the_service_manager_keeps_the_table_owned_when_the_agent_is_killed(owner: Owner) -> None:
    machine = owner.machine
    before = machine.run("systemctl", "show", "-P", "MainPID", AGENT)
    assert before != "0"
    machine.run("systemctl", "kill", "--signal=SIGKILL", AGENT)
    machine.run("nft", "flush", "ruleset", check=False)
    assert not machine.client.reaches(PORT, HOST)

    def is_back() -> bool:
        return machine.is_active(AGENT) and (
            machine.run("systemctl", "show", "-P", "MainPID", AGENT) not in ("0", before)
        )

    assert until(is_back, 20)
    assert not machine.client.reaches(PORT, HOST)
    assert "bascule" in machine.run("nft", "list", "tables")


def test_an_agent_that_hangs_is_started_again_and_one_that_works_is_not(owner: Owner) -> None:
    """With a watchdog of seconds; the unit's own waits three minutes."""
    machine, folder = owner.machine, f"/run/systemd/system/{AGENT}.d"
    again = f"systemctl daemon-reload && systemctl restart {AGENT}"
    machine.run(
        *("sh", "-c", f"mkdir -p {folder} && cat >{folder}/patience.conf && {again}"),
        stdin="[Service]\nWatchdogSec=4\n",
    )
    assert until(owner.is_connected, 20)
    process = owner.main_pid()
    with closed_throughout(machine, PORT):
        time.sleep(10)
        assert owner.main_pid() == process, "an agent that works was ended"
        machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", AGENT)
        assert until(lambda: owner.main_pid() not in ("0", process), 30), "nobody ended it"
        assert until(owner.is_connected, 20)
    said = machine.run("journalctl", "--unit", AGENT, "--output=cat", "--no-pager")
    assert "Watchdog timeout" in said
    machine.run("sh", "-c", f"rm -r {folder} && {again}")
    assert until(owner.is_connected, 20)


def test_a_new_agent_is_installed_over_the_service_that_runs(owner: Owner) -> None:
    """What ``machine enrol --replace`` prints gets its user in, not out (EDGES A12, A25)."""
    machine = owner.machine
    assert until(owner.is_connected, 20)
    key, process = owner.key(), owner.main_pid()
    with closed_throughout(machine, PORT):
        said = owner.install_agent(owner.spare, check=False)
        assert "make the token with --replace" in said
        assert until(owner.is_connected, 20), "the agent of before serves on"
        assert owner.key() == key
        assert owner.main_pid() != process, "it was stopped meanwhile"
        said = owner.install_agent(owner.token("--replace"))
        assert f"Enabled and started {AGENT}" in said
        assert until(owner.is_connected, 20)
        assert owner.key() != key
    owner.bascule("request", "web-1", "--port", str(PORT), "--from", CLIENT, "--for", "10m")
    assert machine.client.reaches(PORT, HOST)
    owner.bascule("revoke", "--all")
    assert until(lambda: not machine.client.reaches(PORT, HOST), 20)


@contextmanager
def flushed_all_the_time(machine: BootedMachine) -> Iterator[None]:
    """Another tool flushes every table that it may, in a tight loop."""
    loop = "while :; do nft flush ruleset; done"
    machine.run("systemd-run", "--quiet", "--unit=flusher", "/bin/sh", "-c", loop)
    try:
        yield
    finally:
        machine.run("systemctl", "stop", "flusher")


def test_a_flush_while_a_new_agent_is_installed_opens_nothing(owner: Owner) -> None:
    """The service is stopped while the server is asked: what owns the table then? (EDGES A5)"""
    machine = owner.machine
    with closed_throughout(machine, PORT), flushed_all_the_time(machine):
        owner.install_agent(owner.token("--replace"))
        assert until(owner.is_connected, 20)


def test_root_opens_and_takes_over_what_a_stopped_service_left(owner: Owner) -> None:
    """Systemd keeps the table owned while the service is stopped; nobody is locked out by it."""
    machine = owner.machine
    machine.run("systemctl", "stop", AGENT)
    machine.run("nft", "flush", "ruleset", check=False)
    assert not machine.client.reaches(PORT, HOST)
    owner.bascule("agent", "open", "--port", str(PORT), "--from", CLIENT, "--for", "15s")
    assert machine.client.reaches(PORT, HOST)
    assert until(lambda: not machine.client.reaches(PORT, HOST), 40)
    machine.run("systemctl", "start", AGENT)
    assert until(owner.is_connected, 20)


def test_a_state_elsewhere_is_the_service_s_to_write(owner: Owner) -> None:
    """The unit shows the whole file system read-only but for what it names."""
    machine = owner.machine
    state = ("--state", "/srv/an agent's")
    with closed_throughout(machine, PORT):
        owner.install_agent(owner.token("--replace"), *state)
        assert until(
            lambda: "server:  connected" in owner.bascule("agent", "status", *state, check=False),
            20,
        )
        owner.install_agent(owner.token("--replace"))
        assert until(owner.is_connected, 20)


def test_a_boot_shuts_before_the_network_and_gives_back_what_has_time_left(owner: Owner) -> None:
    """nftables.service flushes at boot; the server stays away, so memory alone decides."""
    machine = owner.machine
    owner.bascule("request", "web-1", "--port", str(PORT), "--from", CLIENT, "--for", "10m")
    assert machine.client.reaches(PORT, HOST)
    machine.power_off()
    machine.write("/etc/systemd/system/look.service", LOOK)
    machine.write(
        "/etc/systemd/system/network-pre.target.d/look.conf", "[Unit]\nWants=look.service\n"
    )
    machine.boot()
    assert until(lambda: machine.is_active(AGENT), 40)
    assert until(lambda: machine.is_active("network-pre.target"), 20)
    assert f"tcp . {PORT}" in machine.run("cat", "/seen"), "shut by then, not only begun"
    assert machine.is_active("nftables.service")
    assert machine.entered_at("nftables.service") < machine.entered_at(AGENT)
    assert machine.entered_at(AGENT) < machine.entered_at("network-pre.target")
    machine.serve_echo(PORT)
    assert until(lambda: machine.client.reaches(PORT, HOST), 20), "ten minutes are not over"
    machine.client.run("ip", "address", "add", "10.79.0.77/24", "dev", "eth0")
    machine.client.run("ip", "address", "del", f"{CLIENT}/24", "dev", "eth0")
    try:
        assert not machine.client.reaches(PORT, HOST), "another source, although something listens"
    finally:
        machine.client.run("ip", "address", "add", f"{CLIENT}/24", "dev", "eth0")


def test_uninstalling_leaves_nothing(owner: Owner) -> None:
    machine = owner.machine
    said = owner.bascule("agent", "uninstall", "--yes")
    assert AGENT in said
    assert machine.client.reaches(PORT, HOST)
    assert "bascule" not in machine.run("nft", "list", "ruleset")
    assert not machine.is_active(AGENT)
    for path in (f"/etc/systemd/system/{AGENT}", "/var/lib/bascule-agent", "/run/bascule"):
        assert machine.run("test", "!", "-e", path, check=False) == ""
        assert "No such file" in machine.run("ls", path, check=False)
    listed = machine.run("systemctl", "list-unit-files", "bascule*", check=False)
    assert listed.endswith("0 unit files listed.")


def test_a_service_that_dies_over_and_over_is_uninstalled(owner: Owner) -> None:
    """No agent answers, and one owns the table now and then: root is not told EPERM (A25)."""
    machine = owner.machine
    owner.serve()
    owner.bascule("revoke", "--machine", "web-1", "--everyone", check=False)  # of before
    owner.install_agent(owner.token("--replace"))
    assert until(lambda: not machine.client.reaches(PORT, HOST), 20)
    machine.run("sh", "-c", "echo damaged >/var/lib/bascule-agent/identity.json")
    machine.run("systemctl", "kill", "--signal=SIGKILL", AGENT)
    restarts = ("systemctl", "show", "-P", "NRestarts", AGENT)
    assert until(lambda: int(machine.run(*restarts)) > 1, 60)
    assert not machine.client.reaches(PORT, HOST)
    assert "stopped its service" in owner.bascule("agent", "uninstall", "--yes")
    assert machine.client.reaches(PORT, HOST)
    assert "bascule" not in machine.run("nft", "list", "ruleset")
