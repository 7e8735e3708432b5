"""Asking before an act that opens, ends or deletes something (EDGES E11)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from bascule.cli.clean import clean
from bascule.cli.printing import note
from bascule.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])


def yes_option(command: F) -> F:
    """``--yes``, handed over as ``is_sure``."""
    return click.option(
        "-y", "--yes", "is_sure", is_flag=True, help="Do not ask for confirmation."
    )(command)


def confirm(consequence: str, *, is_sure: bool) -> None:
    """Say what the act does, and ask; raises InvalidInput where nobody can answer."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"{consequence} Nothing was done, because there is no terminal to ask for "
            f"confirmation.",
            code="NotConfirmed",
            advice="To confirm without a terminal: --yes",
        )
    if not click.confirm(f"{clean(consequence)} Continue?", err=True):
        note("Nothing was done.")
        raise click.exceptions.Exit(1)
