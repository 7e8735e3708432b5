"""Root's own openings: on record and remembered before anything is open (EDGES A25)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.agent.by_root import Order, open_without_agent
from bascule.agent.commands import agent
from bascule.agent.control import ControlSocket
from bascule.agent.link import KeyRefused
from bascule.agent.local_openings import MOST_TOLD, LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.agent.memory import HeldFile
from bascule.agent.service_manager import ServiceManager
from bascule.domain.bounds import Guard
from bascule.domain.desired import DesiredState
from bascule.domain.machine import ClosedPort
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.plan import Operation, PutOpening
from bascule.errors import EnforcementFailed
from bascule.protocol.report import LocalOpening
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_agent_loop import Line

SSH = PortKey(TransportProtocol.TCP, 22)
HERE = (AddressPrefix.parse("192.0.2.1"),)
QUARTER = timedelta(minutes=15)


class Watched(FakeDriver):
    """Notes what was on record on disk at each change."""

    def __init__(self, firewall: FakeFirewall, state: Path) -> None:
        super().__init__(firewall)
        self.state = state
        self.recorded: list[int] = []

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        self.recorded.append(len(LocalOpenings(self.state).pending()))
        super().apply(operations, since)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def driver(clock: SetClock, tmp_path: Path) -> Watched:
    """A host with its ssh port shut."""
    driver = Watched(FakeFirewall(clock), tmp_path)
    reconciler = Reconciler(driver, HeldFile(tmp_path, clock, "boot"), clock)
    reconciler.take(DesiredState("m", 1, frozenset({ClosedPort(SSH)}), {}, ()), clock.boottime())
    reconciler.reconcile()
    reconciler.save()
    driver.recorded.clear()
    return driver


def living(driver: FakeDriver, state: Path, clock: SetClock, line: Line | None = None) -> AgentLoop:
    reconciler = Reconciler(driver, HeldFile(state, clock, "boot"), clock)
    reconciler.restore(driver.observe().rules)
    line = line or Line()
    return AgentLoop(reconciler, driver, line, clock, lambda: None, LocalOpenings(state))


def by_the_agent(driver: FakeDriver, state: Path, clock: SetClock) -> None:
    living(driver, state, clock).by_root.open(Order(SSH, HERE, QUARTER))


def by_root_alone(driver: FakeDriver, state: Path, clock: SetClock) -> None:
    open_without_agent(
        driver, state, clock, Order(SSH, HERE, QUARTER), ServiceManager(None), Guard()
    )


@pytest.fixture(params=[by_the_agent, by_root_alone])
def open_22(request: pytest.FixtureRequest) -> Callable[[FakeDriver, Path, SetClock], None]:
    way: Callable[[FakeDriver, Path, SetClock], None] = request.param
    return way


@pytest.fixture(autouse=True)
def _one_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bascule.agent.memory.boot_id", lambda: "boot")


def test_it_is_on_record_before_it_is_open(
    open_22: Callable[[FakeDriver, Path, SetClock], None],
    driver: Watched,
    tmp_path: Path,
    clock: SetClock,
) -> None:
    """Whoever is killed on the way leaves nothing open that nobody hears of."""
    open_22(driver, tmp_path, clock)
    assert driver.firewall.reaches("192.0.2.1", SSH)
    assert driver.recorded == [1]


def test_one_that_is_refused_is_on_record_and_opens_when_it_is_taken(
    open_22: Callable[[FakeDriver, Path, SetClock], None],
    driver: Watched,
    tmp_path: Path,
    clock: SetClock,
) -> None:
    """He is told that it is not open and that it waits; it may be his only way in."""
    driver.refusals = 99
    with pytest.raises(EnforcementFailed, match=r"Not open yet.*The kernel refused\."):
        open_22(driver, tmp_path, clock)
    assert not driver.firewall.reaches("192.0.2.1", SSH)
    (opening,) = LocalOpenings(tmp_path).pending()
    driver.refusals = 0
    clock.pass_time(60)

    loop = living(driver, tmp_path, clock)
    loop.step()
    assert driver.firewall.reaches("192.0.2.1", SSH)
    assert [each["grantId"] for each in loop.status()["open"]] == [opening.id]


class Stranger(Line):
    """A server that does not know this agent's key."""

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        raise KeyRefused("unknown")


def test_what_root_opens_under_a_refused_key_outlives_the_agent(
    driver: Watched, tmp_path: Path, clock: SetClock
) -> None:
    """The refusal ends everything once (A12); who starts the agent anew is not locked out by it."""
    line = Stranger()
    first = living(driver, tmp_path, clock, line)
    first.step()
    first.by_root.open(Order(SSH, HERE, QUARTER))
    first.step()
    assert driver.firewall.reaches("192.0.2.1", SSH)

    again = living(driver, tmp_path, clock, line)
    again.step()
    assert driver.firewall.reaches("192.0.2.1", SSH)
    assert again.status()["refused"] is True


def test_status_says_open_of_what_was_read_back_and_why_the_rest_waits(
    driver: Watched, tmp_path: Path, clock: SetClock
) -> None:
    """Who looks at night must not wait at a door that the firewall never opened."""
    loop = living(driver, tmp_path, clock)

    def said() -> list[str]:
        control = ControlSocket(tmp_path / "agent.sock", lambda *_: {"status": loop.status()})
        try:
            done = CliRunner().invoke(agent, ["status", "--state", str(tmp_path)])
        finally:
            control.close()
        assert done.exit_code == 0, done.output
        return [line for line in done.output.splitlines() if line[:4] in ("open", "wait")]

    driver.refusals = 99
    with pytest.raises(EnforcementFailed):
        loop.by_root.open(Order(SSH, HERE, QUARTER))
    where = "22/tcp from 192.0.2.1 for 900 s more (by root on this host)"
    assert said() == ["open:    nothing", f"waiting: {where}: The kernel refused."]
    driver.refusals = 0
    loop.step()
    assert said() == [f"open:    {where}"]
    loop.by_root.open(Order(PortKey(TransportProtocol.TCP, 80), HERE, QUARTER))
    assert len(said()) == 2, "a port that nothing of ours shuts is open"


def test_status_says_why_one_of_several_waits(
    driver: Watched, tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The firewall took what shuts, and refuses what opens."""
    loop = living(driver, tmp_path, clock)
    assert not loop.status()["open"]
    apply = driver.apply

    def refuse(operations: Sequence[Operation], since: float | None = None) -> None:
        if any(isinstance(each, PutOpening) for each in operations):
            raise EnforcementFailed("No space")
        apply(operations, since)

    loop.step()
    monkeypatch.setattr(driver, "apply", refuse)
    with pytest.raises(EnforcementFailed, match="No space"):
        loop.by_root.open(Order(SSH, HERE, QUARTER))
    assert [each["why"] for each in loop.status()["waiting"]] == ["No space"]
    assert not loop.status()["open"]


def test_none_is_forgotten_because_the_server_was_long_away(tmp_path: Path) -> None:
    """A report tells of as many as the server takes; the next one goes on."""
    local = LocalOpenings(tmp_path)
    made = [LocalOpening("22/tcp", ("192.0.2.1",), 900, f"{n}") for n in range(MOST_TOLD + 3)]
    for each in made:
        local.add(each)
    local = LocalOpenings(tmp_path)  # the agent began anew
    told = local.pending()
    assert list(told) == made[:MOST_TOLD]
    local.forget(told)
    assert list(local.pending()) == made[MOST_TOLD:]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '[{"port": "22/tcp", "sources": [], "seconds": 1e999}]', "[5]", "{"]
)
def test_what_waited_and_cannot_be_read_stops_no_agent_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert LocalOpenings(tmp_path).pending() == ()
    assert not capsys.readouterr().out
    (tmp_path / "local-openings.json").write_text(text)
    assert LocalOpenings(tmp_path).pending() == ()
    assert "cannot be read" in capsys.readouterr().out
