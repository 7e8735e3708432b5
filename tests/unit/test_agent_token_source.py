"""Where an enrolment token comes from (EDGES I3): a file, stdin, the environment, the terminal."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bascule.agent import commands
from bascule.agent.token_source import ask_token, offered_token
from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.errors import BasculeError, ConfigurationError, InvalidInput


def test_a_file_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("bascule-enrol.of-the-file\n")
    monkeypatch.setenv(TOKEN_VARIABLE, "bascule-enrol.of-the-environment")
    assert offered_token(tmp_path / "token") == "bascule-enrol.of-the-file"
    monkeypatch.setenv(TOKEN_VARIABLE, " bascule-enrol.of-the-environment\n")
    assert offered_token(None) == "bascule-enrol.of-the-environment"
    assert offered_token(None) == ""


def test_what_we_start_does_not_inherit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "bascule-enrol.abc")
    offered_token(None)
    assert TOKEN_VARIABLE not in os.environ


def test_a_file_that_cannot_be_read_and_one_that_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        offered_token(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="it is not text"):
        offered_token(tmp_path / "binary")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InvalidInput, match="no token in"):
        offered_token(tmp_path / "empty")


def installing(tmp_path: Path, *words: str, stdin: str = "") -> BasculeError:
    """How an installation ends whose token is refused before anything is written."""
    where = ["--server", "https://bascule.test", "--state", str(tmp_path / "state")]
    done = CliRunner().invoke(commands.agent, ["install", *where, *words], input=stdin)
    assert isinstance(done.exception, BasculeError), done.output
    assert not (tmp_path / "state").exists()
    return done.exception


def test_stdin_gives_it_to_a_script(tmp_path: Path) -> None:
    refused = installing(tmp_path, "--token-file", "-", stdin="bascule-enrol.%%%\n")
    assert "not an enrolment token" in refused.message
    assert "no token in stdin" in installing(tmp_path, "--token-file", "-").message


def test_without_a_terminal_it_says_how_else(tmp_path: Path) -> None:
    refused = installing(tmp_path)
    assert refused.exit_code == 2
    assert "no terminal" in refused.message
    assert "--token-file" in refused.advice
    assert TOKEN_VARIABLE in refused.advice


def test_on_a_terminal_it_is_asked_for_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def prompt(text: str, *, hide_input: bool, err: bool) -> str:
        asked.append((hide_input, err))
        return " bascule-enrol.abc "

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "prompt", prompt)
    assert ask_token() == "bascule-enrol.abc"
    assert asked == [(True, True)]


@pytest.mark.parametrize("command", ["install", "run"])
def test_no_option_takes_it_on_the_command_line(command: str) -> None:
    found = commands.agent.commands[command]
    assert not [each for each in found.params if re.fullmatch("token", each.name or "")]
    done = CliRunner().invoke(commands.agent, [command, "--server", "x", "--token", "secret"])
    assert done.exit_code == 2
    assert "--token-file" in done.output
