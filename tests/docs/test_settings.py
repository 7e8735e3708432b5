"""docs/settings.md has every option of ``bascule serve`` with its default, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from bascule.bootstrap.serve import serve
from bascule.config import ALWAYS_NAMED, DEFAULT_LISTEN

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "settings.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(--[a-z-]+)` \| (.*?) \|", TEXT, re.MULTILINE))
OPTIONS = {each.opts[0]: each for each in serve.params if isinstance(each, click.Option)}


def test_the_options_are_those_of_the_command() -> None:
    assert set(ROWS) == set(OPTIONS)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_default_is_what_holds(name: str) -> None:
    option = OPTIONS[name]
    if option.required:
        assert ROWS[name] == "required"
    elif option.is_flag:
        assert ROWS[name] == "off"
    elif option.multiple:
        assert ROWS[name] == (f"`{DEFAULT_LISTEN}`" if name == "--listen" else "none")
    elif option.default is None:
        assert ROWS[name] == "none"
    else:
        assert ROWS[name] == f"`{option.default}`"


def test_the_names_that_always_hold_are_said() -> None:
    assert all(f"`{name}`" in TEXT for name in ALWAYS_NAMED)


def test_every_page_is_in_the_index() -> None:
    """And each of its links leads somewhere."""
    links = re.findall(r"\]\(([^)#]+)\)", (DOCS / "README.md").read_text(encoding="utf-8"))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= set(links)
    assert [link for link in links if not (DOCS / link).exists()] == []
