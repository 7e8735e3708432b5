"""Some minutes before the access ends, the terminal of a ``bascule ssh`` session is told."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from bascule.cli.ssh_warning import BEFORE, advice, wait
from bascule.client.access import AccessRequest
from bascule.errors import ServerUnreachable
from tests.samples import NOW

ID = "3f2a91c0-0000-4000-8000-000000000001"
HOUR = timedelta(hours=1)


class Session:
    """An ssh session whose access ends ``left`` after its start; time passes by sleeping."""

    def __init__(self, left: timedelta) -> None:
        self.seconds, self.end = 0.0, left.total_seconds()
        self.said: list[tuple[float, str]] = []
        self.ssh_ends = float("inf")
        self.is_away = False

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def ask(self) -> tuple[timedelta, object, str] | None:
        if self.is_away:
            raise ServerUnreachable("away")
        left = timedelta(seconds=self.end - self.seconds)
        return (left, NOW, "What to do.") if left > timedelta() else None

    def watch(self) -> list[tuple[float, str]]:
        wait(
            timedelta(seconds=self.end),
            self.ask,  # type: ignore[arg-type]  # reason: it gives an instant
            lambda text: self.said.append((self.seconds, text)),
            lambda: self.seconds < self.ssh_ends,
            lambda: self.seconds,
            "web-1 port 22",
            self.sleep,
        )
        return self.said


def test_it_is_said_once_with_what_to_do() -> None:
    ((at, text),) = Session(HOUR).watch()
    assert at == (HOUR - BEFORE).total_seconds()
    assert text.startswith("bascule: access to web-1 port 22 ends in 5m, at ")
    assert text.endswith(". What to do.")


@pytest.mark.parametrize(
    ("is_emergency", "words"),
    [
        (False, "To keep it: bascule extend 3f2a91c0"),
        (True, "Emergency access is not extended: ask again when it has ended."),
    ],
)
def test_no_command_is_named_that_the_server_refuses(is_emergency: bool, words: str) -> None:
    request = AccessRequest(ID, "Ben", "b", "", "", "open", NOW, None, (), (), None)
    assert advice(request._replace(is_emergency=is_emergency)) == words


def test_short_access_is_told_at_once() -> None:
    ((at, text),) = Session(timedelta(minutes=3)).watch()
    assert at == 0
    assert "ends in 3m" in text


def test_what_was_extended_meanwhile_is_told_later() -> None:
    session = Session(HOUR)
    ask = session.ask

    def extended() -> object:
        session.end = 3 * HOUR.total_seconds()
        return ask()

    session.ask = extended  # type: ignore[method-assign, assignment]  # reason: somebody extends
    ((at, _),) = session.watch()
    assert at == (3 * HOUR - BEFORE).total_seconds()


@pytest.mark.parametrize("ended", ["ssh", "access"])
def test_nothing_is_said_where_nothing_is_left_to_warn_of(ended: str) -> None:
    session = Session(HOUR)
    if ended == "ssh":
        session.ssh_ends = 600
    else:
        session.ask = lambda: None  # type: ignore[method-assign]  # reason: it was revoked
    assert session.watch() == []
    assert session.seconds <= HOUR.total_seconds()


def test_a_server_that_is_away_keeps_nobody_from_being_warned() -> None:
    session = Session(HOUR)
    session.is_away = True
    ((_, text),) = session.watch()
    assert "ends within 5m" in text


_PROGRAM = """
import os
from datetime import datetime, timedelta, UTC
from types import SimpleNamespace
from bascule.cli import ssh_warning
end = datetime(2030, 1, 1, tzinfo=UTC)
ssh_warning.present_end = lambda machine, port: (timedelta(minutes=3), end, "3f2a91c0")
port = SimpleNamespace(number=22, ends_at=end, grant_id="g")
ssh_warning.warn_before_end(SimpleNamespace(name="web-1"), port, end - timedelta(minutes=3))
os.execvp("sleep", ["sleep", "1.5"])
"""


def test_a_real_terminal_is_written_to_and_not_held_open() -> None:
    """The program that takes our place ends as it would alone, and so does its terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 4096):
            told += chunk
    except OSError:  # Linux: nobody holds the other end any more
        pass
    finally:
        os.close(ours)
    ended = time.monotonic()
    assert process.wait(5) == 0
    assert time.monotonic() - ended < 1
    assert b"\r\nbascule: access to web-1 port 22 ends in 3m" in told
