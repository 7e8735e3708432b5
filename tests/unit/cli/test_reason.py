"""The reason of a request where a policy requires one: plain ssh and scp get in as well."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bascule.cli import reason
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import FakeServer, rule

ASKS = """\
from bascule.cli.reason import ask_on_terminal
answer = ask_on_terminal("Why\\x1b[2J? ")
open("answer", "w").write(repr(answer))
"""
SECONDS = 60.0


@pytest.fixture
def web(server: FakeServer) -> str:
    server.set_rules("web-1", rule(22, justificationRequired=True))
    return server.add_machine("web-1", "203.0.113.5")


def asked(cli: Cli) -> list[str]:
    return [body.get("justification", "") for body in cli.sent("POST", "/initiate")]


@pytest.mark.parametrize(
    "command", ["ssh-prepare web-1", "ssh web-1", "request web-1"], ids=lambda each: each.split()[0]
)
class TestEach:
    def test_the_environment_gives_it(
        self, cli: Cli, web: str, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BASCULE_WHY", "ticket 4711")
        assert cli(*command.split()).code == 0
        assert asked(cli) == ["ticket 4711"]

    def test_the_terminal_is_asked(
        self, cli: Cli, web: str, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        questions: list[str] = []

        def answer(question: str) -> str:
            questions.append(question)
            return "ticket 4712\n"

        monkeypatch.setattr(reason, "ask_on_terminal", answer)
        assert cli(*command.split()).code == 0
        assert asked(cli) == ["ticket 4712"]
        assert "web-1 port 22" in questions[0]

    def test_an_empty_answer_asks_for_nothing(
        self, cli: Cli, web: str, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reason, "ask_on_terminal", lambda _: " \n")
        result = cli(*command.split())
        assert result.code == 2
        assert "BASCULE_WHY" in result.err
        assert asked(cli) == []

    def test_where_nobody_can_be_asked_the_refusal_says_how(
        self, cli: Cli, web: str, command: str
    ) -> None:
        result = cli(*command.split())
        assert result.code == 4
        assert "The policy wants a reason" in result.err
        assert "BASCULE_WHY" in result.err


def test_it_is_asked_for_only_where_it_is_required(
    cli: Cli, server: FakeServer, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.set_rules("web-1", rule(22))
    monkeypatch.setattr(reason, "ask_on_terminal", lambda _: pytest.fail("asked"))
    assert cli("ssh-prepare", "web-1").code == 0


def test_what_is_said_goes_before_the_environment(
    cli: Cli, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASCULE_WHY", "of before")
    assert cli("request", "web-1", "--why", "of now").code == 0
    assert asked(cli) == ["of now"]


def on_a_terminal(folder: Path, command: Sequence[str], typed: bytes) -> bytes:
    """What is shown on a terminal of its own while somebody types there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvp(command[0], list(command))  # noqa: S606  # reason: fixed words of a test
    shown, deadline, is_typed = b"", time.monotonic() + SECONDS, False
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # EIO: whoever ran there is gone
                break
            if not piece:
                break
            shown += piece
            if b"? " in shown and not is_typed:
                os.write(terminal, typed)
                is_typed = True
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return shown


def test_the_question_goes_to_the_terminal_whatever_stdin_is(tmp_path: Path) -> None:
    """And a name in it cannot move the cursor."""
    (tmp_path / "asks.py").write_text(ASKS)
    command = f"exec {sys.executable} asks.py </dev/null >/dev/null"
    shown = on_a_terminal(tmp_path, ["sh", "-c", command], b"ticket 4711\n")
    assert b"Why[2J? " in shown
    assert (tmp_path / "answer").read_text() == "'ticket 4711\\n'"


def test_ssh_lets_the_question_through(tmp_path: Path) -> None:
    """It gives the command of a Match /dev/null for stdin and stdout, and keeps the terminal."""
    if shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's client")
    (tmp_path / "asks.py").write_text(ASKS)
    (tmp_path / "config").write_text(
        f'Match originalhost web-1 exec "{sys.executable} asks.py"\n    HostName 203.0.113.5\n'
    )
    shown = on_a_terminal(tmp_path, ["ssh", "-F", "config", "-G", "web-1"], b"ticket 4711\n")
    assert b"Why[2J? " in shown
    assert (tmp_path / "answer").read_text() == "'ticket 4711\\n'"
    assert b"hostname 203.0.113.5" in shown


def test_a_job_in_the_background_is_not_stopped(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(ASKS)
    command = f"set -m; {sys.executable} asks.py & wait; echo over"
    shown = on_a_terminal(tmp_path, ["sh", "-c", command], b"")
    assert b"over" in shown
    assert (tmp_path / "answer").read_text() == "None"


def test_without_a_terminal_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reason, "TERMINAL", str(tmp_path / "absent"))
    assert reason.ask_on_terminal("Why? ") is None
