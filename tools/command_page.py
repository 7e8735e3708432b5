"""Write the commands' part of docs/cli.md from the commands themselves.

``python tools/command_page.py`` after a change of the command line; a test holds the page
against what this gives. What stands above the mark is written by hand.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from bascule.bootstrap import _COMMANDS
from bascule.cli.main import build

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
MARK = "<!-- from here on: python tools/command_page.py -->\n"
COLUMNS = 80

Named = tuple[str, click.Command, click.Context]


def commands() -> Iterator[Named]:
    """Name as it is typed, the command, and a context 80 columns wide; groups before theirs."""
    yield from _below(build(_COMMANDS), "bascule", None)


def _below(command: click.Command, name: str, parent: click.Context | None) -> Iterator[Named]:
    ctx = click.Context(
        command,
        info_name=name.rpartition(" ")[2],
        parent=parent,
        terminal_width=COLUMNS,
        help_option_names=command.context_settings.get("help_option_names"),
    )
    yield name, command, ctx
    if isinstance(command, click.Group):
        for each in command.list_commands(ctx):
            found = command.get_command(ctx, each)
            if found is not None:
                yield from _below(found, f"{name} {each}", ctx)


def options(command: click.Command) -> list[click.Option]:
    """Its own options; not those that every command has."""
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]


def reference() -> str:
    """The commands in the order of ``bascule --help``, each with all that its help says."""
    return "\n".join(_section(*each) for each in commands() if each[0] != "bascule")


def _section(name: str, command: click.Command, ctx: click.Context) -> str:
    usage = " ".join([name, *command.collect_usage_pieces(ctx)])
    lines = [f"## {name}", "", f"`{usage}`", "", *inspect.cleandoc(command.help or "").split("\n")]
    records = [found for each in options(command) if (found := each.get_help_record(ctx))]
    if records:
        lines += ["", *(f"* `{how}`: {what}" for how, what in records)]
    if command.epilog:
        told = inspect.cleandoc(command.epilog).replace("\b\n", "").strip()
        lines += ["", "```text", *told.split("\n"), "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(f"{by_hand}{MARK}\n{reference()}", encoding="utf-8")


if __name__ == "__main__":
    main()
