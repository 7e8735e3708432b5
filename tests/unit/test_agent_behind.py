"""A gateway's agent asks for, enforces, reports and echoes the machines behind it, and forgets none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.agent import behind
from bascule.agent.behind import MOST_ASKED
from bascule.agent.link import KeyRefused, Listener, NotGuarded, Pushed
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.agent.news import COUNTERS_SECONDS
from bascule.agent.state import StateRefused
from bascule.agent.timetable import LONGEST_RETRY, WATCH_SECONDS
from bascule.domain.bindings import Whereabouts
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.held import Held
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, AddressPrefix, PortBehind, PortKey, TransportProtocol
from bascule.domain.shadows import enforces_nothing
from bascule.errors import EnforcementFailed, ServerUnreachable
from bascule.interfaces.driver import Blocked
from bascule.protocol.report import MOST_HOPS, Report
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock

SSH = PortKey(TransportProtocol.TCP, 22)
APP, SQL = map(ip_address, ("10.1.0.10", "10.1.0.20"))
BOB, EVE = "192.0.2.1", "192.0.2.66"
WHERE = {"app": Whereabouts((APP,)), "sql": Whereabouts((SQL,))}


class Memory:
    def __init__(self) -> None:
        self.held = Held()

    def save(self, held: Held) -> None:
        self.held = held

    def load(self) -> Held:
        return self.held


def state(uid: str, generation: int, *leases: Lease) -> DesiredState:
    return DesiredState(
        uid, generation, frozenset({ClosedPort(SSH)}), {}, leases, where=WHERE.get(uid)
    )


def lease(grant_id: str = "g", seconds: float = 600.0) -> Lease:
    return Lease(grant_id, (SSH,), (AddressPrefix.parse(BOB),), timedelta(seconds=seconds))


class Server:
    """A Link on which the test says what the server would."""

    def __init__(self) -> None:
        self.has_line, self.may_poll = True, False
        self.own = DesiredState("gw", 1, frozenset(), {}, ())
        self.states: dict[str, DesiredState] = {}
        self.is_naming = True
        self.pushes: dict[str, Pushed] = {}
        self.asked: list[str] = []
        self.told: list[tuple[str, Report]] = []  # an empty uid is the gateway's own
        self.echoes: list[tuple[str, str, Mapping[str, int]]] = []
        self.faults: dict[str, Exception] = {}  # of asking for a machine
        self.is_taking = True

    def named(self) -> Mapping[str, int] | None:
        return (
            {uid: each.generation for uid, each in self.states.items()} if self.is_naming else None
        )

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        meanwhile()
        return self.own

    def fetch_behind(self, uid: str) -> DesiredState:
        self.asked.append(uid)
        if uid in self.faults:
            raise self.faults[uid]
        return self.states[uid]

    def pushed(self) -> Pushed | None:
        return None

    def pushed_behind(self, uid: str) -> Pushed | None:
        return self.pushes.pop(uid, None)

    def send_report(self, report: Report) -> int:
        self._take("", report)
        return self.own.generation

    def report_behind(self, uid: str, report: Report) -> None:
        if uid not in self.states:
            raise NotGuarded("not bound")
        self._take(uid, report)

    def _take(self, uid: str, report: Report) -> None:
        if not self.is_taking:
            raise ServerUnreachable("away")
        self.told.append((uid, report))

    def listen(self, listener: Listener, is_stopping: Callable[[], bool]) -> None:
        raise AssertionError("These tests make passes by hand; nothing listens.")

    def come_back_within(self, *, holds_leases: bool) -> float:
        return 1.0 if holds_leases else 10.0

    def begin_pass(self) -> None:
        pass

    def end_pass(
        self, generation: int, read: str, acknowledged: str, behind: Mapping[str, int]
    ) -> None:
        self.echoes.append((read, acknowledged, behind))

    def clock_skew(self) -> timedelta | None:
        return None


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = SetClock()
        self.firewall = FakeFirewall(self.clock)
        self.driver = FakeDriver(self.firewall)
        self.server, self.memory = Server(), Memory()
        guard = Guard(forwarding=Forwarding((AddressPrefix.parse("10.1.0.0/16"),)))
        self.reconciler = Reconciler(self.driver, self.memory, self.clock, guard)
        self.loop = AgentLoop(
            self.reconciler,
            self.driver,
            self.server,
            self.clock,
            lambda: None,
            LocalOpenings(folder),
            machine_uid="gw",
            own_addresses=lambda: self.own,
            answered_by=self.answered_by,
        )
        self.own: frozenset[Address] = frozenset()
        self.hops: frozenset[Address] = frozenset()
        self.looked: list[list[Collection[PortBehind]]] = []  # ports of the machines of each look

    def answered_by(
        self, machines: Sequence[Collection[PortBehind]]
    ) -> Sequence[Collection[Address]]:
        self.looked.append(list(machines))
        return [self.hops for _ in machines]

    def begin(self) -> None:
        self.loop.on_line("")
        self.loop.step()
        self.step()
        self.quiet()

    def quiet(self) -> None:
        self.server.told.clear()
        self.server.asked.clear()
        self.server.echoes.clear()

    def step(self, seconds: float = WATCH_SECONDS) -> None:
        self.clock.pass_time(seconds)
        self.loop.step()

    def tell(self, uid: str, *leases: Lease) -> None:
        """The server has a newer state of a machine, and beats or hints say so."""
        before = self.server.states.get(uid)
        self.server.states[uid] = state(uid, before.generation + 1 if before else 1, *leases)
        self.loop.on_behind()

    def is_open(self, address: object = APP, source: str = BOB) -> bool:
        assert address in (APP, SQL)
        return self.firewall.reaches(source, SSH.behind(address))  # type: ignore[arg-type]  # reason: one of two addresses

    def reported(self, uid: str) -> list[Report]:
        return [report for machine, report in self.server.told if machine == uid]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.tell("app")
    made.tell("sql")
    made.begin()
    return made


def test_a_machine_that_the_server_names_is_closed_and_reported(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.tell("app")
    assert world.is_open(), "nobody has closed it yet"
    world.loop.on_line("")
    world.loop.step()
    assert not world.is_open()
    (report,) = world.reported("app")
    assert (report.generation, report.closed) == (1, frozenset({ClosedPort(SSH)}))
    assert report.in_force == frozenset()
    assert [uid for uid, _ in world.server.told] == ["app", ""], "the gateway's own comes last"
    assert world.reported("")[0].closed == frozenset(), "its own ports are not closed"
    assert world.memory.held.behind["app"].addresses == (APP,), "kept for after a death"


def test_a_lease_opens_at_its_machine_alone_and_is_reported_there(world: World) -> None:
    world.tell("app", lease())
    world.step()
    assert world.is_open()
    assert not world.is_open(source=EVE)
    assert not world.is_open(SQL)
    assert [each.in_force for each in world.reported("app")] == [{"g"}]
    assert world.reported("sql") == [], "nothing is new there"
    assert all(not each.in_force for each in world.reported(""))
    assert world.server.asked == ["app"], "whose state is as it was is not asked for"


def test_a_lease_ends_by_the_kernel_and_a_revocation_at_once(world: World) -> None:
    world.tell("app", lease(seconds=30))
    world.tell("sql", lease("h"))
    world.step()
    assert world.is_open()
    assert world.is_open(SQL)
    world.tell("sql")
    world.step()
    assert not world.is_open(SQL)
    assert world.reported("sql")[-1].in_force == frozenset()
    world.clock.pass_time(30)
    assert not world.is_open(), "with no pass of anybody"
    world.step()
    assert world.reported("app")[-1].in_force == frozenset()


def test_what_is_idle_is_neither_asked_for_nor_reported(world: World) -> None:
    for _ in range(50):
        world.step()
    assert (world.server.asked, world.server.told) == ([], [])
    read, acknowledged, behind = world.server.echoes[-1]
    assert read == acknowledged != ""
    assert behind == {"app": 1, "sql": 1}


def test_an_echo_s_digest_covers_the_machines_behind(world: World) -> None:
    """Else the server would count contact of what it does not know to be as reported."""
    world.step()
    before = world.server.echoes[-1][0]
    world.server.is_taking = False
    world.tell("app", lease())
    world.step()
    read, acknowledged, _ = world.server.echoes[-1]
    assert read != acknowledged == before


def test_a_report_of_a_machine_that_was_not_taken_keeps_the_gateway_s_own_back(
    world: World,
) -> None:
    """The own one vouches for the others."""
    world.server.is_taking = False
    world.tell("app", lease())
    world.step()
    assert world.server.told == []
    world.server.is_taking = True
    world.loop.on_line("another")
    world.step()
    assert {uid for uid, _ in world.server.told} == {"", "app", "sql"}
    assert world.server.told[-1][0] == ""


def test_a_machine_that_is_named_no_more_loses_its_leases_and_stays_closed(world: World) -> None:
    world.tell("app", lease())
    world.step()
    assert world.is_open()
    del world.server.states["app"]
    world.loop.on_behind()
    world.step()
    assert not world.is_open()
    assert not world.is_open(APP, EVE)
    world.quiet()
    world.step()
    assert world.reported("app") == []
    assert "app" not in world.server.echoes[-1][2]


def test_while_the_server_is_away_leases_last_to_their_ends(world: World) -> None:
    """Nothing that it fails to say ends or opens anything."""
    world.tell("app", lease(seconds=60))
    world.step()
    world.server.has_line = False
    world.server.is_naming = False
    world.step()
    assert world.is_open()
    world.clock.pass_time(60)
    world.step()
    assert not world.is_open()


def test_a_refused_key_closes_every_opening_behind_and_asks_anew(world: World) -> None:
    world.tell("app", lease())
    world.step()
    world.loop._on_line_ended(KeyRefused("gone"))
    world.server.has_line = False
    world.step()
    assert not world.is_open()
    assert not world.is_open(APP, EVE)
    world.server.has_line = True
    world.loop.on_line("", 1)
    world.step()
    assert "app" in world.server.asked, "its generation is as it was, and its leases are not"
    assert world.is_open()


def test_a_push_is_held_without_asking(world: World) -> None:
    told = state("app", 2, lease())
    world.server.states["app"] = told
    world.server.pushes["app"] = Pushed(told, world.clock.boottime())
    world.loop.on_behind()
    world.step()
    assert world.is_open()
    assert world.server.asked == []


def test_a_push_of_another_generation_is_asked_about(world: World) -> None:
    world.server.states["app"] = state("app", 3)
    world.server.pushes["app"] = Pushed(state("app", 2, lease()), world.clock.boottime())
    world.loop.on_behind()
    world.step()
    assert world.server.asked == ["app"]
    assert not world.is_open()


def test_a_push_that_was_held_back_opens_nothing(world: World) -> None:
    told = state("app", 2, lease())
    world.server.states["app"] = told
    world.server.pushes["app"] = Pushed(told, world.clock.boottime() - 31)
    world.loop.on_behind()
    world.loop.step()
    assert not world.is_open()
    world.step()
    assert world.server.asked == ["app"], "it is asked for instead"
    assert world.is_open()


@pytest.mark.parametrize("fault", [StateRefused("broken"), NotGuarded("unbound")])
def test_one_machine_s_trouble_is_not_another_s(world: World, fault: Exception) -> None:
    world.server.faults["app"] = fault
    world.tell("app", lease())
    world.tell("sql", lease("h"))
    world.step()
    assert not world.is_open()
    assert world.is_open(SQL)
    asked = world.server.asked.count("app")
    for _ in range(5):
        world.step()
    assert world.server.asked.count("app") == asked, "it is tried again with patience"
    for _ in range(10):
        world.step()
    assert world.server.asked.count("app") > asked
    del world.server.faults["app"]
    world.tell("app", lease())
    world.step()
    assert world.is_open()


@pytest.mark.parametrize("fault", [ServerUnreachable("away"), ZeroDivisionError()])
def test_whatever_goes_wrong_in_asking_what_is_held_is_enforced(
    world: World, fault: Exception
) -> None:
    """EDGES E4."""
    world.tell("app", lease(seconds=20))
    world.step()
    world.server.faults["sql"] = fault
    world.tell("sql", lease("h"))
    world.firewall.rules = None  # another program flushes
    world.step()
    assert world.is_open()
    assert not world.is_open(SQL)
    assert not world.is_open(APP, EVE)


def test_an_older_server_s_state_changes_nothing_and_is_asked_for_seldom(world: World) -> None:
    """EDGES A8: it hears of the higher generation by the report."""
    world.tell("app")
    world.tell("app")
    world.step()
    world.quiet()
    world.server.states["app"] = state("app", 1, lease())
    world.loop.on_behind()
    for _ in range(5):
        world.step()
    assert not world.is_open()
    assert world.server.asked == ["app"]


def test_a_restored_server_s_state_of_the_same_generation_is_asked_for(world: World) -> None:
    """What the backup had open was ended, and counted as what was opened since (EDGES A8)."""
    world.tell("app", lease())
    world.step()
    assert world.is_open()
    generation = world.server.states["app"].generation
    world.server.own = replace(world.server.own, generation=2, installation=7)
    world.server.states["app"] = replace(state("app", generation), installation=7)
    world.loop.on_generation(2)
    world.step()
    assert not world.is_open()


@pytest.mark.parametrize("has_line", [True, False])
def test_a_server_that_may_be_an_older_one_is_asked_for_every_machine(
    world: World, *, has_line: bool
) -> None:
    """A copy of its files that was put back tells no other number of the installation."""
    world.tell("app", lease())
    world.step()
    world.server.has_line, world.server.may_poll = has_line, not has_line
    world.server.states["app"] = state("app", world.server.states["app"].generation)
    if has_line:
        world.loop.on_line("digest of an older report", 1)
    else:
        world.loop._lost(ServerUnreachable("away"))
    world.step(LONGEST_RETRY)
    assert not world.is_open()


def test_a_line_on_which_all_was_as_it_had_been_asks_for_no_machine(world: World) -> None:
    """Else each restart of a server would have all of its gateways ask for everything."""
    world.quiet()
    world.step()
    _, acknowledged, _ = world.server.echoes[-1]
    world.loop.on_line(acknowledged, world.server.own.generation)
    world.step()
    assert world.server.asked == []


def test_a_retired_server_is_asked_for_a_machine_that_is_held_with_patience(world: World) -> None:
    """EDGES H7."""
    world.server.own = replace(world.server.own, generation=2, installation=2)
    world.loop.on_generation(2)
    world.step()
    world.quiet()
    for _ in range(5):
        world.step()
    assert world.server.asked == []


def test_a_machine_that_a_retired_server_adds_ends_no_pass(world: World) -> None:
    """EDGES H7: nothing of it is held, and the report says why."""
    world.server.own = replace(world.server.own, generation=2, installation=2)
    world.loop.on_generation(2)
    world.step()
    world.server.own = replace(world.server.own, generation=3, installation=1)
    world.loop.on_generation(3)
    world.tell("other", lease())
    world.quiet()
    for _ in range(5):
        world.step()
    assert "other" not in world.reconciler.held.behind
    assert world.server.asked == ["other"], "it is tried again with patience"
    assert "ServerRetired" in {each.code for each in world.reported("")[-1].weaknesses}


def test_after_a_restart_no_lease_ends_before_the_server_told_which_it_is(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a retired one, which does not name a machine that was bound since (EDGES H7)."""
    world.tell("app", lease())
    world.step()
    again = World(tmp_path)
    again.memory.held = world.memory.held
    again.reconciler.restore(None)

    def away(meanwhile: Callable[[], None]) -> DesiredState:
        raise ServerUnreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr(again.server, "fetch_state", away)
        again.loop.on_line("")
        again.loop.step()
        again.step()
        assert again.is_open()
    again.step(LONGEST_RETRY)
    assert not again.is_open(), "it is the right one, and names the machine no more"


def test_a_gateway_that_refuses_every_state_after_a_restart_keeps_leases_to_their_ends(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None shows it which server that is, so being named no more ends nothing; time does."""
    world.tell("app", lease(seconds=600))
    world.step()
    again = World(tmp_path)
    again.clock.pass_time(world.clock.boottime() - again.clock.boottime())
    again.memory.held = world.memory.held
    again.reconciler.restore(None)

    def invalid(meanwhile: Callable[[], None]) -> DesiredState:
        raise StateRefused("invalid")

    monkeypatch.setattr(again.server, "fetch_state", invalid)
    again.loop.on_line("")
    again.loop.step()
    again.step(LONGEST_RETRY)
    assert again.is_open()
    assert again.server.named() == {}
    again.clock.pass_time(600 - LONGEST_RETRY)
    assert not again.is_open(), "with no pass of anybody"
    again.step()
    assert not again.is_open()


def test_very_many_machines_are_asked_for_in_turns(tmp_path: Path) -> None:
    """The gateway's own rules do not wait for all of them."""
    world = World(tmp_path)
    count = 2 * MOST_ASKED + 1
    for number in range(count):
        world.tell(f"m{number}")
    world.loop.on_line("")
    world.loop.step()
    assert len(world.server.asked) == MOST_ASKED
    world.step(0.2)
    world.step(0.2)
    assert sorted(set(world.server.asked)) == sorted(f"m{number}" for number in range(count))


def test_a_server_that_names_ever_new_machines_fills_no_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "MOST_HELD", 20)
    for first in range(0, 40, 8):
        world.server.states = {f"m{first + each}": state("m", 1) for each in range(8)}
        world.step()
    assert len(world.reconciler.held.behind) == 20
    assert not world.is_open(), "what was closed before stays closed"


def test_that_nothing_can_be_enforced_is_said_of_each_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise EnforcementFailed("the kernel refuses")

    monkeypatch.setattr(world.driver, "observe", refuse)
    world.step()
    for uid in ("app", "sql", ""):
        (report,) = world.reported(uid)
        assert report.generation == 0
        assert enforces_nothing(report.weaknesses)
    assert world.server.echoes == []
    monkeypatch.undo()
    world.quiet()
    world.step()
    assert {uid: report.generation for uid, report in world.server.told} == {
        "app": 1,
        "sql": 1,
        "": 1,
    }


def test_who_knocks_at_a_machine_behind_is_told_of_that_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked() -> Sequence[Blocked]:
        minute = timedelta(minutes=9)
        rules = world.firewall.rules
        assert rules is not None
        return [Blocked(str(who), port, n, minute) for (who, port), n in rules.blocked.items()]

    monkeypatch.setattr(world.driver, "blocked", blocked)
    for _ in range(3):
        assert not world.is_open(APP, EVE)
    assert not world.is_open(SQL, BOB)
    for _ in range(int(COUNTERS_SECONDS / WATCH_SECONDS) + 40):
        world.step()
    knocks = {
        uid: [(each.source, each.port, each.attempts) for each in report.knocks]
        for uid, report in world.server.told
        if report.knocks
    }
    assert knocks == {"app": [(EVE, SSH, 3)], "sql": [(BOB, SSH, 1)]}
    assert world.server.told[-1][0] == "", "which confirms that they were told"


def test_a_polled_server_hears_of_each_machine_at_each_poll(world: World) -> None:
    """Its reports are all that it hears by."""
    world.server.has_line, world.server.may_poll = False, True
    world.step()
    world.quiet()
    for _ in range(20):
        world.step()
    assert len(world.reported("app")) >= 2
    assert len(world.reported("sql")) >= 2


def test_at_the_gateway_s_own_address_no_machine_is_closed(world: World) -> None:
    """What is sent there is not forwarded: whatever the rules say, it is not judged."""
    world.own = frozenset({APP})
    world.tell("app", lease())
    world.step()
    (report,) = world.reported("app")
    assert (report.generation, report.closed, report.in_force) == (0, frozenset(), frozenset())
    assert [each.code for each in world.reported("")[-1].weaknesses] == ["GatewaysOwnAddress"]
    assert "app" not in world.server.echoes[-1][2]
    assert world.reported("sql") == [], "which is where it was"
    world.own = frozenset()
    world.step()
    assert world.reported("app")[-1].in_force == {"g"}
    assert world.reported("")[-1].weaknesses == ()


def test_root_is_told_what_is_closed_and_open_behind(world: World) -> None:
    world.tell("app", lease())
    world.step()
    app, sql = world.loop.status()["behind"]
    assert (app["addresses"], app["closed"], app["inForce"]) == ([str(APP)], ["22/tcp"], ["g"])
    assert app["open"].keys() == {"g"}
    assert (sql["machineUid"], sql["inForce"], sql["formerAddresses"]) == ("sql", [], [])


def test_by_which_addresses_a_machine_s_answers_come_back_is_told_anew(tmp_path: Path) -> None:
    """With the first report of a machine, and when they are others; no opening waits for it."""
    world = World(tmp_path)
    world.hops = frozenset({ip_address("10.1.0.1")})
    world.tell("app")
    world.begin()
    world.hops = frozenset({ip_address("10.1.0.2")})
    world.step(behind.ANSWERS_SECONDS)
    world.step()
    assert [each.answered_by for each in world.reported("app")] == [world.hops]
    world.quiet()
    world.tell("sql")
    world.step()
    assert [each.answered_by for each in world.reported("sql")] == [world.hops]
    world.step()
    assert world.server.told[-1][0] != "app", "it is no news"


def test_a_new_machine_alone_is_looked_at_early(tmp_path: Path) -> None:
    """Whatever else is known is kept until it is time: machines may come and go without end."""
    world = World(tmp_path)
    world.tell("app")
    world.begin()
    world.looked.clear()
    world.hops = frozenset({ip_address("10.1.0.1")})
    world.tell("sql")
    world.step()
    assert world.looked == [[[SSH.behind(SQL)]]]
    assert [each.answered_by for each in world.reported("sql")] == [world.hops]
    assert world.reported("app") == []
    del world.server.states["sql"]
    world.step()
    assert len(world.looked) == 1, "one that is gone needs no look"
    world.step(behind.ANSWERS_SECONDS)
    assert [SSH.behind(APP)] in world.looked[1], "the others had to wait no longer than before"


def test_of_too_many_addresses_none_is_told(tmp_path: Path) -> None:
    """With some left out, answers that come back by those would be said to go elsewhere."""
    many = [ip_address("10.1.1.0") + number for number in range(MOST_HOPS + 1)]
    for told, expected in ((many[1:], frozenset(many[1:])), (many, frozenset[Address]())):
        world = World(tmp_path)
        world.hops = frozenset(told)
        world.tell("app")
        world.loop.on_line("")
        world.step()
        assert world.reported("app")[-1].answered_by == expected
