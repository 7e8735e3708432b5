"""The loop on a line: silent where there is no news, an echo for each whole pass, nothing after a
pass that failed, and what it does when the line ends."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.agent.link import KeyRefused, Link, Listener, NothingBehind, Pushed
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.agent.news import COUNTERS_SECONDS
from bascule.agent.state import StateRefused
from bascule.agent.timetable import (
    ASK_SECONDS,
    FIRST_ASK_SECONDS,
    LONGEST_RETRY,
    REFUSED_RETRY,
    WATCH_SECONDS,
)
from bascule.domain.desired import STALE_AFTER, DesiredState, Lease
from bascule.domain.machine import ClosedPort
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.plan import Observed
from bascule.domain.weaknesses import OWNER_UNKEPT
from bascule.errors import BasculeError, EnforcementFailed, ServerUnreachable
from bascule.protocol.report import MAXIMUM_SKEW, Report
from bascule.reconcile.reconciler import LOOK_HOLDS, Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_agent_loop import Destroying, Memory, Weakening

SSH = ClosedPort(PortKey(TransportProtocol.TCP, 22))


def open_for(generation: int, seconds: float = 300) -> DesiredState:
    lease = Lease("g", (SSH.port,), (AddressPrefix(None),), timedelta(seconds=seconds))
    return DesiredState("uid", generation, frozenset({SSH}), {}, (lease,))


def shut(generation: int) -> DesiredState:
    return DesiredState("uid", generation, frozenset({SSH}), {}, ())


class Wired(NothingBehind):
    """A Link with a line that lives as long as the test wants it to."""

    def __init__(self) -> None:
        self.has_line = True
        self.may_poll = False
        self.state = shut(1)
        self.asked = 0
        self.told: list[Report] = []
        self.echoes: list[tuple[int, str, str]] = []
        self.begun = 0  # passes
        self.fault: Exception | None = None
        self.push: Pushed | None = None
        self.skew: timedelta | None = None
        self.within = 0.0
        self.listening: Callable[[Listener], None]

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        self.asked += 1
        meanwhile()
        if self.fault is not None:
            raise self.fault
        return self.state

    def send_report(self, report: Report) -> int:
        self.told.append(report)
        return self.state.generation

    def listen(self, listener: Listener, is_stopping: Callable[[], bool]) -> None:
        self.listening(listener)

    def come_back_within(self, *, holds_leases: bool) -> float:
        return self.within / (10 if holds_leases else 1)

    def pushed(self) -> Pushed | None:
        pushed, self.push = self.push, None
        return pushed

    def begin_pass(self) -> None:
        self.begun += 1

    def end_pass(
        self, generation: int, read: str, acknowledged: str, behind: Mapping[str, int]
    ) -> None:
        del behind
        self.echoes.append((generation, read, acknowledged))

    def clock_skew(self) -> timedelta | None:
        return self.skew


class World:
    def __init__(self, folder: Path, driver: type[FakeDriver] = FakeDriver) -> None:
        self.clock = SetClock()
        self.driver = driver(FakeFirewall(self.clock))
        self.link = Wired()
        link: Link = self.link
        self.reconciler = Reconciler(self.driver, Memory(), self.clock)
        self.loop = AgentLoop(
            self.reconciler,
            self.driver,
            link,
            self.clock,
            lambda: None,
            LocalOpenings(folder),
            machine_uid="uid",
        )

    def begin(self) -> None:
        """The line lives, and all is told."""
        self.loop.on_line("")
        self.loop.step()
        self.link.told.clear()
        self.link.echoes.clear()
        self.link.asked = 0

    def wait(self, seconds: float) -> None:
        """Passes as the loop makes them."""
        end = self.clock.boottime() + seconds
        while self.clock.boottime() < end:
            self.clock.pass_time(WATCH_SECONDS)
            self.loop.step()


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.begin()
    return made


def test_a_new_line_is_asked_for_the_state_and_told_all(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.link.has_line = False
    world.loop.step()
    assert (world.link.asked, world.link.told) == (0, []), "not before there is one to ask"
    world.link.has_line = True
    world.loop.on_line("")
    world.loop.step()
    assert world.link.asked == 1
    assert [each.generation for each in world.link.told] == [1]
    assert world.loop.status()["connected"]


def test_an_idle_agent_asks_and_reports_nothing(world: World) -> None:
    world.wait(600)
    assert (world.link.asked, world.link.told) == (0, [])
    assert len(world.link.echoes) == 300, "an echo may follow each whole pass"
    assert len(set(world.link.echoes)) == 1


def test_the_record_is_asked_for_once_an_hour(world: World) -> None:
    """What was seen of it is confirmed then (EDGES B9)."""
    world.wait(ASK_SECONDS * 1.3)
    assert world.link.asked in (1, 2)
    assert world.link.told == []


def test_echoes_carry_the_digests_of_what_is_so_and_of_what_was_taken(world: World) -> None:
    world.wait(2)
    ((generation, read, acknowledged),) = world.link.echoes
    assert generation == 1
    assert len(read) == 64
    assert read == acknowledged
    world.link.fault = None
    world.link.state = open_for(2)
    world.loop.on_generation(2)
    world.loop.step()
    assert world.link.told[-1].in_force == {"g"}
    assert world.link.told[-1].digest == world.link.echoes[-1][1]
    assert world.link.echoes[-1][1] == world.link.echoes[-1][2] != read


def test_a_report_that_was_not_taken_is_not_acknowledged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server sees by the echo that it does not know what is so."""

    def lose(report: Report) -> int:
        raise ServerUnreachable("lost")

    monkeypatch.setattr(world.link, "send_report", lose)
    world.link.state = open_for(2)
    world.loop.on_generation(2)
    world.loop.step()
    _, read, acknowledged = world.link.echoes[-1]
    assert read != acknowledged


class Failing(Destroying):
    """It cannot be read while ``is_blind``, and not tidied while ``is_failing``."""

    is_blind = False

    def observe(self):  # type: ignore[no-untyped-def]  # noqa: ANN201  # reason: the base's
        if self.is_blind:
            raise EnforcementFailed("it cannot be read")
        return super().observe()


@pytest.mark.parametrize("what", ["refusals", "is_blind", "is_failing", "a fault"])
def test_a_pass_that_fails_echoes_nothing(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beat that counted for a loop whose passes fail would have the server believe that ports are
    closed which nobody has looked at."""
    world = World(tmp_path, Failing)
    world.begin()
    if what == "refusals":
        world.driver.firewall.damage()
        monkeypatch.setattr(world.driver, "refusals", 10**6)
    elif what == "a fault":
        monkeypatch.setattr(world.reconciler, "save", lambda: 1 / 0)
        monkeypatch.setattr(world.loop._stopping, "wait", lambda _: False)
    else:
        monkeypatch.setattr(world.driver, what, True)
    world.wait(20)
    assert world.link.echoes == []
    monkeypatch.undo()
    world.wait(LONGEST_RETRY)
    assert world.link.echoes, "and it is heard again when a pass is whole"


def test_what_is_not_intact_is_not_echoed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    observe = world.driver.observe

    def torn():  # type: ignore[no-untyped-def]  # noqa: ANN202  # reason: as it is
        world.driver.firewall.damage()
        return observe()

    monkeypatch.setattr(world.driver, "observe", torn)
    world.wait(4)
    assert world.link.echoes == []


def test_that_nothing_is_enforced_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.driver.firewall.damage()
    monkeypatch.setattr(world.driver, "refusals", 10**6)
    world.wait(120)
    assert [each.generation for each in world.link.told] == [0]
    monkeypatch.undo()
    world.wait(10)
    assert world.link.told[-1].generation == 1


def test_counters_alone_go_once_a_minute_and_along_with_news(tmp_path: Path) -> None:
    world = World(tmp_path, Weakening)
    world.begin()

    def scanned(seconds: float) -> None:
        for _ in range(int(seconds / 2)):
            world.driver.firewall.connect("192.0.2.9", SSH.port)
            world.wait(2)

    scanned(COUNTERS_SECONDS * 5)
    assert 4 <= len(world.link.told) <= 6
    assert all(each.blocked_attempts for each in world.link.told)
    world.wait(COUNTERS_SECONDS)
    scanned(2)
    world.link.told.clear()
    scanned(10)
    assert world.link.told == []
    world.driver.weaknesses = (OWNER_UNKEPT(),)  # type: ignore[attr-defined]  # reason: Weakening's
    scanned(2)
    (report,) = world.link.told
    assert sum(each.attempts for each in report.knocks) == 6


@pytest.mark.parametrize(("acknowledged", "count"), [("ours", 0), ("", 1), ("f" * 64, 1)])
def test_a_new_line_is_told_again_what_the_server_does_not_have(
    world: World, acknowledged: str, count: int
) -> None:
    """A server from an older backup, or another process, may know less."""
    world.wait(2)
    ours = world.link.echoes[-1][2]
    world.loop.on_line(ours if acknowledged == "ours" else acknowledged)
    world.wait(4)
    assert world.link.asked == 1
    assert len(world.link.told) == count


def test_a_line_on_which_all_is_as_it_was_is_asked_a_little_later(world: World) -> None:
    """Ten thousand agents come back at once; the record is to be confirmed all the same."""
    world.wait(2)
    lose(world, ServerUnreachable("it ended"))
    world.link.has_line = True
    world.loop.on_line(world.link.echoes[-1][2], 1)
    world.loop.on_generation(1)
    world.wait(2)
    assert (world.link.asked, world.link.told) == (0, [])
    assert world.loop.status()["connected"]
    world.wait(FIRST_ASK_SECONDS)
    assert world.link.asked == 1


def test_who_was_refused_asks_in_any_case(world: World) -> None:
    """What its server wants of it is not what it holds: everything was ended."""
    world.wait(2)
    ours = world.link.echoes[-1][2]
    lose(world, KeyRefused("not known"))
    world.link.has_line = True
    world.loop.on_line(ours, 1)
    world.wait(2)
    assert world.link.asked == 1


@pytest.mark.parametrize("generation", [None, 0, 2])
def test_another_generation_is_asked_for_in_any_case(world: World, generation: int | None) -> None:
    world.wait(2)
    world.loop.on_line(world.link.echoes[-1][2], generation)
    world.wait(2)
    assert world.link.asked == 1


def test_a_report_that_the_server_wants_is_sent(world: World) -> None:
    world.loop.on_report_wanted()
    world.wait(4)
    assert len(world.link.told) == 1


def test_a_clock_that_goes_wrong_is_told_once(world: World) -> None:
    world.link.skew = MAXIMUM_SKEW * 2
    world.wait(60)
    assert len(world.link.told) == 1
    world.link.skew = timedelta(0)
    world.wait(60)
    assert len(world.link.told) == 2


# -- pushes


def push(world: World, state: DesiredState, age: float = 1.0, *, steps: bool = True) -> None:
    world.link.push = Pushed(state, world.clock.boottime() - age)
    world.loop.on_push(state.generation)
    if steps:
        world.loop.step()


def test_a_push_is_held_without_asking(world: World) -> None:
    world.link.state = open_for(2)
    push(world, open_for(2, 60), age=20)
    assert world.link.asked == 0
    assert world.reconciler.next_end() == world.clock.boottime() + 40
    assert world.link.told[-1].in_force == {"g"}
    world.loop.on_generation(2)
    world.wait(4)
    assert world.link.asked == 0, "the next beat tells nothing newer"


@pytest.mark.parametrize("age", [STALE_AFTER + 1, 3600.0])
def test_a_push_that_is_too_old_opens_nothing_and_is_asked_about(world: World, age: float) -> None:
    world.link.state = shut(2)
    push(world, open_for(2, 86_400), age)
    assert not world.reconciler.held.leases
    assert world.link.asked == 1


def test_a_push_of_another_generation_than_was_announced_is_asked_about(world: World) -> None:
    """A hint overtook it, or the server is from an older backup: then only the answer counts."""
    world.link.state = shut(3)
    world.link.push = Pushed(open_for(2), world.clock.boottime())
    world.loop.on_generation(3)
    world.loop.step()
    assert world.link.asked == 1
    assert not world.reconciler.held.leases
    world.link.push = Pushed(open_for(4), world.clock.boottime())
    world.loop.on_generation(2)
    world.loop.step()
    assert world.link.asked == 2


def test_a_doubt_is_asked_about(world: World) -> None:
    world.link.push = Pushed(open_for(1), world.clock.boottime())
    world.loop.on_doubt()
    world.loop.step()
    assert world.link.asked == 1
    assert not world.reconciler.held.leases


# -- a look ahead of what may be pushed


class Seen:
    """How often the firewall is read; ``then`` is done during the next reading."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.then: Callable[[], None] = lambda: None
        observe = world.driver.observe

        def counted() -> Observed:
            self.count += 1
            found = observe()
            self.then()
            return found

        monkeypatch.setattr(world.driver, "observe", counted)


@pytest.fixture
def seen(world: World, monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(world, monkeypatch)


def expect(world: World, seen: Seen, then: Callable[[], None]) -> None:
    """Something may be pushed in a moment; ``then`` happens while the firewall is read for it."""

    def happen() -> None:
        seen.then = lambda: None
        then()
        world.loop._inbox.wake()

    seen.then = happen
    world.loop.on_expected()
    world.loop._inbox.obey(world.loop._wait())


def test_a_push_that_was_expected_finds_the_firewall_read(world: World, seen: Seen) -> None:
    expect(world, seen, lambda: push(world, open_for(2), steps=False))
    assert seen.count == 1
    assert world.link.told == []  # no pass was made of it
    world.loop.step()
    assert seen.count == 2  # the second is the reading back of what was done
    (told,) = world.link.told
    assert told.in_force == {"g"}


def test_what_was_seen_too_long_ago_is_read_again(world: World, seen: Seen) -> None:
    """Somebody may have changed it meanwhile."""
    expect(world, seen, lambda: world.clock.pass_time(WATCH_SECONDS))
    world.driver.firewall.flush()
    world.clock.pass_time(LOOK_HOLDS + 0.001)
    world.loop.step()
    (told,) = world.link.told
    assert told.drift
    assert told.closed == {SSH}
    assert not world.driver.firewall.reaches("198.51.100.7", SSH.port)


def test_a_pass_that_rests_on_a_look_ahead_began_with_it(world: World, seen: Seen) -> None:
    """A beat that comes after the look is no answer to it: contact is a read-back that began later."""
    before = world.link.begun
    expect(world, seen, lambda: push(world, open_for(2), steps=False))
    assert world.link.begun == before + 1
    world.loop.step()
    assert world.link.begun == before + 1
    world.loop.step()
    assert world.link.begun == before + 2
    expect(world, seen, lambda: push(world, open_for(3), steps=False))
    world.clock.pass_time(LOOK_HOLDS + 0.001)
    world.loop.step()
    assert world.link.begun == before + 4  # what was seen counted no more


def test_nothing_follows_where_nothing_comes(world: World, seen: Seen) -> None:
    """The change failed: no pass, no report, no question; the next pass is when it was due."""
    asked = world.link.asked
    expect(world, seen, lambda: world.clock.pass_time(WATCH_SECONDS))
    assert (seen.count, world.link.asked, world.link.told) == (1, asked, [])
    assert world.link.echoes == []


def test_a_server_can_have_the_firewall_looked_at_ten_times_a_second(
    world: World, seen: Seen
) -> None:
    """EDGES E4: as often as it may wake passes."""
    for _ in range(100):
        world.clock.pass_time(0.01)
        world.loop.on_expected()
        world.loop._look_ahead()
    assert seen.count == 10
    world.clock.pass_time(0.5)
    world.loop._look_ahead()
    assert seen.count == 11


def test_a_server_that_is_of_no_use_has_nothing_looked_at(world: World, seen: Seen) -> None:
    world.link.fault = StateRefused("no state")
    world.loop.on_generation(7)
    world.loop.step()
    seen.count = 0
    world.loop.on_expected()
    world.loop._look_ahead()
    assert seen.count == 0


def test_a_firewall_that_cannot_be_read_ahead_fails_the_pass(world: World, seen: Seen) -> None:
    world.driver.is_unreadable = True
    world.loop.on_expected()
    world.loop._look_ahead()
    world.loop.step()
    assert world.link.echoes == []


def test_pushes_wake_ten_passes_a_second_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EDGES E4."""
    taken: list[int] = []
    take = world.reconciler.take

    def counted(state: DesiredState, asked_at: float) -> bool:
        taken.append(state.generation)
        return take(state, asked_at)

    monkeypatch.setattr(world.reconciler, "take", counted)
    for generation in range(2, 102):
        world.clock.pass_time(0.02)
        push(world, shut(generation), 0)
    assert 10 <= len(taken) <= 30


# -- the line ends


def lose(world: World, error: BasculeError) -> None:
    """As the listening thread leaves it."""
    world.link.has_line = False
    world.loop._ended = error
    world.loop.step()


def test_without_a_line_nothing_is_asked_until_it_is_polled(world: World) -> None:
    """After a server's restart ten thousand agents would ask at once."""
    lose(world, ServerUnreachable("it ended"))
    status = world.loop.status()
    assert not status["connected"]
    assert status["unheard"] == "it ended"
    world.driver.firewall.damage()
    world.loop.on_generation(2)
    world.wait(20)
    assert (world.link.asked, world.link.told) == (0, [])
    assert world.driver.observe().is_intact, "enforced all the same"
    world.link.may_poll = True
    world.wait(120)
    assert 6 <= world.link.asked <= 11
    assert 8 <= len(world.link.told) <= 13, "by its reports the server hears that it lives"
    assert world.loop.status()["connected"]


def test_a_line_that_comes_back_ends_the_polling(world: World) -> None:
    lose(world, ServerUnreachable("it ended"))
    world.link.may_poll = True
    world.wait(30)
    world.link.has_line, world.link.may_poll = True, False
    world.loop.on_line(world.link.told[-1].digest)
    world.wait(4)
    world.link.asked = 0
    world.link.told.clear()
    world.wait(300)
    assert (world.link.asked, world.link.told) == (0, [])


def test_a_line_that_fails_while_calls_work_changes_nothing(world: World) -> None:
    """Some proxies pass no WebSocket."""
    world.link.has_line, world.link.may_poll = False, True
    world.wait(30)
    lose(world, ServerUnreachable("HTTP 400"))
    assert world.loop.status()["connected"]


def test_a_refused_key_closes_every_opening_and_keeps_ports_closed(world: World) -> None:
    """EDGES A12."""
    world.link.state = open_for(2)
    world.loop.on_generation(2)
    world.loop.step()
    assert world.driver.observe().rules.openings
    lose(world, KeyRefused("not known"))
    rules = world.driver.observe().rules
    assert not rules.openings
    assert rules.closed == {SSH}
    assert world.loop.status()["refused"]


def test_a_state_that_cannot_be_is_asked_for_again_with_patience(world: World) -> None:
    world.link.fault = StateRefused("cannot be")
    world.loop.on_generation(2)
    world.wait(60)
    assert 4 <= world.link.asked <= 12
    assert world.link.told[-1].notes


# -- coming back


def waits_of(world: World, monkeypatch: pytest.MonkeyPatch, count: int) -> list[float]:
    """The bounds within which the listening thread waits, each time that it has ended."""
    bounds: list[float] = []

    def uniform(low: float, high: float) -> float:
        bounds.append(high)
        return low

    def wait(seconds: float | None = None) -> bool:
        if len(bounds) >= count:
            world.loop._stopping.set()
        return True

    monkeypatch.setattr(random, "uniform", uniform)
    monkeypatch.setattr(world.loop._stopping, "wait", wait)
    world.loop._listen()
    return bounds


def fail(error: Exception) -> Callable[[Listener], None]:
    def listen(listener: Listener) -> None:
        raise error

    return listen


def test_a_server_that_was_never_reached_is_tried_less_and_less(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.link.listening = fail(ServerUnreachable("away"))
    bounds = waits_of(world, monkeypatch, 10)
    assert bounds[:3] == [0.2, 0.4, 0.8]
    assert bounds[-1] == LONGEST_RETRY


@pytest.mark.parametrize(("leases", "within"), [(False, 60.0), (True, 6.0)])
def test_it_comes_back_within_what_it_was_told(
    world: World, monkeypatch: pytest.MonkeyPatch, leases: bool, within: float
) -> None:
    """Full jitter, and who holds leases is let in first."""
    if leases:
        world.reconciler.take(open_for(2), world.clock.boottime())
    world.link.within = 60.0
    world.link.listening = fail(ServerUnreachable("away"))
    assert waits_of(world, monkeypatch, 3) == [within] * 3


@pytest.mark.parametrize(("told", "leases"), [(1.0, True), (1.0, False), (0.0, True)])
def test_who_was_told_when_to_come_or_holds_leases_does_not_grow_patient(
    world: World, monkeypatch: pytest.MonkeyPatch, told: float, leases: bool
) -> None:
    """After a minute without the server its agents would take half a minute more to come back."""
    if leases:
        world.reconciler.take(open_for(2), world.clock.boottime())
    world.link.within = told
    world.link.listening = fail(ServerUnreachable("away"))
    bounds = waits_of(world, monkeypatch, 10)
    assert bounds[-1] == 1.0


def test_a_refused_key_is_tried_again_seldom_and_said_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.link.listening = fail(KeyRefused("not known"))
    assert waits_of(world, monkeypatch, 2) == [REFUSED_RETRY] * 2
    assert world.loop._is_woken.is_set()
    assert isinstance(world.loop._ended, KeyRefused)


def test_a_fault_in_listening_is_said_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.link.listening = fail(RuntimeError("a fault"))
    assert len(waits_of(world, monkeypatch, 3)) == 3


def test_the_loop_does_not_spin_on_what_was_announced_without_a_line(world: World) -> None:
    """It cannot be asked for; the loop waits as if nothing had come."""
    world.link.has_line = False
    world.loop.on_generation(9)
    done = threading.Event()

    def wait() -> None:
        world.loop._wait()
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    assert not done.wait(0.3)
    world.loop.stop()
    assert done.wait(5)
