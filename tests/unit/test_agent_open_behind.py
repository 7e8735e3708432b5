"""Root on a gateway opens a port of one machine behind it, for one source and a time (EDGES A25)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.agent import commands
from bascule.agent.by_root import Opened, Order, open_without_agent
from bascule.agent.control import ControlSocket, handler_for
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.memory import HeldFile
from bascule.agent.service_manager import ServiceManager
from bascule.domain.bindings import Whereabouts
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.errors import EnforcementFailed, InvalidInput
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from tests.unit.test_agent_behind import APP, BOB, EVE, SQL, SSH, World, lease, state
from tests.unit.test_agent_leave import _nothing

QUARTER = timedelta(minutes=15)
OTHER = ip_address("10.1.0.30")
TELNET = PortKey(TransportProtocol.TCP, 23)
GUARD = Guard(forwarding=Forwarding((AddressPrefix.parse("10.1.0.0/16"),)))


def order(machine: str = "app-1", source: str = BOB, port: PortKey = SSH) -> Order:
    return Order(port, (AddressPrefix.parse(source),), QUARTER, machine)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for uid, address in (("app", APP), ("sql", SQL)):
        made.server.states[uid] = replace(
            state(uid, 1), where=Whereabouts((address,), name=f"{uid}-1")
        )
    made.begin()
    return made


def tell(world: World, uid: str, where: Whereabouts) -> None:
    known = world.server.states[uid]
    world.server.states[uid] = replace(known, generation=known.generation + 1, where=where)
    world.loop.on_behind()
    world.step()


def refusal(world: World, wanted: Order) -> str:
    """Why nothing is opened; and nothing is, nor on record."""
    with pytest.raises(InvalidInput) as caught:
        world.loop.by_root.open(wanted)
    world.step()
    assert not world.reconciler.held.leases
    assert not any(each.held.leases for each in world.reconciler.held.behind.values())
    assert not any(report.local_openings for _, report in world.server.told)
    return caught.value.message


@pytest.mark.parametrize("named", ["app-1", "APP-1", "app", str(APP)])
def test_it_opens_one_port_of_one_machine_for_one_source_until_its_end(
    world: World, named: str
) -> None:
    opened = world.loop.by_root.open(order(named))
    assert (opened.is_closed, opened.place) == (True, f"app-1 ({APP})")
    assert world.is_open(APP, BOB)
    assert not world.is_open(APP, EVE), "another source"
    assert not world.is_open(SQL, BOB), "another machine"
    world.step(899)
    assert world.is_open(APP, BOB)
    world.clock.pass_time(2)
    assert not world.is_open(APP, BOB), "the firewall ends it, with no pass"
    world.step()
    assert not world.is_open(APP, BOB)


def test_a_port_that_is_not_closed_there_is_not_called_open(world: World) -> None:
    assert not world.loop.by_root.open(order(port=TELNET)).is_closed
    assert not world.is_open(APP, BOB), "no other port opens with it"


def test_a_name_that_is_none_lists_the_machines_behind(world: World) -> None:
    listed = f"Behind it: app-1 at {APP}, sql-1 at {SQL}."
    for named in ("web-9", "10.1.0.77", "app-", "*"):
        assert listed in refusal(world, order(named)), named


def test_two_machines_of_one_name_are_told_apart_by_address(world: World) -> None:
    tell(world, "sql", Whereabouts((SQL,), name="app-1"))
    assert "several machines behind this host have" in refusal(world, order("app-1"))
    world.loop.by_root.open(order(str(SQL)))
    assert (world.is_open(SQL), world.is_open(APP)) == (True, False)


def test_an_address_that_two_machines_claim_opens_for_neither(world: World) -> None:
    tell(world, "sql", Whereabouts((APP,), name="sql-1"))
    assert "several machines claim" in refusal(world, order(str(APP)))
    assert "has no address here that is its own" in refusal(world, order("app-1"))


def test_beyond_the_guard_file_s_networks_root_opens_nothing_either(world: World) -> None:
    tell(world, "app", Whereabouts((ip_address("10.2.0.10"),), name="app-1"))
    assert "in none of the networks" in refusal(world, order("app-1"))


def test_an_address_of_the_other_ip_version_is_said(world: World) -> None:
    assert "of the source's IP version" in refusal(world, order(source="2001:db8::1"))


def test_root_who_takes_the_network_away_ends_it_at_the_next_start(world: World) -> None:
    world.loop.by_root.open(order())
    for guard, is_open in ((GUARD, True), (Guard(), False), (GUARD, False)):
        after = Reconciler(world.driver, world.memory, world.clock, guard)
        after.restore(world.driver.observe().rules)
        after.reconcile()
        after.save()
        assert world.is_open(APP, BOB) is is_open


def test_it_is_not_healed_away_and_no_server_takes_it(world: World) -> None:
    world.loop.by_root.open(order())
    world.firewall.damage()
    world.step()
    assert world.is_open(APP, BOB), "our rules are put back with it"
    world.tell("app")
    world.step()
    assert world.is_open(APP, BOB), "a newer state does not name it"
    del world.server.states["app"]
    world.loop.on_behind()
    world.step()
    assert world.is_open(APP, BOB), "the machine was unbound"
    assert not world.is_open(APP, EVE)


def test_it_follows_no_machine_to_another_address(world: World) -> None:
    """A server that says so would lead root's opening to a machine that root did not name."""
    world.loop.by_root.open(order())
    tell(world, "app", Whereabouts((OTHER,), frozenset({APP}), name="app-1"))
    assert not world.firewall.reaches(BOB, SSH.behind(OTHER))
    assert world.is_open(APP, BOB)
    tell(world, "sql", Whereabouts((APP,), frozenset({SQL}), name="sql-1"))
    assert not world.is_open(APP, BOB), "another machine is there now"


def test_it_is_reported_with_its_machine_once_and_as_held_until_its_end(world: World) -> None:
    world.quiet()
    opened = world.loop.by_root.open(order())
    world.step()
    report = world.reported("app")[-1]
    (told,) = report.local_openings
    assert (told.port, told.sources, told.seconds, told.id) == (
        "22/tcp", (BOB,), 900, opened.grant_id,
    )  # fmt: skip  # reason: one row
    assert [each.id for each in report.held_locally] == [opened.grant_id]
    assert opened.grant_id in report.in_force
    assert not any(each.local_openings for each in world.reported("sql") + world.reported(""))
    world.step()
    world.loop.on_report_wanted()
    world.step()
    assert not world.reported("app")[-1].local_openings, "on record once"
    assert [each.id for each in world.reported("app")[-1].held_locally] == [opened.grant_id]


def test_a_server_that_was_away_hears_of_it_when_it_is_back(world: World, tmp_path: Path) -> None:
    world.server.is_taking = False
    opened = world.loop.by_root.open(order())
    world.step()
    assert [each.id for each in LocalOpenings(tmp_path).pending("app")] == [opened.grant_id]
    world.server.is_taking = True
    world.loop.on_line("")
    world.step()
    assert [each.id for each in world.reported("app")[-1].local_openings] == [opened.grant_id]
    assert LocalOpenings(tmp_path).pending("app") == ()


def test_of_a_machine_that_the_server_does_not_ask_for_the_gateway_reports_it(
    world: World,
) -> None:
    del world.server.states["app"]
    world.loop.on_behind()
    world.step()
    world.quiet()
    world.loop.by_root.open(order(str(APP)))
    world.step()
    told = [each for report in world.reported("") for each in report.local_openings]
    assert [each.port for each in told] == [f"22/tcp of {APP}"]


def test_a_grant_that_opens_nothing_is_not_in_force_because_root_opened_the_same(
    world: World,
) -> None:
    world.loop.by_root.open(order())
    world.server.states["app"] = replace(
        state("app", 2, lease()), where=Whereabouts((), frozenset({APP}), name="app-1")
    )
    world.loop.on_behind()
    world.step()
    assert world.is_open(APP, BOB), "by root"
    assert "g" not in world.reported("app")[-1].in_force


def test_one_that_the_firewall_refuses_is_on_record_and_waits(world: World) -> None:
    world.driver.refusals = 99
    with pytest.raises(EnforcementFailed, match="Not open yet"):
        world.loop.by_root.open(order())
    assert not world.is_open(APP, BOB)
    world.driver.refusals = 0
    world.step()
    assert world.is_open(APP, BOB)


def test_root_closes_early_what_root_opened_and_nothing_else(world: World) -> None:
    world.tell("app", lease())
    world.step()
    world.loop.by_root.open(order(source=EVE))
    world.loop.by_root.open(order("sql-1", EVE))
    said = world.loop.by_root.close(SSH, (), "app-1")
    assert said == [f"port 22/tcp of app-1 ({APP}) for {EVE}"]
    assert not world.is_open(APP, EVE)
    assert world.is_open(APP, BOB), "the server's grant"
    assert world.is_open(SQL, EVE), "the other machine's"
    assert world.loop.by_root.close(SSH, (), "app-1") == []
    world.step()
    assert any("root ended its own opening" in note for note in world.reported("")[-1].notes)
    after = Reconciler(world.driver, world.memory, world.clock, GUARD)
    after.restore(world.driver.observe().rules)
    after.reconcile()
    assert not world.is_open(APP, EVE), "nor at the next start"


def test_one_source_is_closed_alone(world: World) -> None:
    world.loop.by_root.open(order(source=EVE))
    world.loop.by_root.open(order(source=BOB))
    assert len(world.loop.by_root.close(SSH, (AddressPrefix.parse(EVE),), str(APP))) == 1
    assert (world.is_open(APP, BOB), world.is_open(APP, EVE)) == (True, False)


# -- by the command ----------------------------------------------------------------------------


def say(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(world.loop, "ask", lambda work, _=10.0: work())
    control = ControlSocket(folder / "agent.sock", handler_for(world.loop, _nothing))
    try:
        done = CliRunner().invoke(commands.agent, [*words, "--state", str(folder)])
    finally:
        control.close()
    return str(done.exception) if done.exit_code else done.output


def test_the_command_says_which_machine_and_status_shows_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = ("open", "--machine", "app-1", "-p", "22", "--for", "15m", "--from", BOB)
    said = say(world, tmp_path, monkeypatch, *opens)
    assert f"Port 22/tcp of app-1 ({APP}) is open for {BOB}, for 15m." in said
    shown = say(world, tmp_path, monkeypatch, "status")
    assert f"app-1 {APP}: closed 22/tcp; open: 22/tcp from {BOB} for 900 s more (by root" in shown
    closes = ("close", "--machine", "app-1", "-p", "22")
    assert "Closed port 22/tcp of app-1" in say(world, tmp_path, monkeypatch, *closes)
    assert "has not opened port 22/tcp there" in say(world, tmp_path, monkeypatch, *closes)
    assert "byRoot" in say(world, tmp_path, monkeypatch, "status", "-o", "json")


def test_no_command_opens_for_longer_than_a_day(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = ("open", "--machine", "app-1", "-p", "22", "--for", "25h", "--from", BOB)
    assert "from 1 second to 1 day" in say(world, tmp_path, monkeypatch, *opens)
    handle = handler_for(world.loop, _nothing)
    told = {"command": "open", "protocol": "TCP", "number": 22, "sources": [BOB], "machine": "app"}
    for seconds in (0.5, 90_000, float("nan")):
        with pytest.raises(InvalidInput):
            handle({**told, "seconds": seconds}, lambda: False)
    assert not world.is_open(APP, BOB)


# -- with the agent dead -----------------------------------------------------------------------


def alone(world: World, folder: Path, guard: Guard, wanted: Order | None = None) -> Opened:
    HeldFile(folder, world.clock, "boot").save(world.memory.held)
    driver = FakeDriver(world.firewall)
    keeper = ServiceManager(None)
    return open_without_agent(driver, folder, world.clock, wanted or order(), keeper, guard)


def test_with_the_agent_dead_it_opens_and_others_keep_their_access(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.agent.memory.boot_id", lambda: "boot")
    world.tell("sql", lease())
    world.step()
    opened = alone(world, tmp_path, GUARD)
    assert opened.place == f"app-1 ({APP})"
    assert (world.is_open(APP, BOB), world.is_open(APP, EVE)) == (True, False)
    assert world.is_open(SQL, BOB), "the guard file is read: nobody's grant is ended"
    assert [each.id for each in LocalOpenings(tmp_path).pending("app")] == [opened.grant_id]


def test_with_the_agent_dead_the_guard_holds_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.agent.memory.boot_id", lambda: "boot")
    with pytest.raises(InvalidInput, match="in none of the networks"):
        alone(world, tmp_path, Guard())
    with pytest.raises(InvalidInput, match="Behind it: app-1"):
        alone(world, tmp_path, GUARD, order("nobody"))
    assert not world.is_open(APP, BOB)
