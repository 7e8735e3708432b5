"""docs/cli.md: every command and option of ``--help``, every exit code of every error."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bascule import errors
from bascule.cli.main import INTERRUPTED
from bascule.errors import BasculeError
from tools.command_page import MARK, PAGE, commands, options, reference

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_says_what_help_says() -> None:
    """python tools/command_page.py writes it anew."""
    assert TEXT.partition(MARK)[2] == f"\n{reference()}"


def test_every_command_and_option_stands_in_it() -> None:
    """The reference is made by a program, which may leave out what its reader needs."""
    sections = dict(
        re.findall(r"^## (bascule .+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    )
    for name, command, _ in commands():
        if name != "bascule":
            for option in options(command):
                for spelling in option.opts:
                    assert f"{spelling}" in sections[name], (name, spelling)
    assert len(sections) >= 35


def kinds(root: type[BasculeError] = BasculeError) -> Iterator[type[BasculeError]]:
    yield root
    for each in root.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from kinds(each)


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_error_stands_at_its_exit_code(kind: type[BasculeError]) -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", TEXT, re.MULTILINE))
    assert f"`{kind.code}`" in rows[str(kind.exit_code)]
    assert {int(code) for code in rows} == {0, INTERRUPTED, *(each.exit_code for each in kinds())}
