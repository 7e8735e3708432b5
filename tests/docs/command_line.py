"""Every command of the console script with the context that its help is written in."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bascule.bootstrap import _COMMANDS
from bascule.cli.main import build

COLUMNS = 80


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Name as it is typed, the command, and a context 80 columns wide; groups before theirs."""
    yield from _below(build(_COMMANDS), "bascule", None)


def _below(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
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
            assert found is not None, each
            yield from _below(found, f"{name} {each}", ctx)


def options(command: click.Command) -> list[click.Option]:
    """Its own options; not those that every command has."""
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
