"""A click group whose commands are modules that stay unread until one is asked for.

``bascule --help`` and completion of command names need names and summaries alone; a
command's libraries would make everybody wait for what one command uses.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from typing import NamedTuple

import click
from click.exceptions import NoSuchCommand
from click.shell_completion import CompletionItem

from bascule.errors import ConfigurationError


class Lazy(NamedTuple):
    """Where a command is and what it is for, known without loading it."""

    target: str  # "package.module:attribute"
    summary: str
    section: str = ""
    is_hidden: bool = False

    def load(self) -> click.Command:
        module, _, attribute = self.target.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise _not_installed(error) from error
        finally:
            gc.enable()  # bootstrap.main disabled it
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.target} is not a click command")
        return command


def _not_installed(error: ModuleNotFoundError) -> Exception:
    """Of distributions' packages each brings its commands; the names of all are in the table."""
    missing = error.name or ""
    if not missing.startswith("bascule."):
        return error
    if missing.startswith("bascule.lab"):
        return ConfigurationError(
            "This installation of Bascule has no lab.", advice="A clone of the repository has it."
        )
    package = "bascule-agent" if missing.startswith("bascule.agent") else "bascule-server"
    return ConfigurationError(
        "This command is not installed here.", advice=f"It is in the package {package}."
    )


class LazyGroup(click.Group):
    """The top of the command line; help lists its commands by section, in table order."""

    def __init__(self, lazy: Mapping[str, Lazy], **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]  # reason: click's own keywords, passed on
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # reason: click's signature
        return [name for name, lazy in self._lazy.items() if not lazy.is_hidden]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  # reason: click's signature
        cmd_name: str,
    ) -> click.Command | None:
        lazy = self._lazy.get(cmd_name)
        return None if lazy is None else lazy.load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with its "Did you mean" over the names that are not loaded."""
        name = args[0]
        if name not in self._lazy and not name.startswith("-") and not ctx.resilient_parsing:
            raise NoSuchCommand(name, possibilities=self.list_commands(ctx), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            lazy = self._lazy[name]
            sections.setdefault(lazy.section, []).append((name, lazy.summary))
        for section, rows in sections.items():
            with formatter.section(section or "Commands"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(name, help=self._lazy[name].summary)
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)
