"""The agent's first acts, in their order: shut, take the table over, and only then say so."""

from __future__ import annotations

import io
import os
import signal
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest

from bascule.agent.link import Identity
from bascule.agent.loop import AgentLoop
from bascule.agent.run import AgentPaths, AgentProcess, lock_state
from bascule.agent.service_manager import ServiceManager
from bascule.domain.net import Address
from bascule.domain.plan import Operation
from bascule.drivers.nftables.ownership import own
from bascule.errors import ConfigurationError, InvalidInput
from bascule.interfaces.driver import HostFirewall, Keeper
from bascule.lab.fdstore import FdStore, StoredFd, parse_notice
from bascule.testing.fake_driver import FakeDriver, FakeHostFirewall
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock

OURS = 77  # stands for the new agent's socket


class Told(ServiceManager):
    """A service manager that writes down what it hears, and keeps what it may."""

    def __init__(self, acts: list[str], store: FdStore) -> None:
        super().__init__("nowhere")
        self._acts = acts
        self._store = store

    def notify(self, state: str, descriptors: tuple[int, ...] = ()) -> bool:
        self._acts.append(state.partition("\n")[0])
        self._store.accept(parse_notice(state.encode()), [OURS for _ in descriptors])
        return True

    def barrier(self) -> bool:
        return True


class Watched(FakeDriver):
    """Writes down what is done to the firewall."""

    def __init__(self, acts: list[str]) -> None:
        super().__init__(FakeFirewall(SetClock()))
        self._acts = acts

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        super().apply(operations, since)
        self._acts.append("shut")

    def own(self, keeper: Keeper) -> None:
        own(keeper, OURS, self.take_over)

    def take_over(self, release_stored: Callable[[], None]) -> None:
        self._acts.append("a second table holds the rules")
        release_stored()
        self._acts.append("the table is ours")

    def close(self) -> None:
        self._acts.append("the table is let go")


class Host:
    def __init__(self, driver: Watched) -> None:
        self._driver = driver

    def firewall(self, name: str = "") -> HostFirewall:
        return FakeHostFirewall(lambda: self._driver)

    def local_port_range(self) -> tuple[int, int] | None:
        return None

    def own_addresses(self) -> frozenset[Address]:
        return frozenset()

    def next_hops(self, destination: Address, source: Address | None) -> None:
        return None

    def answered_by(self, machines: Sequence[object]) -> Sequence[Collection[Address]]:
        return [()] * len(machines)


@pytest.fixture
def store() -> FdStore:
    """As full as it gets: of eight agents that died before they gave a socket up."""
    dead = [StoredFd("nft-owner-1", number, is_polled=False) for number in range(8)]
    return FdStore(8, lambda _: None, lambda one, other: one == other, dead)


@pytest.fixture
def acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: FdStore) -> Iterator[list[str]]:
    """What an agent did that starts after some that died, and that knows no server."""
    done: list[str] = []
    reader, passed = os.pipe()
    monkeypatch.setattr(
        "bascule.agent.service_manager.passed_descriptors", lambda: [("nft-owner-1", passed)]
    )
    monkeypatch.setattr("bascule.agent.run.signal.signal", lambda *_: None)
    monkeypatch.setattr(ServiceManager, "from_environment", lambda: Told(done, store))
    paths = AgentPaths(tmp_path / "state", tmp_path / "agent.sock", tmp_path / "guard.toml")
    process = AgentProcess(Host(Watched(done)), paths, SetClock())
    with pytest.raises(ConfigurationError, match="not enrolled"):
        process.run("", None)
    yield done
    os.close(reader)


def test_ready_is_said_when_the_ports_are_shut(acts: list[str]) -> None:
    """EDGES A6: the unit holds the network back until then (Before=, Type=notify)."""
    assert acts.index("shut") < acts.index("READY=1")


def test_the_stored_socket_is_given_up_while_a_second_table_stands(acts: list[str]) -> None:
    """EDGES A5: without it a flush in that moment would open every port."""
    order = ["FDSTORE=1", "a second table holds the rules", "FDSTOREREMOVE=1", "the table is ours"]
    assert [each for each in acts if each in order][:4] == order


def test_the_new_socket_is_stored_though_the_dead_had_filled_the_store(
    acts: list[str], store: FdStore
) -> None:
    assert [entry.fd for entry in store.entries] == [OURS]
    assert acts.count("FDSTORE=1") == 2


def test_a_signal_during_the_start_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM may come before there is a loop to stop: the service would be killed later."""
    store = FdStore(8, lambda _: None, lambda *_: False)
    monkeypatch.setattr(ServiceManager, "from_environment", lambda: Told([], store))
    monkeypatch.setattr("bascule.agent.run.signal.signal", lambda *_: None)
    monkeypatch.setattr("bascule.agent.run.trust_of", lambda _: ssl.create_default_context())
    passes: list[AgentLoop] = []

    def step(loop: AgentLoop) -> None:
        passes.append(loop)
        loop.stop()

    monkeypatch.setattr(AgentLoop, "step", step)
    paths = AgentPaths(tmp_path / "state", tmp_path / "agent.sock", tmp_path / "guard.toml")
    process = AgentProcess(Host(Watched([])), paths, SetClock())

    def told_meanwhile(_: Path) -> Identity:
        process._on_signal(signal.SIGTERM, None)
        return Identity("https://127.0.0.1:1", "tenant", "uid", b"")

    monkeypatch.setattr("bascule.agent.run.load_identity", told_meanwhile)
    assert process.run("", None) == 0
    assert passes == []


def be_enrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a server that cannot be reached."""
    monkeypatch.setattr("bascule.agent.run.signal.signal", lambda *_: None)
    monkeypatch.setattr("bascule.agent.run.trust_of", lambda _: ssl.create_default_context())
    known = Identity("https://127.0.0.1:1", "tenant", "uid", b"")
    monkeypatch.setattr("bascule.agent.run.load_identity", lambda _: known)


def test_who_is_enrolled_starts_although_the_token_s_file_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token was for one use: whoever deletes it must not keep the agent from its next start."""
    be_enrolled(monkeypatch)
    monkeypatch.setattr(AgentLoop, "run", lambda _: None)
    paths = AgentPaths(tmp_path / "state", tmp_path / "agent.sock", tmp_path / "guard.toml")
    process = AgentProcess(Host(Watched([])), paths, SetClock())
    assert process.run("", tmp_path / "deleted") == 0
    (tmp_path / "damaged").write_text("bascule-enrol.")
    assert process.run("", tmp_path / "damaged") == 0


def test_what_the_agent_needs_in_files_and_cannot_have_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_enrolled(monkeypatch)
    for at, why in (("none/agent.sock", "No such file"), ("a" * 120, "too long")):
        paths = AgentPaths(tmp_path / at[:1], tmp_path / at, tmp_path / "guard.toml")
        process = AgentProcess(Host(Watched([])), paths, SetClock())
        with pytest.raises(ConfigurationError, match=why):
            process.run("", None)
    (tmp_path / "state" / "lock").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="lock cannot be opened"):
        lock_state(tmp_path / "state")


def test_the_ports_are_shut_before_a_token_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may be there to answer."""
    monkeypatch.setattr("bascule.agent.run.signal.signal", lambda *_: None)
    acts: list[str] = []

    def asked() -> str:
        acts.append("asked")
        return "no token"

    monkeypatch.setattr("bascule.agent.run.ask_token", asked)
    paths = AgentPaths(tmp_path / "state", tmp_path / "agent.sock", tmp_path / "guard.toml")
    process = AgentProcess(Host(Watched(acts)), paths, SetClock())
    with pytest.raises(InvalidInput, match="not an enrolment token"):
        process.run("https://127.0.0.1:1", None)
    assert acts.index("shut") < acts.index("asked")


def test_no_two_agents_store_under_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process id comes again: by its name the new socket would be forgotten with the old."""
    store = FdStore(8, lambda _: None, lambda *_: False)
    monkeypatch.setattr(ServiceManager, "from_environment", lambda: Told([], store))
    for name in ("one", "two"):
        paths = AgentPaths(tmp_path / name, tmp_path / "agent.sock", tmp_path / "guard.toml")
        AgentProcess(Host(Watched([])), paths, SetClock()).close_first()
    assert len({entry.name for entry in store.entries}) == 2


def test_ctrl_c_ends_an_agent_that_waits_for_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read goes on after a signal's handler returns (PEP 475), so the handler has to raise."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    reader, writer = os.pipe()
    paths = AgentPaths(tmp_path / "state", tmp_path / "agent.sock", tmp_path / "guard.toml")
    process = AgentProcess(Host(Watched([])), paths, SetClock())

    class Waiting(io.TextIOWrapper):
        def read(self, size: int | None = -1) -> str:
            signal.setitimer(signal.ITIMER_REAL, 0.1, 3)
            return super().read(size)

    acts = [lambda: os.kill(os.getpid(), signal.SIGINT), lambda: os.close(writer)]
    stdin = Waiting(os.fdopen(reader, "rb"))
    monkeypatch.setattr("sys.stdin", stdin)
    alarm = signal.signal(signal.SIGALRM, lambda *_: acts.pop(0)())
    try:
        with pytest.raises(KeyboardInterrupt):
            process.run("https://127.0.0.1:1", Path("-"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        stdin.close()
        if acts:
            os.close(writer)
        for number, handler in before:
            signal.signal(number, handler)
