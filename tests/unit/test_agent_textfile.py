"""The agent's metrics for node_exporter's textfile collector (EDGES I8)."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from bascule import __version__
from bascule.agent.textfile import Textfile, Told, text_of
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.errors import EnforcementFailed, ServerUnreachable
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.samples import NOW
from tests.unit.services_world import SetClock
from tests.unit.test_agent_loop import Line, loop_of

SSH = PortKey(TransportProtocol.TCP, 22)
SOURCE = "192.0.2.66"


class Opened(Line):
    """A server whose state closes port 22 and lets one source in."""

    def fetch_state(self, meanwhile: object) -> DesiredState:
        lease = Lease("grant", (SSH,), (AddressPrefix.parse(SOURCE),), timedelta(seconds=60))
        closed = frozenset({ClosedPort(SSH, OnExpiry.KEEP)})
        return DesiredState("uid", self.generation, closed, {}, (lease,))


def values(text: str) -> dict[str, float]:
    """By metric name, without labels."""
    found = re.findall(r"^(bascule_agent_[a-z_]+)(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE)
    return {name.removeprefix("bascule_agent_"): float(value) for name, value in found}


def test_it_tells_how_the_agent_is_and_names_nobody(tmp_path: Path) -> None:
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    loop = loop_of(driver, Opened(), clock, tmp_path)
    loop.step()
    file = tmp_path / "bascule.prom"
    textfile = Textfile(file, lambda: Told(loop.status(), driver.condition().is_owned), clock.now)
    textfile.write()
    told = values(file.read_text())
    assert (told["closed_ports"], told["open_leases"], told["generation"]) == (1, 1, 1)
    assert (told["connected"], told["enforcing"], told["failed_passes_total"]) == (1, 1, 0)
    assert told["last_contact_timestamp_seconds"] == int(clock.now().timestamp())
    assert file.stat().st_mode & 0o777 == 0o644, "node_exporter is another account"
    text = file.read_text()
    assert SOURCE not in text
    assert set(re.findall(r"\{(.*)\}", text)) == {f'version="{__version__}"'}
    assert [each.name for each in tmp_path.glob("*.new")] == []

    clock.pass_time(61)
    contact = told["last_contact_timestamp_seconds"]

    def fail(*_: object, **__: object) -> None:
        raise EnforcementFailed("no firewall")

    driver.observe = fail  # type: ignore[method-assign, assignment]  # reason: it breaks here
    loop.step()
    textfile.write()
    told = values(file.read_text())
    assert (told["open_leases"], told["enforcing"], told["failed_passes_total"]) == (0, 0, 1)
    assert told["last_contact_timestamp_seconds"] >= contact


def test_an_agent_that_hangs_is_not_told_to_enforce(tmp_path: Path) -> None:
    """What is not known is left out; zeros would say that nothing is open."""

    def busy() -> Told:
        raise ServerUnreachable("busy")

    file = tmp_path / "bascule.prom"
    Textfile(file, busy, lambda: NOW).write()
    told = values(file.read_text())
    assert told.keys() == {"build_info", "last_contact_timestamp_seconds", "enforcing"}
    assert told["enforcing"] == told["last_contact_timestamp_seconds"] == 0


def test_a_file_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """A link in a folder of another account is not followed."""

    def busy() -> Told:
        raise ServerUnreachable("busy")

    Textfile(tmp_path / "absent" / "bascule.prom", busy, lambda: NOW).write()
    other = tmp_path / "other"
    other.write_text("untouched")
    for link in ("bascule.prom", "bascule.prom.new"):
        (tmp_path / link).symlink_to(other)
    Textfile(tmp_path / "bascule.prom", busy, lambda: NOW).write()
    assert other.read_text() == "untouched"
    assert not (tmp_path / "bascule.prom").is_symlink()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's prometheus")
@pytest.mark.parametrize("is_answered", [True, False])
def test_prometheus_takes_the_text(tmp_path: Path, is_answered: bool) -> None:
    clock = SetClock()
    loop = loop_of(FakeDriver(FakeFirewall(clock)), Opened(), clock, tmp_path)
    loop.step()
    told = Told(loop.status(), is_owned=True) if is_answered else None
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text_of(told, NOW),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked
