"""``agent open``: root is not sent away by a busy agent, and is told what the opening is worth."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bascule.agent import commands, opening
from bascule.agent.control import ControlSocket, handler_for
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.domain.held import Held
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.errors import BasculeError
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_agent_leave import _nothing
from tests.unit.test_agent_loop import Line, Memory
from tests.unit.test_agent_start import Host, Watched

SSH = ClosedPort(PortKey(TransportProtocol.TCP, 22))


class Loop(AgentLoop):
    """One that does what it is asked at once, but for the first times."""

    def __init__(
        self, reconciler: Reconciler, driver: FakeDriver, clock: SetClock, state: Path
    ) -> None:
        super().__init__(reconciler, driver, Line(), clock, lambda: None, LocalOpenings(state))
        self.busy = 0

    def ask(self, work: Callable[[], Any], seconds: float = 10.0) -> Any:
        if self.busy:
            self.busy -= 1
            return super().ask(work, seconds=0.01)
        return work()


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    reconciler = Reconciler(driver, Memory(), clock)
    reconciler.held = Held(closed=frozenset({SSH}))
    return Loop(reconciler, driver, clock, tmp_path)


@contextmanager
def listening(loop: Loop, state: Path) -> Iterator[None]:
    control = ControlSocket(state / "agent.sock", handler_for(loop, _nothing))
    try:
        yield
    finally:
        control.close()


def _open(state: Path, port: str, host: Host | None = None) -> Result:
    words = ["open", "-p", port, "--from", "192.0.2.1", "--state", str(state)]
    return CliRunner().invoke(commands.agent, words, obj=host)


def test_a_busy_agent_is_asked_again(loop: Loop, tmp_path: Path) -> None:
    loop.busy = 2
    with listening(loop, tmp_path):
        done = _open(tmp_path, "22")
    assert done.exit_code == 0, done.output
    assert done.output.count("busy") == 1, "said once"
    assert "closes by itself" in done.output


def test_what_is_given_up_before_the_agent_begins_is_not_done_later(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a pass of the agent waits for its server."""
    asked, has_left, told = threading.Event(), threading.Event(), list[str]()

    def ask(work: Callable[[], Any], seconds: float = 10.0) -> Any:
        asked.set()
        assert has_left.wait(seconds)
        try:
            return work()
        except BasculeError as error:
            told.append(error.message)
            raise

    monkeypatch.setattr(loop, "ask", ask)
    order = {"command": "open", "protocol": "TCP", "number": 22, "seconds": 60}
    with listening(loop, tmp_path), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "agent.sock"))
        caller.sendall(json.dumps({**order, "sources": ["192.0.2.1"]}).encode() + b"\n")
        assert asked.wait(10)
        caller.close()
        has_left.set()
    assert told == ["The caller has disconnected. Nothing was done."]
    assert not loop._reconciler.held.leases


def test_who_interrupts_it_is_told_that_it_may_have_been_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(opening, "open_on_this_host", interrupt)
    assert "may have been done" in _open(tmp_path, "22").output


def test_one_that_stays_busy_is_told_with_what_to_do(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_PATIENCE", 0.1)
    loop.busy = 1000
    with listening(loop, tmp_path):
        done = _open(tmp_path, "22")
    assert isinstance(done.exception, BasculeError)
    assert "Nothing was done" in done.exception.message
    assert "systemctl restart" in done.exception.advice


def test_a_port_that_is_not_shut_here_is_said(loop: Loop, tmp_path: Path) -> None:
    """It does not close by itself: nobody is kept out of it afterwards either."""
    with listening(loop, tmp_path):
        done = _open(tmp_path, "23")
    assert "does not keep port 23/tcp closed" in done.output
    assert "closes by itself" not in done.output


def test_without_an_agent_too(tmp_path: Path) -> None:
    done = _open(tmp_path, "23", Host(Watched([])))
    assert done.exit_code == 0, done.output
    assert "does not keep port 23/tcp closed" in done.output


def test_what_cannot_be_enforced_is_not_called_closed(loop: Loop, tmp_path: Path) -> None:
    """Said means seen: at first, and while the firewall cannot be seen to."""

    def said() -> str:
        with listening(loop, tmp_path):
            words = ["status", "--state", str(tmp_path)]
            return CliRunner().invoke(commands.agent, words).output

    assert "should be closed: 22/tcp" in said()
    loop._enforce()
    assert "\nclosed:  22/tcp" in said()
    assert isinstance(loop._driver, FakeDriver)
    loop._driver.is_unreadable = True
    loop.step()
    assert "should be closed: 22/tcp" in said()
    assert "\nclosed: " not in said()
    assert "weak:    The agent cannot manage the firewall" in said()


def test_status_lets_no_server_write_to_root_s_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant's id is the server's: one that lies could put escape sequences into it."""
    bad = "g\x1b]0;owned\x07\u202e"
    opening_ = {"grantId": bad, "ports": ["22/tcp"], "sources": ["*"], "seconds": 9, "local": False}
    status = {
        "connected": False,
        "unheard": bad,
        "refused": False,
        "closed": ["22/tcp"],
        "open": [opening_],
        "waiting": [{**opening_, "why": bad}],
        "refusedByGuard": {bad: "its port"},
        "weaknesses": [bad],
    }
    monkeypatch.setattr(commands, "tell_agent", lambda *_: {"status": status})
    shown = CliRunner().invoke(commands.agent, ["status", "--state", str(tmp_path)]).output
    assert shown.count("g]0;owned") == 6
    assert all(letter.isprintable() for letter in shown.replace("\n", ""))
