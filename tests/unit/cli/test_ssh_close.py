"""EDGES J14: what ``bascule ssh --close`` says to the server, and when it stops."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from bascule.cli.ssh_close import VARIABLE, is_wanted, say_until_ended
from bascule.cli.ssh_line import parse_ssh_line
from bascule.domain.runs import BOUND, HEARTBEAT
from bascule.errors import ConfigurationError, Conflict, InvalidInput, NotFound, ServerUnreachable
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import FakeServer, rule

BEAT = HEARTBEAT.total_seconds()


class Session:
    """An ssh that ends at a moment, and a server that answers or not; time passes by waiting."""

    def __init__(self, ends: float) -> None:
        self.now, self.ends = 0.0, ends
        self.beats: list[float] = []
        self.ended: list[float] = []
        self.answer: Callable[[], None] = lambda: None

    def has_ended(self, seconds: float) -> bool:
        self.now = min(self.now + seconds, max(self.now, self.ends))
        return self.now >= self.ends

    def beat(self) -> None:
        self.beats.append(self.now)
        self.answer()

    def end(self) -> None:
        self.ended.append(self.now)
        self.answer()

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self) -> Session:
        say_until_ended(self.has_ended, self.beat, self.end, lambda: self.now, self.sleep)
        return self


def raising(error: Exception) -> Callable[[], None]:
    def answer() -> None:
        raise error

    return answer


def test_a_heartbeat_every_half_minute_and_the_end_at_once() -> None:
    session = Session(100).run()
    assert session.beats == [0, BEAT, 2 * BEAT, 3 * BEAT]
    assert session.ended == [100]


@pytest.mark.parametrize("error", [NotFound("gone"), Conflict("over", code="GrantNotLive")])
def test_when_its_access_is_over_it_says_nothing_more(error: Exception) -> None:
    session = Session(1000)
    session.answer = raising(error)
    assert session.run().beats == [0]
    assert session.ended == []


def test_a_server_that_is_away_is_tried_again_until_it_closes_by_itself() -> None:
    session = Session(100)
    session.answer = raising(ServerUnreachable("away"))
    session.run()
    assert session.beats == [0, BEAT, 2 * BEAT, 3 * BEAT]
    assert session.ended[0] == 100
    assert session.ended[-1] < 100 + BOUND.total_seconds()


@pytest.mark.parametrize(
    ("words", "value", "found"),
    [
        ("web-1", "", False),
        ("--close web-1", "", True),
        ("web-1 --close", "0", True),
        ("web-1", "1", True),
        ("web-1", "0", False),
        ("--no-close web-1", "1", False),
        ("--close --no-close web-1", "1", False),
        ("web-1 -- --close", "", False),  # a word of the machine's command
    ],
)
def test_what_asks_for_it(words: str, value: str, found: bool) -> None:
    assert is_wanted(parse_ssh_line(words.split()).ours, {VARIABLE: value}) is found


def test_what_is_neither_on_nor_off() -> None:
    with pytest.raises(ConfigurationError, match="BASCULE_SSH_CLOSE is 'yes'"):
        is_wanted({}, {VARIABLE: "yes"})
    with pytest.raises(InvalidInput, match="takes no value"):
        parse_ssh_line(["--close=no", "web-1"])


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Requests and runs for which a child was left behind."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "bascule.cli.ssh_close.close_after", lambda request, run: found.append((request, run))
    )
    return found


@pytest.fixture
def web(server: FakeServer) -> str:
    path = server.add_machine("web-1", "203.0.113.5")
    server.set_rules("web-1", rule(22))
    return path


def test_what_it_opens_names_the_run(
    cli: Cli, server: FakeServer, web: str, closed: list[tuple[str, str]]
) -> None:
    assert cli("ssh", "--close", "web-1").code == 0
    ((_, run),) = closed
    assert cli.sent("POST", "/initiate")[0]["bascule"] == {"run": run}
    assert "--close" not in cli.became[0]


def test_without_it_nothing_names_a_run(cli: Cli, web: str, closed: list[tuple[str, str]]) -> None:
    assert cli("ssh", "web-1").code == 0
    assert "bascule" not in cli.sent("POST", "/initiate")[0]
    assert not closed


def test_what_was_open_before_stays_and_that_is_said(
    cli: Cli, server: FakeServer, web: str, closed: list[tuple[str, str]]
) -> None:
    server.add_request("web-1")
    result = cli("ssh", "--close", "web-1")
    assert result.code == 0
    assert "was open before, and stays open until its time is over" in result.err
    assert cli.became
    assert not closed


CHILD = """
import os, sys, time
from bascule.cli import ssh_close
ssh_close._call = lambda work, request, run: open(sys.argv[1], "a").write(work.__name__ + "\\n")
ssh_close.close_after("request", "run")
os.execvp("sh", ["sh", "-c", sys.argv[2]])
"""


@pytest.mark.parametrize("how", ["exit 0", "kill -9 $$"])
def test_a_real_child_notices_the_end_at_once_and_holds_no_output(
    tmp_path: object, how: str
) -> None:
    """Whoever reads the output of ssh does not wait for the child; nor does the end for a heartbeat."""
    said = os.path.join(str(tmp_path), "said")  # noqa: PTH118  # reason: a word of a command line
    command = [sys.executable, "-c", CHILD, said, f"sleep 0.5; {how}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.stderr == ""
    from tests.e2e.lab_world import until  # reason: no other test here waits

    def lines() -> list[str]:
        with open(said) as file:  # noqa: PTH123  # reason: as above
            return file.read().split()

    assert until(lambda: lines() == ["put_run", "end_run"], 5)
