"""The owner's sharp cases on real processes: machines that go and come back, root's own word,
leaving without a trace (EDGES A6, A12, A25)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.agent.install import UNIT_NAME, unit_text
from bascule.agent.local_openings import FILE
from bascule.client import exposure, machines, policies
from bascule.clocks import SystemClock
from bascule.drivers.nftables.host import NftablesHost
from bascule.errors import Conflict, RequestDenied
from tests.e2e.lab_world import until
from tests.e2e.small_world import BASCULE, PORT, SmallWorld, rule, sleep_until
from tests.netns.conftest import why_not
from tests.netns.network import CLIENT, INNER, STRANGER

AT_ONCE = 10.0  # seconds that a loaded machine may take; the opening itself has ten minutes
pytestmark = [pytest.mark.root, pytest.mark.leak]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22)
        yield made


def _changed(statement: str) -> tuple[str, ...]:
    """``bascule`` with one of its bounds set to another."""
    return (sys.executable, "-c", f"{statement}; from bascule.bootstrap import main; main()")


def _where(world: SmallWorld) -> tuple[str, ...]:
    return ("--state", str(world.state), "--control", str(world.control))


def test_a_deleted_machine_and_one_of_the_same_name(world: SmallWorld) -> None:
    """A12: its agent shuts every opening at once and keeps the ports shut; the new machine
    inherits nothing; a token works once; over a live key only with --replace."""
    world.start(rule(22))
    first_token, first = world.token, world.machine()
    world.request(22, 600)
    assert world.lets_in(22)
    world.ask(lambda c: machines.delete_machine(c, world.machine_id))
    assert until(lambda: not world.lets_in(22), AT_ONCE), world.logs()
    ended = [each.data for each in world.events("GrantEnded")]
    assert any("deletion of" in each["cause"] for each in ended)
    assert world.agent_status()["refused"]
    assert world.agent_status()["closed"] == ["22/tcp"]
    world.restart_agent()
    assert until(lambda: world.agent_log().count("rules are in place") == 2, 60)
    assert not world.lets_in(22)

    world.add_machine()
    second = world.machine()
    assert second.uid != first.uid
    assert second.closed_ports == ()
    assert second.point is None
    assert world.ask(lambda c: policies.get_machine_rules(c, world.machine_id)).policies == ()
    assert until(lambda: _is_heard(world), 60), "the socket file may be of the agent before"
    assert world.agent_status()["refused"], "the old key is not the new machine's"
    assert not world.lets_stranger_in(22)

    # The old token again, by another agent: refused, and on record.
    refused = _enrol(world, first_token)
    assert refused.returncode != 0
    assert any("token" in str(each.data) for each in world.events("CallerDenied"))
    world.restart_agent()  # with the new machine's token: enrols anew in the same state
    world.wait_enforced(30)
    assert until(lambda: not world.agent_status()["refused"], 10)
    assert not world.lets_stranger_in(22), "what an earlier life shut stays shut"
    assert until(lambda: {each.number for each in world.machine().claimed_ports} == {22})
    again = _enrol(world, world.token)
    assert again.returncode != 0
    assert "already used" in again.stderr
    with pytest.raises(Conflict, match="enrolled agent"):
        world.enrol_token()
    over = _enrol(world, world.spare)
    assert over.returncode != 0
    assert "--replace" in over.stderr
    assert len(world.events("EnrolmentRefused")) >= 2
    replaced = _enrol(world, world.enrol_token(replaces=True))
    assert replaced.returncode == 0, replaced.stderr
    assert until(lambda: world.agent_status()["refused"], 20), "the key before is void"
    assert not world.lets_stranger_in(22)
    world.ask(lambda c: policies.release_ports(c, world.machine_id, []))


def _is_heard(world: SmallWorld) -> bool:
    return world.on_host("agent", "status", *_where(world), check=False).returncode == 0


def _enrol(world: SmallWorld, token: str) -> subprocess.CompletedProcess[str]:
    state, units = world.folder / "other", world.folder / "units"
    shutil.rmtree(state, ignore_errors=True)
    units.mkdir(exist_ok=True)
    return world.on_host(
        "agent", "install", "--server", f"https://{INNER}:{PORT}",
        "--state", str(state), "--unit-folder", str(units), check=False, token=token,
    )  # fmt: skip


def test_root_opens_with_server_and_agent_dead(world: SmallWorld) -> None:
    """A25: by root's word alone, time-boxed, and told when there is somebody to tell."""
    world.start(rule(22))
    assert world.server is not None
    assert world.agent is not None
    world.server.kill()
    world.agent.kill()
    world.manager.store.clear()  # its service was stopped: nobody owns the table
    refused = world.on_host("agent", "open", "-p", "22", *_where(world), check=False)
    assert refused.returncode != 0
    assert "--from" in refused.stderr
    said = world.on_host(
        "agent", "open", "-p", "22", "--for", "40s", "--from", STRANGER, *_where(world)
    )
    end = time.monotonic() + 40
    assert "No agent is running" in said.stdout
    assert world.lets_stranger_in(22)
    assert not world.lets_in(22)
    world.start_agent()
    assert until(lambda: world.agent_log().count("rules are in place") == 2, 60)
    assert world.lets_stranger_in(22), "an agent that starts keeps root's opening"
    world.start_server()
    assert until(lambda: world.events("OpenedLocally"), 30), world.logs()
    (told,) = world.events("OpenedLocally")
    assert told.data["port"] == "22/tcp"
    assert told.data["sources"] == [STRANGER]
    assert world.lets_stranger_in(22), "the server's state does not heal it away"
    sleep_until(end + 0.25)
    assert not world.lets_stranger_in(22)
    world.restart_agent()
    world.wait_enforced()
    assert len(world.events("OpenedLocally")) == 1


def test_root_opens_while_the_agent_is_starting(world: SmallWorld) -> None:
    """Its socket still owns the table: whoever opens waits for it and does no harm."""
    world.start(rule(22))
    assert world.agent is not None
    world.agent.kill()
    opening = subprocess.Popen(
        [
            "ip", "netns", "exec", world.network.host.name,
            *_changed("import bascule.agent.opening as o; o.AGENT_PATIENCE = 30.0"),
            "agent", "open", "-p", "22", "--for", "60s", "--from", STRANGER, *_where(world),
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while opening.poll() is None:
        assert world.agent is not None
        if not world.agent.is_alive:  # as Restart= does, a second after each death
            time.sleep(1)
            world.start_agent()
        time.sleep(0.1)
    assert opening.wait(20) == 0
    assert world.lets_stranger_in(22)
    assert not world.lets_in(22)


def test_the_guard_file_bounds_the_server(world: SmallWorld) -> None:
    """ARCHITECTURE rule 9, seen by packets: one of two ports, one of two sources, 20 seconds of ten
    minutes. First asked of a server that has not heard of the guard, then of one that has."""
    world.network.echo(23)
    world.start(rule(22), rule(23))
    assert world.agent is not None
    world.agent.kill()
    bounds = f'ports = ["22/tcp"]\nsources = ["{CLIENT}"]\nmax_duration = "PT20S"\n'
    (world.folder / "guard.toml").write_text(bounds)
    refused = [
        world.request(23, 600, wait=0),
        world.request(22, 600, source=STRANGER, wait=0),
    ]
    admitted = world.request(22, 600, wait=0)
    world.start_agent()
    world.wait_state(admitted, "open", 20)
    for each in refused:
        world.wait_state(each, "failed")
        assert "guard file" in world.port_of(each).failure
    assert world.lets_in(22)
    assert not world.lets_in(23)
    assert not world.lets_stranger_in(22)
    left = world.port_of(admitted).ends_at - SystemClock().now()
    assert left.total_seconds() < 21, "the end that people see is the end that the host holds"
    assert until(lambda: "guard refused" in str(world.events("AgentReported")), 10)
    for port, source, seconds, code in (
        (23, CLIENT, 10, "PortNotAdmittedByHost"),
        (22, STRANGER, 10, "SourceNotAdmittedByHost"),
        (22, CLIENT, 600, "LongerThanHostAdmits"),
    ):
        with pytest.raises(RequestDenied) as denied:
            world.request(port, seconds, source=source, wait=0)
        assert denied.value.specific_code == code
    world.wait_state(admitted, "closed", 25)
    assert not world.lets_in(22)


def test_what_root_opened_before_its_port_is_closed_is_told_when_it_is(world: SmallWorld) -> None:
    """EDGES E9: as ``agent install`` over ssh does, and then somebody sets a policy."""
    world.start_server()
    world.add_machine()
    world.start_agent()
    world.wait_enforced()
    world.on_host("agent", "open", "-p", "22", "--from", STRANGER, "--for", "5m", *_where(world))
    world.set_rules(rule(22))
    world.wait_enforced()
    assert world.lets_stranger_in(22)
    assert not world.lets_in(22)

    def told() -> list[tuple[str, ...]]:
        found = world.ask(lambda c: exposure.get_exposure(c, world.machine_id, exposure.Asked()))
        return [opening.sources for port in found.ports for opening in port.openings]

    assert until(lambda: told() == [(STRANGER,)], 10), told()
    hours = world.ask(lambda c: exposure.get_port_hours(c, exposure.Asked()))
    assert hours.data["now"]["openings"] == 1


def test_an_agent_started_by_hand_says_that_its_table_is_not_held(world: SmallWorld) -> None:
    world.start_server()
    world.add_machine()
    world.start_agent(is_kept=False)
    world.wait_enforced()
    assert any("No service manager keeps" in each for each in _weak(world))
    world.restart_agent()
    assert until(lambda: not _weak(world), 20)


def _weak(world: SmallWorld) -> tuple[str, ...]:
    point = world.machine().point
    return tuple(each.text for each in point.weaknesses) if point is not None else ()


@pytest.mark.parametrize("is_alive", [True, False])
def test_uninstall_leaves_nothing(world: SmallWorld, is_alive: bool) -> None:
    """Rules, unit, files: gone, and what it opened is said; with an agent and without."""
    longer = "import bascule.agent.farewell as f; f.tell_server.__defaults__ = (8.0,)"
    world.start(rule(22), rule(2222, on_expiry="kill"), program=_changed(longer))
    units = world.folder / "units"
    units.mkdir()
    (units / UNIT_NAME).write_text("[Unit]\n")
    assert world.agent is not None
    if not is_alive:
        world.agent.kill(signal.SIGTERM)
        world.manager.store.clear()
    said = world.on_host("agent", "uninstall", "--yes", "--unit-folder", str(units), *_where(world))
    assert "opened port 22/tcp" in said.stdout
    assert "opened port 2222/tcp" in said.stdout
    assert "left" not in said.stdout
    assert until(lambda: world.agent is not None and not world.agent.is_alive, 10)
    assert "bascule" not in world.network.host.run("nft", "list", "ruleset")
    assert world.lets_stranger_in(22)
    assert not world.state.exists()
    assert not world.control.exists()
    assert not list(units.iterdir())
    if is_alive:
        (told,) = world.events("AgentReported")
        assert "uninstalled by root on the host" in str(told), "the record shows it"
        assert any("Root has uninstalled" in each for each in _weak(world))
        point = world.machine().point
        assert point is not None
        assert not point.is_enforcing, "machine list says so too"
    again = world.on_host(
        "agent", "uninstall", "--yes", "--unit-folder", str(units), *_where(world), check=False
    )
    assert again.returncode == 0, again.stderr
    assert not world.state.exists()


def test_install_from_an_ssh_session_lets_its_peer_in_first(world: SmallWorld) -> None:
    """A25: the peer is found through the parents, as under sudo, which clears the environment."""
    world.start_server()
    world.add_machine()
    world.set_rules(rule(22))
    units = world.folder / "units"
    units.mkdir()
    inner = [
        *BASCULE, "agent", "install", "--server", f"https://{INNER}:{PORT}", "--token-file", "-",
        "--state", str(world.state), "--unit-folder", str(units),
    ]  # fmt: skip
    done = subprocess.run(
        [
            "ip", "netns", "exec", world.network.host.name, "env",
            f"SSH_CONNECTION={CLIENT} 50000 10.77.0.1 22", "sh", "-c", 'env -i "$@"; exit $?', "sh",
            f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", "PATH=/usr/bin:/bin:/usr/sbin", *inner,
        ],
        input=world.token,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"comes from {CLIENT}" in done.stdout
    assert (units / UNIT_NAME).exists()
    world.token = ""
    world.start_agent()
    world.wait_enforced()
    assert world.lets_in(22), "not locked out"
    assert not world.lets_stranger_in(22)
    assert until(lambda: world.events("OpenedLocally"), 10), "and it is on record"


def test_install_takes_the_place_of_an_agent_that_does_not_run(world: SmallWorld) -> None:
    """A12, A25: nothing changes while another agent lives on that state; and then the new
    identity inherits what is shut and what root opened, no grant and no generation."""
    world.network.echo(2222)
    world.start(rule(22), rule(2222))
    world.request(22, 600)
    world.on_host("agent", "open", "-p", "2222", "--for", "10m", "--from", STRANGER, *_where(world))
    assert world.lets_in(22)
    assert until(lambda: world.events("OpenedLocally"), 10)
    assert until(lambda: not (world.state / FILE).exists(), 20), "the server has been told"
    files = {path: path.read_bytes() for path in _lasting(world)}
    refused = _install(world, world.enrol_token(replaces=True))
    assert refused.returncode != 0
    assert f"Another agent runs on {world.state}" in refused.stderr
    assert "systemctl stop" in refused.stderr
    assert {path: path.read_bytes() for path in _lasting(world)} == files
    assert not world.events("EnrolmentRefused")
    assert not world.agent_status()["refused"], "it never asked the server"

    assert world.agent is not None
    world.agent.kill(signal.SIGTERM)
    wrong = _install(world, world.spare)
    assert wrong.returncode != 0
    assert "--replace" in wrong.stderr
    world.token = ""
    world.start_agent()
    world.wait_enforced()
    assert world.lets_in(22), "a token that is refused takes nothing away"
    world.agent.kill(signal.SIGTERM)
    world.ask(lambda c: machines.delete_machine(c, world.machine_id))
    world.add_machine()
    _install(world, world.token, check=True)
    world.token = ""
    world.start_agent()
    world.wait_enforced()
    assert not world.agent_status()["refused"]
    assert not world.events("GenerationOvertaken"), "its server counts from the start"
    assert not world.lets_in(22), "a grant of the machine before"
    assert world.network.stranger.reaches(2222), "by root's word"
    assert not world.lets_in(2222)


def _lasting(world: SmallWorld) -> list[Path]:
    """The files of an agent's state that do not change by themselves."""
    return [each for each in world.state.iterdir() if each.name not in {"witness.json", "lock"}]


def _install(
    world: SmallWorld, token: str, check: bool = False
) -> subprocess.CompletedProcess[str]:
    units = world.folder / "units"
    units.mkdir(exist_ok=True)
    return world.on_host(
        "agent", "install", "--server", f"https://{INNER}:{PORT}",
        "--state", str(world.state), "--unit-folder", str(units), check=check, token=token,
    )  # fmt: skip


def test_the_unit_starts_before_the_network_and_after_nftables(tmp_path: Path) -> None:
    """A6, A25: `systemd-analyze verify` has nothing to say of the unit itself."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian package systemd)")
    text = unit_text(
        (sys.executable, "-m", "bascule.bootstrap"),
        Path("/var/lib/bascule-agent"),
        NftablesHost.needs.unit,
    )
    unit = tmp_path / UNIT_NAME
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if UNIT_NAME in line]
    assert not ours, done.stderr
    lines = text.splitlines()
    (after,) = (line for line in lines if line.startswith("After="))
    (before,) = (line for line in lines if line.startswith("Before="))
    assert "nftables.service" in after
    assert "MemoryMax=512M" in lines  # E4
    assert "network-pre.target" in before
    assert any(line.startswith("FileDescriptorStoreMax=") for line in lines)
    assert "Type=notify" in lines, "else what waits for the unit does not wait for shut ports"
