"""What only a terminal sees: the turning sign, folding, colours."""

from __future__ import annotations

import io
import time

import pytest

from bascule.cli.confirm import confirm
from bascule.cli.printing import clean_line, render_table
from bascule.cli.waiting import Working


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_turning_sign_comes_late_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)

    def is_quiet() -> bool:
        screen.seek(0)
        screen.truncate()
        with Working("waiting"):
            pass
        return not screen.getvalue()

    assert any(is_quiet() for _ in range(6)), "what is quick needs none"
    screen.seek(0)
    screen.truncate()
    with Working("wai\x1b[2Jting"):
        until = time.monotonic() + 10
        while not screen.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
    assert "| wai[2Jting" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_a_question_is_as_clean_as_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """EDGES A18: a name from elsewhere cannot have one confirm something else than one reads."""
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    confirm("Group \x1b[2Jops\u202e is deleted.", is_sure=False)
    assert "Group [2Jops is deleted. Continue?" in screen.getvalue()


def test_no_sign_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with Working("waiting"):
        time.sleep(0.7)
    assert capsys.readouterr().err == ""


def test_piped_tables_are_neither_cut_nor_coloured() -> None:
    rendered = render_table(
        ["A", "B"], [["x" * 300, "open"], ["[red]no markup[/red] :smile:", "failed"]]
    )
    assert rendered.splitlines()[1] == f"{'x' * 300}  open"
    assert rendered.splitlines()[2].startswith("[red]no markup[/red] :smile:")
    assert "\x1b" not in rendered


def test_a_terminal_folds_and_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    rendered = render_table(["A", "B"], [["x" * 60, "open"]])
    assert rendered.count("x") == 60, "nothing is lost"
    assert "\x1b[32mopen" in rendered
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in render_table(["A", "B"], [["x", "open"]])


def test_indentation_is_kept() -> None:
    assert clean_line("  a\x1b\n b ") == "  a  b "
