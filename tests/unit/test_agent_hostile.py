"""Whatever a server answers, or does not: the agent enforces what it holds (EDGES E4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bascule.agent.link import KeyRefused, Listener
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.agent.state import StateRefused
from bascule.agent.timetable import LONGEST_RETRY, MOST_WAKES
from bascule.clocks import SystemClock
from bascule.domain.desired import DesiredState
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.errors import BasculeError, ServerUnreachable
from bascule.interfaces.clock import Clock
from bascule.protocol.report import Report
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_agent_loop import Destroying, Line, Memory

SSH = ClosedPort(PortKey(TransportProtocol.TCP, 22))
FAULTS = [
    AttributeError("'str' object has no attribute 'get'"),
    TypeError("argument of type 'int' is not iterable"),
    KeyError("access_token"),
    ValueError("nan"),
    OverflowError("int too large"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    BasculeError("something else"),
    ServerUnreachable("away"),
    StateRefused("cannot be"),
    KeyRefused("not known"),
]


class Faulty(Line):
    """Raises ``fault`` wherever it is asked or told, while there is one."""

    def __init__(self, *, asked: Exception | None = None, told: Exception | None = None) -> None:
        super().__init__()
        self.at_asking, self.at_telling = asked, told

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        self.asked.append(self.generation)
        if self.at_asking is not None:
            raise self.at_asking
        return DesiredState("uid", self.generation, frozenset({SSH}), {}, ())

    def send_report(self, report: Report) -> int:
        if self.at_telling is not None:
            raise self.at_telling
        return super().send_report(report)


class Counting(Destroying):
    tidied = 0

    def tidy(self) -> None:
        self.tidied += 1
        super().tidy()


def loop_on(line: Line, driver: FakeDriver, clock: Clock, folder: Path) -> AgentLoop:
    reconciler = Reconciler(driver, Memory(), clock)
    reconciler.take(DesiredState("uid", 1, frozenset({SSH}), {}, ()), clock.boottime())
    return AgentLoop(reconciler, driver, line, clock, lambda: None, LocalOpenings(folder))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: type(each).__name__)
def test_every_pass_enforces_however_asking_fails(tmp_path: Path, fault: Exception) -> None:
    """A server could announce a generation all the time and answer so that no pass ever came to
    what it is for: what another tool changed stayed so, and status said *connected*."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    line = Faulty(asked=fault)
    loop = loop_on(line, driver, clock, tmp_path)
    for generation in range(2, 102):
        loop.on_generation(generation)
        driver.firewall.damage()
        clock.pass_time(1.0)
        loop.step()
        assert driver.observe().is_intact
        assert driver.observe().rules.closed == {SSH}
    assert len(line.asked) >= 100, "the announced generation was asked for"
    status = loop.status()
    assert not status["connected"]
    assert status["unheard"]
    assert status["enforcing"]

    line.at_asking = None
    line.generation = 102
    clock.pass_time(LONGEST_RETRY)
    loop.step()
    assert loop.status()["connected"], "and it is heard again when it makes sense"
    assert not loop.status()["unheard"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: type(each).__name__)
def test_the_rest_of_a_pass_is_done_however_telling_fails(tmp_path: Path, fault: Exception) -> None:
    clock = SetClock()
    driver = Counting(FakeFirewall(clock))
    line = Faulty(told=fault)
    loop = loop_on(line, driver, clock, tmp_path)
    for count in range(1, 11):
        clock.pass_time(LONGEST_RETRY)
        loop.step()
        assert driver.tidied == count, "sockets of what has ended are destroyed"
        assert not loop.status()["connected"]


def test_a_line_wakes_ten_passes_a_second_at_most(tmp_path: Path) -> None:
    """Each pass reads the firewall and asks the server: a line must not set the pace of either.
    What is announced last is asked for all the same."""

    class Announcing(Line):
        is_over = threading.Event()

        def listen(self, listener: Listener, is_stopping: Callable[[], bool]) -> None:
            ends = time.monotonic() + 2.5
            while time.monotonic() < ends and not is_stopping():
                self.generation += 1
                listener.on_generation(self.generation)
                time.sleep(0.001)
            self.is_over.set()
            while not is_stopping():
                time.sleep(0.01)

    clock = SystemClock()
    line = Announcing()
    loop = loop_on(line, FakeDriver(FakeFirewall(clock)), clock, tmp_path)
    began = time.monotonic()
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        assert line.is_over.wait(30)
        deadline = time.monotonic() + 30
        while line.asked[-1] != line.generation and time.monotonic() < deadline:
            time.sleep(0.01)
        took = time.monotonic() - began
    finally:
        loop.stop()
        thread.join(30)
    assert line.asked[-1] == line.generation
    assert line.generation > 5 * MOST_WAKES * took, "it announced far more than that"
    assert len(line.asked) <= MOST_WAKES * (took + 1) + 1  # and the poll at the start


def test_answers_of_no_use_are_asked_for_once_a_second(tmp_path: Path) -> None:
    """Each may be eight megabytes to read."""
    clock = SetClock()
    line = Faulty(asked=StateRefused("cannot be"))
    loop = loop_on(line, FakeDriver(FakeFirewall(clock)), clock, tmp_path)
    for generation in range(2, 102):
        loop.on_generation(generation)
        clock.pass_time(0.1)
        loop.step()
    assert 9 <= len(line.asked) <= 25, "and by its polls, which come seldomer"


def test_answers_to_reports_wake_no_more_passes_than_a_line(tmp_path: Path) -> None:
    """An answer with another generation is an announcement."""
    clock = SetClock()

    class Ahead(Line):
        def send_report(self, report: Report) -> int:
            self.generation = report.generation + 1
            return self.generation

    line = Ahead()
    loop = loop_on(line, FakeDriver(FakeFirewall(clock)), clock, tmp_path)
    for _ in range(100):
        loop.step()
    assert len(line.asked) <= MOST_WAKES + 1
    clock.pass_time(1.0)
    loop.step()
    assert line.asked[-1] == line.generation - 1, "what was announced is asked for then"


def test_announcements_do_not_pile_up_while_a_pass_takes_long(tmp_path: Path) -> None:
    clock = SetClock()
    loop = loop_on(Line(), FakeDriver(FakeFirewall(clock)), clock, tmp_path)
    for generation in range(2, 10_000):
        loop.on_generation(generation)
    assert loop._inbox._queue.qsize() <= 1
