"""What is printed: results on stdout, messages on stderr, tables for people, JSON for programs.

Every text that came from elsewhere passes ``clean`` here, so that no command can forget it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from bascule.cli.clean import clean, escape_json
from bascule.domain.lifecycle import STATES, Tone

F = TypeVar("F", bound=Callable[..., Any])

UNBOUNDED = 10_000  # columns, when nobody looks at a terminal: nothing is cut or folded
_COLOUR_OF = {Tone.GOOD: "green", Tone.WARN: "yellow", Tone.BAD: "red", Tone.PLAIN: ""}
_COLOURS = {
    **{row.name: _COLOUR_OF[row.tone] for row in STATES.values()},
    "online": "green",
    "away": "red",
}


def output_option(command: F) -> F:
    """``-o table|json``, handed over as ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="Output format; json is for programs.",
    )(command)


def say(text: str) -> None:
    """One line of result."""
    click.echo(clean_line(text))


def note(text: str) -> None:
    """One line of message."""
    click.echo(clean_line(text), err=True)


def clean_line(text: str) -> str:
    """Clean, but keep what indents the line."""
    body = text.lstrip(" ")
    return " " * (len(text) - len(body)) + clean(body)


def emit_json(value: object) -> None:
    click.echo(escape_json(json.dumps(value, indent=2, ensure_ascii=False)))


def emit_json_line(value: object) -> None:
    click.echo(escape_json(json.dumps(value, ensure_ascii=False, separators=(",", ":"))))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns for people: folded to the terminal, whole when piped."""
    click.echo(render_table(heads, rows), nl=False)


def render_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    from rich.console import Console  # noqa: PLC0415  # reason: slow to load, only tables need it
    from rich.table import Table  # noqa: PLC0415  # reason: as above
    from rich.text import Text  # noqa: PLC0415  # reason: as above

    is_terminal = sys.stdout.isatty()
    console = Console(
        force_terminal=is_terminal,
        width=None if is_terminal else UNBOUNDED,
        highlight=False,
        markup=False,
        emoji=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        cells = [clean(cell) for cell in row]
        table.add_row(*(Text(cell, style=_COLOURS.get(cell.split(" ")[0], "")) for cell in cells))
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(lines) + "\n"
