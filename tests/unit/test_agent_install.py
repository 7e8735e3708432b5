"""Installing over a service that runs, and leaving: what systemd is told, in which order, and
what holds the table meanwhile (EDGES A5, A25).
"""

from __future__ import annotations

import base64
import json
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bascule.agent import commands, install
from bascule.agent.install import UNIT_NAME, owned_meanwhile, stopped_unit
from bascule.agent.run import lock_state
from bascule.agent.service_manager import ServiceManager
from bascule.agent.warn_units import WARN_SERVICE, WARN_SOCKET
from bascule.domain.weaknesses import OWNER_UNKEPT
from bascule.errors import (
    AuthenticationFailed,
    ConfigurationError,
    EnforcementFailed,
    InvalidInput,
    ServerUnreachable,
)
from bascule.interfaces.driver import Condition, HostFirewall, Keeper, UnitNeeds
from tests.unit.client.test_connection import Site
from tests.unit.test_agent_start import Host, Watched

# Says of the unit that it runs, and of its store what the test has put there.
_SYSTEMCTL = """\
#!/bin/sh
case $1 in
  is-active) echo active ;;
  show) cat "{folder}/stored" ;;
  *) echo "$1" >>"{folder}/acts" ;;
esac
"""


class Systemd:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.keeps("1")
        (folder / "acts").touch()
        script = folder / "systemctl"
        script.write_text(_SYSTEMCTL.format(folder=folder))
        script.chmod(0o755)

    def keeps(self, count: str) -> None:
        """So many descriptors of the stopped service; an old systemd does not say."""
        (self._folder / "stored").write_text(count)

    def acts(self) -> list[str]:
        return (self._folder / "acts").read_text().split()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(tmp_path)
    monkeypatch.setattr(install, "SYSTEMCTL", str(tmp_path / "systemctl"))
    monkeypatch.setattr(install, "SYSTEMD_RUN", str(tmp_path / "absent"))
    monkeypatch.setattr(install, "is_systemd_running", lambda: True)
    monkeypatch.setattr(install, "is_network_of_systemd", lambda: True)
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_installer_that_is_ended_starts_the_service_again(
    systemd: Systemd, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stopped_unit(lambda _: None):
        os.kill(os.getpid(), number)
    assert systemd.acts() == ["stop", "start"]
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("stored", "is_let_go"), [("1", False), ("0", True), ("", True)])
def test_whether_the_table_is_let_go_is_asked_of_systemd(
    systemd: Systemd, stored: str, is_let_go: bool
) -> None:
    systemd.keeps(stored)
    with stopped_unit(lambda _: None) as found:
        assert found is is_let_go


def test_a_table_that_is_let_go_is_held_until_the_service_starts() -> None:
    acts: list[str] = []
    with owned_meanwhile(Host(Watched(acts)), ServiceManager(None), acts.append):
        assert acts[-1] == "the table is ours"
    assert acts[-1] == "the table is let go"


def test_a_table_that_cannot_be_held_is_said_and_the_installation_goes_on() -> None:
    said: list[str] = []

    class Refused(Watched):
        def own(self, keeper: Keeper) -> None:
            raise EnforcementFailed("not permitted")

    with owned_meanwhile(Host(Refused([])), ServiceManager(None), said.append):
        pass
    assert "opens the ports" in said[0]
    assert "not permitted" in said[0]


def test_an_uninstalled_service_leaves_no_socket_with_systemd(
    systemd: Systemd, tmp_path: Path
) -> None:
    (tmp_path / UNIT_NAME).touch()
    install.remove_unit(tmp_path)
    assert systemd.acts() == ["disable", "reset-failed", "clean", "stop", "daemon-reload"]


def test_the_units_for_warnings_come_and_go_with_the_agents(
    systemd: Systemd, tmp_path: Path
) -> None:
    units = tmp_path / "units"
    units.mkdir()
    said = install.install_unit(units, "[Unit]\n")
    assert said == f"Wrote {units / UNIT_NAME}"
    names = {UNIT_NAME, WARN_SOCKET, WARN_SERVICE}
    assert {path.name for path in units.iterdir()} == names
    assert "agent warn\n" in (units / WARN_SERVICE).read_text()
    said_all = install.remove_unit(units)
    assert {f"deleted {units / name}" for name in names} <= set(said_all)
    assert not list(units.iterdir())


def test_the_packages_units_are_hidden_by_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units, packaged = tmp_path / "units", tmp_path / "packaged"
    units.mkdir()
    packaged.mkdir()
    monkeypatch.setattr(install, "PACKAGED_UNIT", packaged / UNIT_NAME)
    texts = {UNIT_NAME: "[Unit]\n", **install.further_units(install.program())}
    for name, text in texts.items():
        (packaged / name).write_text(text)
        (units / name).write_text("of before")
    assert str(packaged / UNIT_NAME) in install.install_unit(units, "[Unit]\n")
    assert not list(units.iterdir())


def test_the_agent_gains_no_capability_by_warnings() -> None:
    """EDGES J13: only the service of its own may look at processes, and it may do nothing else."""
    agent = install.unit_text(
        ("bascule",), Path("/var/lib/bascule-agent"), UnitNeeds()
    ).splitlines()
    assert "CapabilityBoundingSet=" in agent
    assert not any("tty" in line or "PTRACE" in line for line in agent)
    assert f"Wants=network-pre.target {WARN_SOCKET}" in agent
    service = install.further_units(("bascule",))[WARN_SERVICE].splitlines()
    assert "CapabilityBoundingSet=CAP_SYS_PTRACE" in service
    assert "SupplementaryGroups=tty" in service
    assert "SystemCallFilter=~@privileged @resources @debug" in service
    assert "SocketMode=0600" in install.further_units(("bascule",))[WARN_SOCKET].splitlines()


@pytest.fixture
def uninstalling(tmp_path: Path) -> list[str]:
    """The words of ``agent uninstall`` on a state whose agent does not answer."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "identity.json").write_text("damaged")
    where = ["--state", str(tmp_path / "state"), "--unit-folder", str(tmp_path / "units")]
    return ["uninstall", "--yes", *where]


def test_a_service_that_dies_over_and_over_is_stopped_before_its_rules_go(
    systemd: Systemd, uninstalling: list[str]
) -> None:
    """It owns the table, now and then: nobody else could remove that."""

    class Owned(Watched):
        def own(self, keeper: Keeper) -> None:
            assert systemd.acts() == ["stop"]
            super().own(keeper)

    done = CliRunner().invoke(commands.agent, uninstalling, obj=Host(Owned([])))
    assert done.exit_code == 0, done.output
    assert "stopped its service" in done.output
    assert "the rules of the fake is gone" in done.output


def test_an_agent_that_still_runs_keeps_its_rules(tmp_path: Path, uninstalling: list[str]) -> None:
    lock = lock_state(tmp_path / "state")
    acts: list[str] = []
    done = CliRunner().invoke(commands.agent, uninstalling, obj=Host(Watched(acts)))
    os.close(lock)
    assert isinstance(done.exception, ConfigurationError)
    assert "Stop it first" in done.exception.advice
    assert not acts


def test_who_interrupts_the_agent_that_removes_its_rules_is_told(
    uninstalling: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may go on: the ports are open then."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "tell_agent", interrupt)
    done = CliRunner().invoke(commands.agent, uninstalling)
    assert done.exit_code != 0
    assert "may have removed its rules" in done.output


def test_rules_that_are_somebody_s_are_left_with_what_to_do(uninstalling: list[str]) -> None:
    class Refused(Watched):
        def own(self, keeper: Keeper) -> None:
            raise EnforcementFailed("Operation not permitted")

    done = CliRunner().invoke(commands.agent, uninstalling, obj=Host(Refused([])))
    assert isinstance(done.exception, EnforcementFailed)
    assert "systemctl stop" in done.exception.advice
    assert "bascule agent run" in done.exception.advice


def _fake_run(systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    script = tmp_path / "systemd-run"
    script.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/ran"\n{does}\n')
    script.chmod(0o755)
    monkeypatch.setattr(install, "SYSTEMD_RUN", str(script))


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        ("exit 203", "not executable there"),
        ("echo noise; echo libfoo: denied >&2; exit 1", "denied"),
    ],
)
def test_a_program_that_no_service_can_run_costs_no_token(
    systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, expected: str
) -> None:
    """Under /tmp, say, of which each service has its own: its unit would never start."""
    _fake_run(systemd, tmp_path, monkeypatch, does)
    done = _install(tmp_path, "https://127.0.0.1:1", "00" * 32)
    assert isinstance(done.exception, ConfigurationError), done.output
    assert expected in done.exception.message
    assert "no token was used" in done.exception.message
    assert "/opt" in done.exception.advice
    assert systemd.acts() == []


def test_the_program_is_tried_with_the_unit_s_view(
    systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_run(systemd, tmp_path, monkeypatch, "exit 0")
    install.check_program(("/opt/bascule/bin/python", "-m", "bascule.bootstrap"))
    ran = (tmp_path / "ran").read_text()
    for line in ("PrivateTmp=yes", "ProtectSystem=strict", "ProtectHome=read-only"):
        assert f"--property={line}" in ran
    assert "/opt/bascule/bin/python -m bascule.bootstrap agent --help" in ran
    monkeypatch.setattr(install, "SYSTEMD_RUN", str(tmp_path / "absent"))
    install.check_program(
        ("/opt/bascule/bin/python", "-m", "bascule.bootstrap")
    )  # a systemd that has none: not asked


def _install(tmp_path: Path, server: str, pin: str, host: Host | None = None) -> Result:
    body = json.dumps({"u": "uid", "c": pin, "s": "secret", "k": "A" * 43}).encode()
    token = "bascule-enrol." + base64.urlsafe_b64encode(body).decode()
    where = ["--state", str(tmp_path / "state"), "--unit-folder", str(tmp_path / "units")]
    return CliRunner().invoke(
        commands.agent,
        ["install", "--server", server, "--token-file", "-", *where],
        obj=host or Host(Watched([])),
        input=token,
    )


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:1", "127.0.0.1:1", "https://127.0.0.1:1/bascule", "https://"]
)
def test_a_url_that_is_none_stops_no_service(systemd: Systemd, tmp_path: Path, server: str) -> None:
    """http:// was taken once: the new agent then signed for a URL that its server is not."""
    done = _install(tmp_path, server, "00" * 32)
    assert isinstance(done.exception, InvalidInput), done.output
    assert "https://bascule.example:8443" in done.exception.message
    assert systemd.acts() == []
    assert not (tmp_path / "state").exists()


@pytest.mark.sockets
def test_a_server_that_does_not_answer_stops_no_service(systemd: Systemd, tmp_path: Path) -> None:
    """What works goes on: nothing is touched before the server has answered the new agent."""
    done = _install(tmp_path, "https://127.0.0.1:1", "00" * 32)
    assert isinstance(done.exception, ServerUnreachable), done.output
    assert systemd.acts() == []
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    try:
        for status, expected in ((200, AuthenticationFailed), (421, ServerUnreachable)):
            site.answers["/healthz"] = (status, {})
            pin = "00" * 32 if status == 200 else site.fingerprint
            done = _install(tmp_path, site.url, pin)
            assert isinstance(done.exception, expected), done.output
            assert systemd.acts() == []
            assert "/bascule/enrol" not in site.seen
    finally:
        site.close()


def test_an_agent_that_does_not_reach_its_server_is_not_called_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter([ServerUnreachable("not yet"), {"connected": False}, {"connected": True}])

    def tell(*_: object) -> dict[str, object]:
        said = next(asked)
        if isinstance(said, Exception):
            raise said
        return {"status": said}

    monkeypatch.setattr(commands, "tell_agent", tell)
    monkeypatch.setattr(commands, "CONNECT_PATIENCE", 60.0)
    assert commands._is_connected(tmp_path)
    monkeypatch.setattr(commands, "tell_agent", lambda *_: {"status": {"connected": False}})
    monkeypatch.setattr(commands, "CONNECT_PATIENCE", 0.3)
    assert not commands._is_connected(tmp_path)


class Weak(Watched):
    def condition(self) -> Condition:
        return Condition(is_owned=False, weaknesses=(OWNER_UNKEPT(),))


class TooOld(Host):
    def firewall(self, name: str = "") -> HostFirewall:
        raise ConfigurationError("Bascule cannot keep any port shut: Linux 5.4 is older than 5.10.")


@pytest.mark.sockets
@pytest.mark.parametrize("is_too_old", [True, False])
def test_a_host_that_cannot_keep_ports_shut_costs_no_token(
    systemd: Systemd, tmp_path: Path, *, is_too_old: bool
) -> None:
    """And one that can says what is weak, before anything is asked of a server."""
    acts: list[str] = []
    weak = Weak(acts)
    host = TooOld(weak) if is_too_old else Host(weak)
    done = _install(tmp_path, "https://127.0.0.1:1", "00" * 32, host)
    if is_too_old:
        assert isinstance(done.exception, ConfigurationError), done.output
        assert "older than 5.10" in done.exception.message
    else:
        assert isinstance(done.exception, ServerUnreachable), done.output
        assert "Weak on this host: No service manager keeps the socket" in done.output
        assert acts == ["the table is let go"], "it was looked at and nothing else"
    assert systemd.acts() == []
