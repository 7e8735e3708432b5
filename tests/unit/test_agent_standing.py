"""Before an upgrade and at a removal: what is closed is written down for nft alone (EDGES I4)."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.agent import commands, install, standing
from bascule.agent.enrolment import IDENTITY_FILE
from bascule.agent.memory import NEWEST, HeldFile
from bascule.domain.desired import RuleSet
from bascule.domain.held import Held
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.plan import Observed, Rebuild
from bascule.drivers.nftables.host import NftablesHost
from bascule.errors import ConfigurationError
from bascule.testing.fake_driver import FakeHostFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_agent_start import Host, Watched

SSH, RDP = (ClosedPort(PortKey(TransportProtocol.TCP, number)) for number in (22, 3389))


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("bascule.agent.standing.RULE_FILE", tmp_path / "bascule" / "closed.rules")
    monkeypatch.setattr(standing, "UNIT_FOLDER", tmp_path / "system")
    monkeypatch.setattr(standing, "is_systemd_running", lambda: False)
    monkeypatch.setattr(standing, "service_state", lambda: None)
    return tmp_path


def host(*closed: ClosedPort) -> FakeHostFirewall:
    driver = Watched([])
    driver.apply([Rebuild(RuleSet(frozenset(closed)))])
    return FakeHostFirewall(lambda: driver)


def unreadable() -> FakeHostFirewall:
    def refused() -> Watched:
        raise ConfigurationError("no library")

    return FakeHostFirewall(refused)


def rule_file(etc: Path) -> str:
    return (etc / "bascule" / "closed.rules").read_text()


def test_what_the_kernel_closes_and_what_memory_closes_both_count(etc: Path) -> None:
    """Either may be lost: the table to a flush, the file to a disk."""
    HeldFile(etc, SetClock()).save(Held(closed=frozenset({RDP})))
    assert standing.keep_closed(host(SSH), etc, SetClock()) == [SSH.port, RDP.port]
    assert "close 22/tcp" in rule_file(etc)
    assert "close 3389/tcp" in rule_file(etc)
    unit = etc / "system" / standing.UNIT
    assert f"ConditionPathExists={etc / 'bascule' / 'closed.rules'}" in unit.read_text()
    link = etc / "system" / "sysinit.target.wants" / standing.UNIT
    assert link.resolve() == unit.resolve(), "enabled, without a systemd that runs"
    assert (etc / "bascule" / "closed.rules").stat().st_mode & 0o777 == 0o600
    standing.keep_closed(host(SSH), etc, SetClock())  # once more, over what is there


def test_memory_is_enough_where_the_firewall_cannot_be_read(etc: Path) -> None:
    HeldFile(etc, SetClock()).save(Held(closed=frozenset({RDP})))
    assert standing.keep_closed(unreadable(), etc, SetClock()) == [RDP.port]


def test_damaged_memory_stands_for_the_management_ports(etc: Path) -> None:
    (etc / NEWEST).write_text("damaged")
    assert SSH.port in standing.keep_closed(unreadable(), etc, SetClock())


def test_where_nobody_can_say_what_is_closed_nothing_is_removed(etc: Path) -> None:
    """An enrolled agent, no memory, no firewall that answers: the package's script fails."""
    (etc / IDENTITY_FILE).write_text("{}")
    with pytest.raises(ConfigurationError, match="no library"):
        standing.keep_closed(unreadable(), etc, SetClock())


def test_nor_where_an_agent_is_installed_whose_state_nobody_tells(etc: Path) -> None:
    """One that install wrote, with a state elsewhere, while no systemd runs that knows it."""
    (etc / "system").mkdir()
    (etc / "system" / install.UNIT_NAME).write_text("")
    with pytest.raises(ConfigurationError, match="no library"):
        standing.keep_closed(unreadable(), etc, SetClock())


def test_the_state_of_the_service_counts_wherever_it_is(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = etc / "elsewhere"
    elsewhere.mkdir()
    HeldFile(elsewhere, SetClock()).save(Held(closed=frozenset({RDP})))
    monkeypatch.setattr(standing, "service_state", lambda: elsewhere)
    assert standing.keep_closed(unreadable(), etc, SetClock()) == [RDP.port]


@pytest.mark.parametrize("state", ["/var/lib/bascule-agent", "/srv/it's a state"])
def test_systemd_tells_the_state_of_the_service(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    told = (
        f"{{ path=/usr/bin/bascule ; argv[]=/usr/bin/bascule agent run --state {state} ; "
        "ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
    )
    monkeypatch.setattr(install, "is_systemd_running", lambda: True)
    monkeypatch.setattr(install, "is_network_of_systemd", lambda: True)
    monkeypatch.setattr(install, "_asked", lambda *_: told)
    assert install.service_state() == Path(state)
    monkeypatch.setattr(install, "_asked", lambda *_: "")
    assert install.service_state() is None


@pytest.mark.parametrize("check", [("/bin/false",), ("/no/such/program",)])
def test_what_would_not_be_loaded_is_not_promised(etc: Path, check: tuple[str, ...]) -> None:
    """A removal fails then; what an earlier upgrade wrote stays."""
    firewall = host(SSH)
    with pytest.raises(ConfigurationError, match=check[0]):
        standing.keep_closed(
            replace(firewall, needs=replace(firewall.needs, check=check)), etc, SetClock()
        )
    assert list(etc.iterdir()) == []


def test_a_host_that_was_never_enrolled_gets_no_files(etc: Path) -> None:
    for firewall in (host(), unreadable()):
        assert standing.keep_closed(firewall, etc, SetClock()) == []
    assert list(etc.iterdir()) == []


def test_what_cannot_be_written_is_an_error(etc: Path) -> None:
    (etc / "bascule").write_text("in the way")
    with pytest.raises(ConfigurationError):
        standing.keep_closed(host(SSH), etc, SetClock())


def test_the_command_says_what_stays_closed_and_how_root_opens_it(etc: Path) -> None:
    driver = Watched([])
    driver.apply([Rebuild(RuleSet(frozenset({SSH})))])
    done = CliRunner().invoke(
        commands.agent, ["keep-closed", "--state", str(etc)], obj=Host(driver)
    )
    assert done.exit_code == 0, done.output
    assert "Kept closed, also after a reboot: 22/tcp." in done.output
    assert f"rm {etc / 'bascule' / 'closed.rules'}" in done.output


def test_uninstalling_opens_on_purpose_and_deletes_both(etc: Path) -> None:
    standing.keep_closed(host(SSH), etc, SetClock())
    said = standing.end()
    assert len(said) == 3
    assert not rule_files(etc)
    assert standing.end() == []


def rule_files(etc: Path) -> list[Path]:
    return [each for each in etc.rglob("*") if each.is_file() or each.is_symlink()]


def unit_command(key: str, etc: Path, firewall: str = "true") -> list[str]:
    """What the agent's unit runs, with the files of this test; its firewall's programs are all one."""
    needs = replace(
        NftablesHost.needs.unit, load=(str(etc / "nft"), "load"), has_rules=(str(etc / "nft"),)
    )
    text = install.unit_text(("bascule",), Path("/var/lib/bascule-agent"), needs)
    (line,) = (each for each in text.splitlines() if each.startswith(f"{key}=+-"))
    (etc / "nft").write_text(f"#!/bin/sh\necho $1 $2 >>{etc}/done\n{firewall}\n")
    (etc / "nft").chmod(0o755)
    for path, name in ((install.RULE_FILE, "rules"), (install.KEEP_MARK, "mark")):
        line = line.replace(str(path), str(etc / name))
    return shlex.split(line.removeprefix(f"{key}=+-"))


def test_the_agent_s_unit_deletes_the_rule_file_only_when_its_rules_are_in_place(etc: Path) -> None:
    """After READY=1 (systemd.service(5), ExecStartPost); until then a reboot needs the file."""
    text = install.unit_text(("bascule",), Path("/var/lib/bascule-agent"), host().needs.unit)
    assert "Type=notify" in text
    command = unit_command("ExecStartPost", etc)
    rules, mark = etc / "rules", etc / "mark"
    rules.touch()
    mark.touch()
    subprocess.run(command, check=False)
    assert rules.exists(), "a package is removed or unpacked meanwhile"
    mark.unlink()
    subprocess.run(command, check=False)
    assert not rules.exists()


@pytest.mark.parametrize(
    ("firewall", "done", "is_kept"),
    [
        ("true", "", False),  # rules are in place
        ('test "$1" = load', "load {rules}", False),
        ("false", "load {rules}", True),  # could not be loaded
    ],
)
def test_the_agent_s_unit_first_loads_the_rule_file_where_no_rules_are(
    etc: Path, firewall: str, done: str, *, is_kept: bool
) -> None:
    """Else an agent that knows of none of its ports would delete the file and close nothing."""
    command = unit_command("ExecStartPre", etc, firewall)
    subprocess.run(command, check=True)
    assert not (etc / "done").exists(), "there is no file"
    rules = etc / "rules"
    rules.touch()
    subprocess.run(command, check=True)
    assert [line.strip() for line in (etc / "done").read_text().splitlines()] == [
        "",
        *([done.format(rules=rules)] if done else []),
    ]
    subprocess.run(unit_command("ExecStartPost", etc), check=False)
    assert rules.exists() == is_kept


def test_the_package_s_unit_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of our own beside it would hide it, and miss its later versions."""
    packaged = tmp_path / "packaged.service"
    monkeypatch.setattr(install, "PACKAGED_UNIT", packaged)
    assert install.install_unit(tmp_path, "text").startswith("Wrote")
    packaged.write_text("text")
    assert "the package's" in install.install_unit(tmp_path, "text")
    assert not (tmp_path / install.UNIT_NAME).exists()
    assert install.install_unit(tmp_path, "with another state").startswith("Wrote")


def test_observed_is_what_counts_of_the_kernel(etc: Path) -> None:
    """Also where the rules are not as we wrote them: what is closed stays so."""

    class Changed(Watched):
        def observe(self) -> Observed:
            return Observed(RuleSet(frozenset({SSH})), False, "changed by another program")

    driver = Changed([])
    assert standing.keep_closed(FakeHostFirewall(lambda: driver), etc, SetClock()) == [SSH.port]
