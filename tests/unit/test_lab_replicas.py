"""The lab's servers, when there are several: hosts, programs, turns of the balancer, Debian's package."""

from __future__ import annotations

import os
import signal
import time
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.errors import ConfigurationError, NotFound
from bascule.lab import packages, stopping, units
from bascule.lab.balancer import Replica, Turns, header_of
from bascule.lab.commands import lab
from bascule.lab.database import admitted
from bascule.lab.fdstore import FdStore
from bascule.lab.folder import LabFolder
from bascule.lab.info import current_state
from bascule.lab.processes import ProcessId, identify
from bascule.lab.state import LabState, read_state, write_state
from bascule.lab.supervisor import Running, Supervisor
from bascule.lab.topology import MOST_REPLICAS, Shape, default_topology, widest_topology

THREE = default_topology("demo", Shape(3, has_database=True))
ONE = default_topology("demo", Shape(1, has_database=True))
FOLDER = LabFolder(Path("/labs/demo"))


def replica(name: str, *, is_ready: bool = True, is_answering: bool = True) -> Replica:
    return Replica(name, is_ready=is_ready, is_answering=is_answering)


# -- hosts


def test_a_lab_of_one_server_is_as_ever() -> None:
    plain = default_topology("demo")
    assert (plain.replicas, plain.database, plain.servers) == ((), None, (plain.server,))
    assert [host.name for host in plain.hosts][:2] == ["server", "client"]


def test_every_host_of_the_widest_lab_has_an_address_of_its_own() -> None:
    """By its names everything is found that a lab of any shape may have left."""
    widest = widest_topology("demo")
    assert len({ip_address(host.ipv4) for host in widest.hosts}) == len(widest.hosts)
    for number in range(1, MOST_REPLICAS + 1):
        for has_database in (False, True):
            some = default_topology("demo", Shape(number, has_database))
            assert set(some.namespaces) <= set(widest.namespaces)


@pytest.mark.parametrize(
    "shape", [Shape(), Shape(1, has_database=True), Shape(3, has_database=True)]
)
def test_its_shape_is_read_back(shape: Shape, tmp_path: Path) -> None:
    assert default_topology("demo", Shape.parse(str(shape))).shape == shape
    state = LabState("demo", 1, ProcessId(1, 1), is_rootless=False, shape=str(shape))
    write_state(tmp_path / "state", state)
    read = read_state(tmp_path / "state")
    assert read is not None
    assert read.topology == default_topology("demo", shape)


def test_replicas_need_a_database() -> None:
    done = CliRunner().invoke(lab, ["up", "--replicas", "2"])
    assert done.exit_code == 2
    assert "--replicas needs --postgresql: a file of SQLite belongs to one server" in done.output


# -- programs


def test_a_replica_is_called_by_the_balancers_names_and_by_its_own() -> None:
    second = THREE.replicas[1]
    unit = units.server(THREE, FOLDER, ["bascule"], second)
    line = " ".join(unit.argv)
    assert unit.name == "server-2"
    assert "--data /labs/demo/data-server-2 " in line
    assert "--name server --name 10.203.0.2 " in line
    assert "--name server-2 --name 10.203.0.5 " in line
    assert "--balancer 10.203.0.2 --balancer fd20:3::2 " in line
    assert "--join-file /labs/demo/join-server-2 " in line
    assert not unit.takes_listen_socket


def test_a_further_server_joins_by_a_token_of_the_first_one() -> None:
    """As README says, and no key is copied."""
    unit = units.invite(THREE, FOLDER, ["bascule"], THREE.replicas[1])
    asked = "admin replica invite --data /labs/demo/data --endpoint https://server-1:8443"
    assert " ".join(unit.argv).endswith(f"sh /labs/demo/join-server-2 bascule {asked}")
    assert (unit.name, unit.host.name, unit.is_oneshot) == ("invite-server-2", "server-1", True)
    assert "--join-file" not in units.server(THREE, FOLDER, ["bascule"], THREE.servers[0]).argv


def test_the_first_makes_the_installation() -> None:
    assert "/labs/demo/data" in units.server(THREE, FOLDER, ["bascule"], THREE.servers[0]).argv


def test_one_server_on_postgresql_needs_no_balancer() -> None:
    unit = units.server(ONE, FOLDER, ["bascule"])
    assert unit.takes_listen_socket
    assert "--balancer" not in unit.argv
    assert "postgresql://bascule@database/bascule?sslrootcert=" in " ".join(unit.argv)


def test_the_cluster_admits_the_servers_alone_and_over_tls() -> None:
    assert ONE.database is not None
    argv = units.database(ONE, ONE.database, FOLDER, "python", Path("/pg")).argv
    assert argv[-2:] == ONE.server.addresses
    lines = admitted(list(argv[-2:])).splitlines()
    assert lines == [
        "local all all trust",  # in a folder that only its account and root may enter
        "hostssl bascule bascule 10.203.0.2/32 scram-sha-256",
        "hostssl bascule bascule fd20:3::2/128 scram-sha-256",
    ]


def test_what_can_be_stopped() -> None:
    names = stopping.programs(THREE)
    assert names[:5] == ["server-1", "server-2", "server-3", "balancer", "database"]
    state = LabState("demo", 1, ProcessId(1, 1), is_rootless=False, shape=str(THREE.shape))
    with pytest.raises(NotFound) as caught:
        stopping.stop(FOLDER, state, "server", is_killed=False)
    assert "server-1" in caught.value.advice


def a_state(*running: str) -> LabState:
    own = identify(os.getpid())
    assert own is not None
    state = LabState("demo", 1, own, is_rootless=False, shape=str(THREE.shape))
    state.phase = "running"
    state.processes = dict.fromkeys(running, own)
    return state


def test_nobody_waits_for_what_was_stopped_by_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = LabFolder(tmp_path)
    folder.stopped("x").parent.mkdir()
    names = stopping.programs(THREE)
    state = a_state(*(name for name in names if name != "database"))
    monkeypatch.setattr("bascule.lab.info.running_state", lambda _: state)
    monkeypatch.setattr("bascule.lab.info.lab_folder", lambda _: folder)
    monkeypatch.setattr("bascule.lab.info._PATIENCE_SECONDS", 0.2)
    began = time.monotonic()
    current_state("demo", THREE)  # it may be back at any moment
    assert time.monotonic() - began >= 0.2
    monkeypatch.setattr("bascule.lab.info._PATIENCE_SECONDS", 60.0)
    folder.stopped("database").touch()
    began = time.monotonic()
    assert current_state("demo", THREE) is state
    assert time.monotonic() - began < 30


def test_what_is_stopped_just_after_it_died_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = LabFolder(tmp_path)
    folder.stopped("x").parent.mkdir()
    supervisor = Supervisor(folder, THREE, listener=-1, port=1)
    supervisor.state.phase = "running"
    started: list[str] = []

    def start(running: Running) -> None:
        started.append(running.unit.name)
        running.restart_at = 0.0

    monkeypatch.setattr(supervisor, "_start", start)
    for host in THREE.servers[:2]:
        unit = units.server(THREE, folder, ["bascule"], host)
        running = Running(unit, FdStore(close=os.close), restart_at=time.monotonic())
        supervisor._running[unit.name] = running
    folder.stopped("server-1").touch()
    supervisor._turn()
    assert started == ["server-2"]
    assert supervisor._running["server-1"].restart_at == 0.0, "it is not looked at again"
    folder.stopped("server-1").unlink()
    supervisor._start_again()
    assert started[1:2] == ["server-1"]


def test_what_was_started_again_meanwhile_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = LabFolder(tmp_path)
    folder.stopped("x").parent.mkdir()
    write_state(folder.state, a_state("server-1"))
    ended: list[int] = []

    def end(pid: int, *_: object) -> bool:
        ended.append(pid)
        return True

    monkeypatch.setattr(stopping, "end", end)
    stopping.stop(folder, a_state(), "server-1", is_killed=False)
    assert ended == [os.getpid()]


def test_the_cluster_does_not_wait_for_its_clients_when_it_ends() -> None:
    assert units.gentle_signal("database") == signal.SIGINT
    assert units.gentle_signal("server-1") == signal.SIGTERM


# -- the balancer


def test_no_two_connections_in_turn_go_to_one_replica() -> None:
    turns = Turns([replica("1"), replica("2"), replica("3", is_ready=False)])
    taken = []
    for _ in range(6):
        first = turns.candidates()[0]
        turns.took(first)
        taken.append(first.name)
    assert taken == ["1", "2"] * 3


def test_when_none_is_ready_those_that_answer_say_why() -> None:
    away = [replica(name, is_ready=False, is_answering=False) for name in "12"]
    turns = Turns(away)
    assert turns.candidates() == away  # the checks may be behind
    away[1].is_answering = True
    assert turns.candidates() == [away[1]]
    assert not turns.has_another(away[1])


def test_who_calls_is_told_in_the_callers_family() -> None:
    assert header_of(("10.203.0.10", 4), ("10.203.0.2", 5)) == (
        b"PROXY TCP4 10.203.0.10 10.203.0.2 4 5\r\n"
    )
    assert header_of(("fd20:3::10", 4), ("fd20:3::2", 5)).startswith(b"PROXY TCP6 fd20:3::10 ")


# -- Debian's package


def test_no_daemon_is_started_while_the_package_is_installed(tmp_path: Path) -> None:
    """The host's own policy is back afterwards, after a failure too."""
    policy = tmp_path / "policy-rc.d"
    with packages._no_daemons(policy):
        assert "exit 101" in policy.read_text()
    assert list(tmp_path.iterdir()) == []
    policy.write_text("own")
    with pytest.raises(RuntimeError), packages._no_daemons(policy):
        raise RuntimeError
    assert policy.read_text() == "own"


def test_the_policy_of_a_run_that_was_killed_is_not_taken_for_the_hosts(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(packages._POLICY_TEXT)
    policy.with_name("policy-rc.d.before-bascule").write_text("own")
    with packages._no_daemons(policy):
        pass
    assert policy.read_text() == "own"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_root_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(packages, "postgresql_programs", lambda: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError) as caught:
        packages.ensure_postgresql(said.append)
    assert "apt-get install --no-install-recommends postgresql" in caught.value.advice
    assert said == []


def test_what_is_installed_is_said_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    done: list[tuple[str, ...]] = []
    found = iter([None, tmp_path])

    def apt(_: str, *arguments: str, may_fail: bool = False) -> None:
        assert said == ["installing Debian's package postgresql (its daemon is not started)"]
        done.append(arguments)

    monkeypatch.setattr(packages, "_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(packages, "postgresql_programs", lambda: next(found))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(packages, "find_tool", lambda name: name if name == "apt-get" else None)
    monkeypatch.setattr(packages, "_apt", apt)
    assert packages.ensure_postgresql(said.append) == tmp_path
    assert done[-1] == ("install", "-y", "--no-install-recommends", "postgresql")
