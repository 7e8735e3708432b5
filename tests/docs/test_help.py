"""``--help`` of every command, on a terminal of 80 columns."""

from __future__ import annotations

import re

import click
import pytest

from tools.command_page import COLUMNS, commands, options

EVERY = list(commands())


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
