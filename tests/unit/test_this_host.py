"""``serve --this-host``: the point in the server's own process obeys like any other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bascule.agent.control import ControlSocket
from bascule.agent.link import KeyRefused
from bascule.bootstrap.serve import serve
from bascule.bootstrap.this_host import LocalLink, ThisHost
from bascule.client.host_agent import open_on_this_host, tell_agent
from bascule.domain.desired import DesiredState
from bascule.domain.net import Address
from bascule.errors import ConfigurationError, Conflict, InvalidInput
from bascule.interfaces.driver import HostFirewall
from bascule.interfaces.points import Enrolment
from bascule.interfaces.store import Transaction
from bascule.protocol.report import Report
from bascule.services import machines
from bascule.services.act import IN_PROCESS_KEY, Act
from bascule.services.fleet import Refused, enrol, hash_token
from bascule.services.reports import take_report
from bascule.testing.fake_driver import FakeDriver, FakeHostFirewall
from bascule.testing.fake_firewall import FakeFirewall
from tests.e2e.lab_world import until
from tests.unit.services_world import World, rules


class NoRight:
    """The host of somebody who may not change its firewall."""

    def firewall(self, name: str = "") -> HostFirewall:
        raise ConfigurationError("Changing the firewall is not permitted.", advice="Run as root.")

    def local_port_range(self) -> tuple[int, int] | None:
        return None

    def own_addresses(self) -> frozenset[Address]:
        return frozenset()

    def next_hops(self, destination: Address, source: Address | None) -> None:
        return None

    def answered_by(self, machines: Sequence[object]) -> Sequence[Collection[Address]]:
        return [()] * len(machines)


class FakeHost:
    """A host whose firewall is the fake."""

    def __init__(self, world: World) -> None:
        self.packets = FakeFirewall(world.clock)

    def firewall(self, name: str = "") -> HostFirewall:
        return FakeHostFirewall(lambda: FakeDriver(self.packets))

    def local_port_range(self) -> tuple[int, int] | None:
        return None

    def own_addresses(self) -> frozenset[Address]:
        return frozenset()

    def next_hops(self, destination: Address, source: Address | None) -> None:
        return None

    def answered_by(self, machines: Sequence[object]) -> Sequence[Collection[Address]]:
        return [()] * len(machines)


def _guarded() -> World:
    """One in which web-1 is the server's own host."""
    world = World()
    world.enrol(world.web, IN_PROCESS_KEY, replaces=True)
    return world


def _beside(world: World, data: Path, control: Path, do: Callable[[], None]) -> None:
    """Do that while a server protects its own host."""

    async def serve_meanwhile() -> None:
        host = ThisHost(world.services, FakeHost(world), data, control)
        await host.start(world.installation)
        try:
            await asyncio.to_thread(do)
        finally:
            await host.stop()

    asyncio.run(serve_meanwhile())


def _fetch(world: World, uid: str) -> DesiredState:
    """What the loop's thread gets while the server's event loop runs."""

    async def ask() -> DesiredState:
        link = LocalLink(world.services, uid, asyncio.get_running_loop())
        return await asyncio.to_thread(link.fetch_state, lambda: None)

    return asyncio.run(ask())


def _report(world: World, uid: str) -> int:
    """The generation that the loop's thread hears when it reports."""

    async def ask() -> int:
        link = LocalLink(world.services, uid, asyncio.get_running_loop())
        return await asyncio.to_thread(link.send_report, Report(0, frozenset()))

    return asyncio.run(ask())


def test_a_deleted_machine_shuts_every_opening_at_once() -> None:
    """A12: KeyRefused is what makes the loop shut; "server away" would let leases run on."""
    world = _guarded()
    assert _fetch(world, world.web.uid).machine_uid == world.web.uid
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    with pytest.raises(KeyRefused):
        _fetch(world, world.web.uid)


def test_another_agents_machine_is_not_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hosts as one machine: each grant for the one would open the other's ports too. And no
    owner of that machine keeps the server from starting.
    """
    monkeypatch.setattr("socket.gethostname", lambda: "web-1")
    world, control = World(), tmp_path / "agent.sock"
    world.put(rules(world.web, 22))
    world.report(world.web, world.granted(world.web).id)

    def status() -> dict[str, Any]:
        said: dict[str, Any] = tell_agent(control, {"command": "status"})["status"]
        return said

    def ask() -> None:
        assert until(lambda: status()["refused"], 30)
        assert (status()["closed"], status()["open"]) == ([], [])

    _beside(world, tmp_path, control, ask)
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.public_key == "key-1"


def test_no_token_takes_the_servers_own_host() -> None:
    """Whoever owns that one machine could end all openings on the server's host by it."""
    world = _guarded()
    with pytest.raises(Conflict, match="server protects"):
        world.enrol(world.web, "key-2", replaces=True)
    enrolment = Enrolment(
        "made before", world.web.uid, hash_token("t"), world.clock.now() + timedelta(hours=1), True
    )
    world.do(lambda tx, _: tx.add_enrolment(enrolment), None)
    refused = world.do(lambda tx, act: enrol(tx, act, "t", "key-2", "test"), None)
    assert isinstance(refused, Refused)
    assert _fetch(world, world.web.uid).machine_uid == world.web.uid


def test_an_agent_enrolled_in_its_place_shuts_it() -> None:
    """A12: after its point was removed its word counts no more, though it needs no key to speak."""
    world = _guarded()
    world.do(lambda tx, _: tx.delete_enforcement_point(world.web.uid), None)
    world.enrol(world.web, "key-2")
    with pytest.raises(KeyRefused):
        _fetch(world, world.web.uid)
    with pytest.raises(KeyRefused):
        _report(world, world.web.uid)


@pytest.mark.sockets
def test_without_the_right_to_the_firewall_nothing_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is an error with advice, not a server's stack from inside its start."""

    served: list[object] = []
    monkeypatch.setattr("bascule.api.server.run_server", lambda *a, **_: served.append(a))
    done = CliRunner().invoke(
        serve,
        ["--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--this-host"],
        obj=NoRight(),
    )
    assert isinstance(done.exception, ConfigurationError)
    assert not served


def test_root_finds_the_loop_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A25: policy set in an ssh session on this machine must be able to let its peer in."""
    monkeypatch.setattr("socket.gethostname", lambda: "web-1")
    world, control = _guarded(), tmp_path / "run" / "agent.sock"
    beside_state = tmp_path / "this-host" / "agent.sock"

    def ask() -> None:
        for path in (control, beside_state):
            assert tell_agent(path, {"command": "status"})["status"]["machineUid"] == world.web.uid
        assert control.stat().st_mode & 0o777 == 0o600
        assert control.parent.stat().st_mode & 0o777 == 0o700
        open_on_this_host(control, "TCP", 22, "192.0.2.9", 900)
        (opened,) = tell_agent(control, {"command": "status"})["status"]["open"]
        assert (opened["ports"], opened["local"]) == (["22/tcp"], True)
        with pytest.raises(InvalidInput, match="server's own process") as refused:
            tell_agent(control, {"command": "uninstall"})
        assert "Stop the server" in refused.value.advice
        assert f"bascule agent uninstall --state {tmp_path / 'this-host'}" in refused.value.advice

    _beside(world, tmp_path, control, ask)
    assert not control.exists()
    assert not beside_state.exists()


def test_the_guard_file_bounds_the_server_on_its_own_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ARCHITECTURE rule 9: whoever takes the server's pages over is still not this host's root."""
    guard, control = tmp_path / "guard.toml", tmp_path / "agent.sock"
    guard.write_text("ports = []\n")
    monkeypatch.setattr("socket.gethostname", lambda: "web-1")
    monkeypatch.setattr("bascule.bootstrap.this_host.DEFAULT_PATH", guard)
    world = _guarded()
    world.put(rules(world.web, 22))
    world.granted(world.web)

    def status() -> dict[str, Any]:
        said: dict[str, Any] = tell_agent(control, {"command": "status"})["status"]
        return said

    def ask() -> None:
        assert until(lambda: status()["closed"] == ["22/tcp"], 30), "the server's state is taken in"
        assert status()["open"] == []

    _beside(world, tmp_path, control, ask)


def test_the_place_of_another_agent_that_answers_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "web-1")
    control = tmp_path / "agent.sock"
    other = ControlSocket(control, lambda *_: {"status": "the other's"})

    def ask() -> None:
        assert tell_agent(control, {"command": "status"})["status"] == "the other's"

    try:
        _beside(_guarded(), tmp_path, control, ask)
        ask()
    finally:
        other.close()


def test_a_damaged_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A6: the management ports are shut then, and whoever wonders why can read it."""
    monkeypatch.setattr("socket.gethostname", lambda: "web-1")
    told: list[str] = []
    heard = threading.Event()

    def take(tx: Transaction, act: Act, uid: str, report: Report) -> int:
        told.extend(report.notes)
        heard.set()
        return take_report(tx, act, uid, report)

    monkeypatch.setattr("bascule.bootstrap.this_host.take_report", take)
    (tmp_path / "this-host").mkdir()
    (tmp_path / "this-host" / "held.json").write_text("{")
    _beside(_guarded(), tmp_path, tmp_path / "agent.sock", lambda: _hear(heard))
    assert "no saved state can be read: the management ports are closed" in told


def _hear(heard: threading.Event) -> None:
    assert heard.wait(10)
