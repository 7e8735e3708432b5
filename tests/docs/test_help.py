"""``--help`` of every command, on a terminal of 80 columns, and commands that others name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tools.command_page import COLUMNS, commands, options

ROOT = Path(__file__).parents[2]
EVERY = list(commands())
KNOWN = {name: command for name, command, _ in EVERY}
# What looks like one and is none: a sentence, and what signatures of the record are made over.
NO_COMMANDS = {" program was not found", " checkpoint", " export"}
_NAMED = re.compile(r"\bbascule((?: [a-z][a-z-]*)+)")


@pytest.mark.parametrize(("name", "command", "ctx"), EVERY, ids=[each[0] for each in EVERY])
def test_it_can_be_read(name: str, command: click.Command, ctx: click.Context) -> None:
    """No line is too long, no mark of the formatter is printed, and no summary breaks off."""
    text = command.get_help(ctx)
    assert "\\b" not in text
    assert "\b" not in text
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []
    assert re.findall(r"^  [a-z][a-z-]* .*\.\.\.$", text, re.MULTILINE) == []
    assert command.help, name
    for option in options(command):
        assert option.help, (name, option.name)


@pytest.mark.parametrize(("name", "command", "ctx"), EVERY, ids=[each[0] for each in EVERY])
def test_its_examples_are_its_own(name: str, command: click.Command, ctx: click.Context) -> None:
    """An example of a command that was renamed would be the first that its reader tries."""
    if command.epilog is None:
        return
    known = {each[0] for each in EVERY}
    for line in command.epilog.splitlines():
        words = line.split()
        if words[:1] == ["bascule"] and len(words) > 1 and not words[1].startswith("-"):
            assert f"bascule {words[1]}" in known, (name, line)


def is_command(words: str) -> bool:
    """Do these words begin with a whole command? What follows it are its arguments."""
    name = "bascule"
    for word in words.split():
        name = f"{name} {word}"
        if not isinstance(KNOWN.get(name), click.Group):
            break
    return name in KNOWN


def spoken(file: Path) -> Iterator[str]:
    """What a module says: its strings, and of a page of documentation what stands as code."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        yield from re.findall(r"`bascule [^`]*`", text)
        yield from re.findall(r"^(?:[$#] )?bascule .*", text, re.MULTILINE)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_command_that_is_named_is_there() -> None:
    """Advice that names a command of another time is worse than none."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    named = {
        (file, words) for file in files for text in spoken(file) for words in _NAMED.findall(text)
    }
    lost = {
        (file.name, words)
        for file, words in named
        if words not in NO_COMMANDS and not is_command(words)
    }
    assert lost == set()
    assert len(named) > 200


def test_the_page_on_roles_names_commands_that_are_there() -> None:
    page = (ROOT / "docs" / "roles.md").read_text(encoding="utf-8")
    table = page.partition("## What the commands take")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = [
        words
        for cell in cells
        for words in re.findall(r"`([a-z][a-z -]*?)(?: --.*?| [A-Z]+)?`", cell)
    ]
    assert [words for words in named if not is_command(words)] == []
    assert len(named) > 30
