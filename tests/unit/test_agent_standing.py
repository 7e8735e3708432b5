"""Before an upgrade and at a removal: what is closed is written down for nft alone (EDGES I4)."""

from __future__ import annotations

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


def test_the_agent_s_unit_deletes_the_rule_file_only_when_its_rules_are_in_place() -> None:
    """After READY=1 (systemd.service(5), ExecStartPost); until then a reboot needs the file."""
    text = install.unit_text(("bascule",), Path("/var/lib/bascule-agent"), host().needs.unit)
    assert "Type=notify" in text
    assert f"ExecStartPost=+-/bin/rm -f {install.RULE_FILE}" in text


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
