"""The agent's loop: an announcement is never lost, whatever the loop is doing meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bascule.agent import inbox
from bascule.agent.by_root import Order
from bascule.agent.inbox import Command
from bascule.agent.link import Listener, WithoutLine
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import NOT_TIDIED, AgentLoop
from bascule.agent.news import POLL_SECONDS
from bascule.agent.reporting import MOST_DRIFT
from bascule.agent.state import read_state
from bascule.agent.timetable import LONGEST_RETRY, WATCH_SECONDS
from bascule.agent.witness import SAVE_SECONDS, Witness
from bascule.domain.capabilities import ABILITIES, HOST
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.held import Held
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.plan import Operation
from bascule.domain.weaknesses import NOT_ENFORCED, OWNER_UNKEPT, PUBLISHED_UNREAD, Weakness
from bascule.errors import EnforcementFailed, ServerUnreachable
from bascule.interfaces.driver import Condition
from bascule.protocol.codec import decode, encode
from bascule.protocol.report import Report
from bascule.protocol.state import RecordMark
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock


class Memory:
    """A HeldStore that keeps nothing."""

    def load(self) -> Held:
        return Held()

    def save(self, held: Held) -> None:
        pass


class Line(WithoutLine):
    """A server whose generation moves while its answer is on the way."""

    def __init__(self) -> None:
        self.generation = 1
        self.asked: list[int] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        meanwhile()
        answer = DesiredState("uid", self.generation, frozenset(), {}, ())
        self.asked.append(self.generation)
        self.meanwhile()
        return answer

    def send_report(self, report: Report) -> int:
        return report.generation

    def listen(self, listener: Listener, is_stopping: Callable[[], bool]) -> None:
        listener.on_generation(self.generation)


def loop_of(
    driver: FakeDriver,
    line: Line,
    clock: SetClock,
    folder: Path,
    witness: Witness | None = None,
    own_weaknesses: tuple[Weakness, ...] = (),
) -> AgentLoop:
    """A loop that has held nothing yet; its local openings are in ``folder``."""
    reconciler, local = Reconciler(driver, Memory(), clock), LocalOpenings(folder)
    return AgentLoop(
        reconciler,
        driver,
        line,
        clock,
        lambda: None,
        local,
        witness,
        own_weaknesses=own_weaknesses,
    )


def test_what_is_announced_while_an_answer_is_on_its_way_is_asked_for_again(
    tmp_path: Path,
) -> None:
    """Else a grant or a revocation would wait for the next poll."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    line = Line()
    loop = loop_of(driver, line, clock, tmp_path)

    def announce() -> None:
        line.meanwhile = lambda: None
        line.generation = 2
        loop.on_generation(2)

    line.meanwhile = announce
    loop.step()
    assert line.asked == [1]
    loop.step()
    assert line.asked == [1, 2]
    loop.step()
    assert line.asked == [1, 2], "nothing was announced any more"


def test_a_state_that_cannot_be_is_not_held_and_the_server_hears_of_it(tmp_path: Path) -> None:
    """A broken or stolen server: what is held stays, and what was shut is shut (EDGES A6)."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    told: list[Report] = []

    class Broken(Line):
        is_broken = True

        def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
            if not self.is_broken:
                return DesiredState("uid", 1, frozenset({ssh}), {}, ())
            self.asked.append(self.generation)
            return read_state({"closed": [{"protocol": "TCP", "number": 70_000}]}).desired

        def send_report(self, report: Report) -> int:
            told.append(report)
            return report.generation

    line = Broken()
    reconciler = Reconciler(driver, Memory(), clock)
    ssh = ClosedPort(PortKey(TransportProtocol.TCP, 22))
    reconciler.take(DesiredState("uid", 1, frozenset({ssh}), {}, ()), clock.boottime())
    local = LocalOpenings(tmp_path)
    loop = AgentLoop(reconciler, driver, line, clock, lambda: None, local)
    for _ in range(3):
        loop.step()
        clock.pass_time(LONGEST_RETRY)
    assert len(line.asked) == 3, "asked again, with patience"
    assert reconciler.held.closed == {ssh} == driver.observe().rules.closed
    notes = ["the server sent an invalid state: the agent keeps its current one"]
    assert [note for report in told for note in report.notes] == notes
    for line.is_broken in (False, True):
        clock.pass_time(LONGEST_RETRY)
        loop.step()
    assert [note for report in told for note in report.notes] == notes * 2, "said when it is again"


class Listening(Line):
    """A server that keeps what it is told, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Report] = []
        self.is_away = False
        self.state: DesiredState | None = None

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        if self.is_away:
            raise ServerUnreachable("away")
        asked = super().fetch_state(meanwhile)
        return self.state or asked

    def send_report(self, report: Report) -> int:
        self.told.append(report)
        return super().send_report(report)


def grant_ssh(line: Listening, span: timedelta) -> ClosedPort:
    """What the server says: SSH is closed, and open for everybody for so long."""
    ssh = ClosedPort(PortKey(TransportProtocol.TCP, 22))
    grant = Lease("g", (ssh.port,), (AddressPrefix(None),), span)
    line.state = DesiredState("uid", 1, frozenset({ssh}), {}, (grant,))
    return ssh


def test_what_is_healed_while_the_server_is_away_fits_one_report(tmp_path: Path) -> None:
    """One that is too long would be refused for ever, with what root opened in it."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    line = Listening()
    loop = loop_of(driver, line, clock, tmp_path)
    loop.step()
    line.is_away = True
    for _ in range(MOST_DRIFT + 7):
        driver.firewall.damage()
        clock.pass_time(LONGEST_RETRY)
        loop.step()
    line.is_away = False
    clock.pass_time(LONGEST_RETRY)
    loop.step()
    (drift,) = [each.drift for each in line.told if each.drift]
    assert len(drift) == MOST_DRIFT + 1
    assert drift[-1] == "The rules were changed 7 times more."


class Destroying(FakeDriver):
    """Its ``tidy`` destroys the sockets of what is not let in any more; it may fail."""

    is_failing = False

    def tidy(self) -> None:
        if self.is_failing:
            raise EnforcementFailed("it cannot be read")
        for each in self.firewall.connections:
            self.firewall.is_alive(each)


@pytest.mark.parametrize(("is_failing", "alive"), [(False, {"g": 0}), (True, {"g": 1})])
def test_sessions_are_counted_when_what_is_to_be_cut_is_cut(
    tmp_path: Path, is_failing: bool, alive: dict[str, int]
) -> None:
    """EDGES A24: else a revocation says that one lives on which is gone a millisecond later. That
    it is shut is said in any case."""
    clock = SetClock()
    driver = Destroying(FakeFirewall(clock))
    line = Listening()
    ssh = ClosedPort(PortKey(TransportProtocol.TCP, 22), OnExpiry.KILL)
    grant = Lease("g", (ssh.port,), (AddressPrefix(None),), timedelta(minutes=5))
    line.state = DesiredState("uid", 1, frozenset({ssh}), {}, (grant,))
    loop = loop_of(driver, line, clock, tmp_path)
    loop.step()
    assert driver.firewall.connect("192.0.2.1", ssh.port)
    line.state = replace(line.state, generation=2, leases=())
    driver.is_failing = is_failing
    loop.on_generation(2)
    loop.step()
    assert [(each.in_force, each.sessions) for each in line.told] == [
        ({"g"}, {}),
        (frozenset(), alive),
    ]


class Blind(Destroying):
    """Connections cannot be listed while it fails: neither to see to them nor to count them."""

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int] | None:
        if self.is_failing:
            raise EnforcementFailed("it cannot be read")
        return super().sessions(openings)


def test_that_it_is_shut_is_said_although_connections_cannot_be_counted(tmp_path: Path) -> None:
    """EDGES A3: how many live on is not known then, which is not none. What was seen of the
    record is kept all the same."""
    clock = SetClock()
    driver = Blind(FakeFirewall(clock))
    line = Listening()
    ssh = grant_ssh(line, timedelta(minutes=5))
    witness = Witness(tmp_path)
    loop = loop_of(driver, line, clock, tmp_path, witness)
    loop.step()
    assert driver.firewall.connect("192.0.2.1", ssh.port)
    assert line.state is not None
    line.state = replace(line.state, generation=2, leases=())
    driver.is_failing = True
    witness.take(RecordMark(7, "7" * 64), datetime(2030, 1, 31, tzinfo=UTC))
    clock.pass_time(SAVE_SECONDS)
    loop.on_generation(2)
    loop.step()
    assert [(each.generation, each.in_force, each.sessions) for each in line.told] == [
        (1, {"g"}, {}),
        (2, frozenset(), None),
    ]
    assert line.told[-1].notes == (f"{NOT_TIDIED}: it cannot be read",)
    assert not line.told[-1].weaknesses
    assert Witness(tmp_path).head.position == 7
    driver.is_failing = False
    clock.pass_time(WATCH_SECONDS)
    loop.step()
    assert line.told[-1].sessions == {"g": 1}, "counted as soon as it can be"


class Weakening(FakeDriver):
    """Other programs' rules make it weaker or stronger while it runs."""

    weaknesses: tuple[Weakness, ...] = ()

    def condition(self) -> Condition:
        return replace(super().condition(), weaknesses=self.weaknesses)


def test_a_weakness_that_comes_and_goes_is_reported_at_once(tmp_path: Path) -> None:
    clock = SetClock()
    driver = Weakening(FakeFirewall(clock))
    line = Listening()
    unkept, unread = OWNER_UNKEPT(), PUBLISHED_UNREAD(unread="a rule")
    loop = loop_of(driver, line, clock, tmp_path, own_weaknesses=(unkept,))
    for driver.weaknesses in ((), (unread,), ()):
        loop.step()
        clock.pass_time(0.1)
        loop.step()
    assert [each.weaknesses for each in line.told] == [
        (unkept,),
        (unread, unkept),
        (unkept,),
    ]


def test_connections_that_cannot_be_seen_to_are_said(tmp_path: Path) -> None:
    """A port is shut all the same (EDGES A3): who was on it may be cut, and its owner hears why."""
    clock = SetClock()
    driver = Destroying(FakeFirewall(clock))
    line = Listening()
    loop = loop_of(driver, line, clock, tmp_path)
    for driver.is_failing in (True, True, False, True, False):
        clock.pass_time(LONGEST_RETRY)
        loop.step()
    notes = [f"{NOT_TIDIED}: it cannot be read"]
    assert [note for each in line.told for note in each.notes] == notes * 2, "once each time"


def test_a_firewall_that_refuses_everything_is_said_and_the_server_left_in_peace(
    tmp_path: Path,
) -> None:
    """It is not away: it cannot enforce, says so, settles nothing, and tries again by itself."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    line = Listening()
    grant_ssh(line, timedelta(minutes=50))
    loop = loop_of(driver, line, clock, tmp_path)
    driver.refusals = 10**6
    began, tries = clock.boottime(), 0
    while clock.boottime() < began + 60:
        clock.pass_time(
            max(0.01, min(loop._next_asking(), loop._times.next_try) - clock.boottime())
        )
        loop.step()
        tries += 1
    assert 60 / WATCH_SECONDS <= tries < 60, "the firewall is tried all the time"
    assert len(line.asked) <= 60 / (POLL_SECONDS * 0.75) + 1
    assert 4 <= len(line.told) <= 8
    assert {(each.generation, each.in_force, each.closed) for each in line.told} == {
        (0, frozenset(), frozenset())
    }
    assert all(each.weaknesses[0].is_of(NOT_ENFORCED) for each in line.told)
    assert [len(each.notes) for each in line.told] == [1] + [0] * (len(line.told) - 1)
    assert not loop.status()["enforcing"]

    driver.refusals = 0
    clock.pass_time(WATCH_SECONDS)
    loop.step()
    assert loop.status()["enforcing"]
    assert line.told[-1].generation == 1
    assert line.told[-1].in_force == {"g"}
    assert not line.told[-1].weaknesses


def test_a_fault_while_it_says_that_nothing_is_enforced_does_not_end_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    line = Listening()
    ssh = ClosedPort(PortKey(TransportProtocol.TCP, 22))
    line.state = DesiredState("uid", 1, frozenset({ssh}), {}, ())
    loop = loop_of(driver, line, clock, tmp_path)
    driver.refusals = 10**6

    def fault(report: Report) -> int:
        raise RuntimeError(f"a fault with a report of {report.generation}")

    with monkeypatch.context() as broken:
        broken.setattr(line, "send_report", fault)
        loop.step()
    assert not line.told
    driver.refusals = 0
    clock.pass_time(LONGEST_RETRY)
    loop.step()
    assert line.told[-1].closed == {ssh}


def test_a_fault_of_its_own_does_not_end_the_loop(tmp_path: Path) -> None:
    """A5: under ``serve --this-host`` nobody would start the thread anew."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    line = Line()
    loop = loop_of(driver, line, clock, tmp_path)

    def fault() -> None:
        line.meanwhile = lambda: None
        raise RuntimeError("a fault")

    line.meanwhile = fault
    loop.step()
    assert line.asked == [1]
    clock.pass_time(LONGEST_RETRY)
    loop.step()
    assert line.asked == [1, 1], "it went on"


def test_a_command_whose_caller_has_gone_away_does_not_run_later(tmp_path: Path) -> None:
    """He was told that the agent is busy: nothing may open when he has stopped looking."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    loop = loop_of(driver, Line(), clock, tmp_path)
    done: list[str] = []
    with pytest.raises(ServerUnreachable, match="busy"):
        loop.ask(lambda: done.append("late"), seconds=0.01)
    loop._inbox.obey(loop._wait())
    assert not done


def test_a_command_that_has_begun_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be taken back any more, so its caller is not told that nothing was done."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    loop = loop_of(driver, Line(), clock, tmp_path)
    begun, may_end = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert may_end.wait(30)
        return "done"

    put, late = loop._inbox._queue.put, inbox.late_answer

    def put_and_see_it_begun(command: Command | None) -> None:
        put(command)
        assert begun.wait(30)

    def end_when_it_is_late(command: Command) -> object:
        may_end.set()
        return late(command)

    monkeypatch.setattr(loop._inbox._queue, "put", put_and_see_it_begun)
    monkeypatch.setattr(inbox, "late_answer", end_when_it_is_late)
    running = threading.Thread(target=lambda: loop._inbox.obey(loop._inbox.take(30)))
    running.start()
    assert loop.ask(work, seconds=0.01) == "done"
    running.join()


class Rewritten(FakeDriver):
    """Another tool writes into the table whenever ``is_rewritten``, as soon as it was put right."""

    is_rewritten = False

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        super().apply(operations, since)
        if self.is_rewritten:
            self.firewall.damage()


def test_while_the_table_is_not_whole_nothing_is_reported(tmp_path: Path) -> None:
    """Of a table that is not as we write it nothing is known to be in force: said so, that would
    end every grant of the machine."""
    clock = SetClock()
    driver = Rewritten(FakeFirewall(clock))
    line = Listening()
    grant_ssh(line, timedelta(minutes=50))
    loop = loop_of(driver, line, clock, tmp_path)
    loop.step()
    assert [each.in_force for each in line.told] == [{"g"}]
    driver.is_rewritten = True
    driver.firewall.damage()
    for _ in range(3):
        clock.pass_time(LONGEST_RETRY)
        loop.step()
    assert not driver.observe().is_intact
    assert len(line.told) == 1, "what is not known to be so is not said"
    driver.is_rewritten = False
    clock.pass_time(LONGEST_RETRY)
    loop.step()
    assert [each.in_force for each in line.told] == [{"g"}, {"g"}]
    assert line.told[-1].drift, "and that it was rewritten is"


def test_what_one_report_could_not_tell_the_next_one_tells(tmp_path: Path) -> None:
    """Notes, changes by others and what root opened are of use when the server is back."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))

    class Failing(Listening):
        failures = 2

        def send_report(self, report: Report) -> int:
            taken = super().send_report(report)
            if self.failures:
                self.failures -= 1
                raise ServerUnreachable("it broke off")
            return taken

    line = Failing()
    reconciler = Reconciler(driver, Memory(), clock)
    local = LocalOpenings(tmp_path)
    loop = AgentLoop(reconciler, driver, line, clock, lambda: None, local)
    ssh = ClosedPort(PortKey(TransportProtocol.TCP, 22))
    line.state = DesiredState("uid", 1, frozenset({ssh}), {}, ())
    reconciler.note("something of the host")
    loop.step()
    driver.firewall.damage()
    loop.by_root.open(Order(ssh.port, (AddressPrefix(None),), timedelta(minutes=5)))
    for _ in range(3):
        clock.pass_time(LONGEST_RETRY)
        loop.step()
    assert [each.notes for each in line.told[:3]] == [("something of the host",)] * 3
    last = line.told[2]
    assert [each.port for each in last.local_openings] == ["22/tcp"]
    assert len(last.drift) == 1
    assert line.failures == 0
    for after in line.told[3:]:
        assert (after.notes, after.drift, after.local_openings) == ((), (), ())


def test_more_notes_than_a_report_holds_are_told_by_the_next(tmp_path: Path) -> None:
    """A server reads the first 64 of a report: the rest must not be forgotten as told."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    told: list[Report] = []

    class Told(Line):
        def send_report(self, report: Report) -> int:
            told.append(decode(Report, encode(report)))
            return report.generation

    reconciler = Reconciler(driver, Memory(), clock)
    loop = AgentLoop(reconciler, driver, Told(), clock, lambda: None, LocalOpenings(tmp_path))
    notes = [f"condition {n}" for n in range(150)]
    for each in notes:
        reconciler.note(each)
    for _ in range(4):
        loop.step()
        clock.pass_time(LONGEST_RETRY)
    assert [note for each in told for note in each.notes] == notes


@pytest.mark.parametrize("ability", ["", *ABILITIES])
def test_a_loop_tells_what_its_driver_can_do_and_goes_on_without_the_rest(
    tmp_path: Path, ability: str
) -> None:
    """Whatever is missing, ports are kept closed, and a lease is opened only where it ends."""
    clock = SetClock()
    able = replace(HOST, **{ability: False}) if ability else HOST  # type: ignore[arg-type]  # reason: each is a bool
    driver = FakeDriver(FakeFirewall(clock, able))
    told: list[Report] = []
    ssh = PortKey(TransportProtocol.TCP, 22)
    here = (AddressPrefix.parse("192.0.2.1"),)

    class Asked(Line):
        def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
            lease = Lease("g", (ssh,), here, timedelta(seconds=30))
            return DesiredState("uid", 1, frozenset({ClosedPort(ssh)}), {}, (lease,))

        def send_report(self, report: Report) -> int:
            told.append(report)
            return report.generation

    reconciler = Reconciler(driver, Memory(), clock)
    local = LocalOpenings(tmp_path)
    loop = AgentLoop(reconciler, driver, Asked(), clock, lambda: None, local, driver_name="fake")
    loop.step()
    assert (told[-1].driver, told[-1].capabilities) == ("fake", able)
    assert told[-1].in_force == ({"g"} if able.ends_leases else set())
    assert driver.firewall.reaches("192.0.2.1", ssh) == able.ends_leases
    assert not driver.firewall.reaches("198.51.100.1", ssh)
    opens = (ssh, here, timedelta(seconds=60))
    if able.ends_leases:
        assert loop.by_root.open(Order(*opens)).grant_id
    else:
        with pytest.raises(EnforcementFailed, match="cannot end an opening by itself"):
            loop.by_root.open(Order(*opens))
        assert local.pending() == (), "it is not on record: nothing was done"
    clock.pass_time(31)
    loop.step()
    assert told[-1].in_force <= {each.id for each in told[-1].held_locally or ()}
    assert (told[-1].sessions is None) == (not able.counts_sessions)


def test_a_retired_server_opens_nothing_until_root_accepts_it(tmp_path: Path) -> None:
    """The server from before a move to another database comes back (EDGES H7)."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    line = Listening()
    loop = loop_of(driver, line, clock, tmp_path)
    ssh = grant_ssh(line, timedelta(minutes=20))
    assert line.state is not None
    granted, shut = line.state, replace(line.state, leases=(), installation=2)
    line.state = shut
    loop.step()
    assert loop.accept_server() is None
    line.state = replace(
        granted, generation=9, installation=1
    )  # it grants what the new one does not
    for _ in range(3):
        clock.pass_time(LONGEST_RETRY)
        loop.step()
    observed = driver.observe().rules
    assert observed is not None
    assert (observed.closed, dict(observed.openings)) == (frozenset({ssh}), {})
    (said,) = [each for each in line.told[-1].weaknesses if each.code == "ServerRetired"]
    assert (said.arguments["told"], said.arguments["known"]) == ("1", "2")
    assert any("installation number 1" in each for each in loop.status()["weaknesses"])
    assert loop.accept_server() == 1
    clock.pass_time(LONGEST_RETRY)
    loop.step()
    observed = driver.observe().rules
    assert observed is not None
    assert len(observed.openings) == 2, "IPv4 and IPv6"
    clock.pass_time(LONGEST_RETRY)
    loop.step()
    assert not line.told[-1].weaknesses
    assert any("root accepted the server" in note for each in line.told for note in each.notes)


def test_a_retired_server_is_not_the_one_that_answers_again(tmp_path: Path) -> None:
    clock = SetClock()
    line = Listening()
    loop = loop_of(FakeDriver(FakeFirewall(clock)), line, clock, tmp_path)
    for number in (2, 1, 2):
        grant_ssh(line, timedelta(minutes=20))
        assert line.state is not None
        line.state = replace(line.state, installation=number)
        clock.pass_time(LONGEST_RETRY)
        loop.step()
    assert not [each for each in line.told[-1].weaknesses if each.code == "ServerRetired"]
