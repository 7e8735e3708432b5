"""What packages have beside the program: man pages and completions, made from the commands."""

from __future__ import annotations

import gzip
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class
from tree import AGENT, CLI, SERVER

from bascule.bootstrap import _COMMANDS
from bascule.cli.main import build

OWN = {"agent": AGENT, "serve": SERVER, "admin": SERVER}  # all other commands are of CLI
LEFT_OUT = {"lab"}  # tries Bascule out, from a clone
COMPLETIONS = {  # shell -> where distributions look for it: Debian's place, then that of the others
    "bash": ("usr/share/bash-completion/completions/bascule",) * 2,
    "zsh": ("usr/share/zsh/vendor-completions/_bascule", "usr/share/zsh/site-functions/_bascule"),
    "fish": ("usr/share/fish/vendor_completions.d/bascule.fish",) * 2,
}


def write_manual(package: str, folder: Path, version: str, date: str) -> None:
    """One page a command, below ``usr/share/man``."""
    pages = folder / "usr/share/man/man1"
    pages.mkdir(parents=True, exist_ok=True)
    top = build(_COMMANDS)
    ctx = _context(top, "bascule", None)
    if package == CLI:
        _write(pages, "bascule", _page("bascule", top, ctx, version, date, is_alone=True))
    for name in top.list_commands(ctx):
        command = top.get_command(ctx, name)
        if command is not None and name not in LEFT_OUT and OWN.get(name, CLI) == package:
            own = _context(command, name, ctx)
            title = f"bascule-{name}"
            _write(pages, title, _page(title, command, own, version, date, is_alone=False))


def write_completions(folder: Path, kind: str) -> None:
    for shell, places in COMPLETIONS.items():
        path = folder / places[0 if kind == "deb" else 1]
        path.parent.mkdir(parents=True, exist_ok=True)
        made = get_completion_class(shell)
        if made is None:
            raise SystemExit(f"click has no completion for {shell}")
        path.write_text(made(build(_COMMANDS), {}, "bascule", "_BASCULE_COMPLETE").source())


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command, info_name=name, parent=parent, terminal_width=78, max_content_width=78
    )


def _write(pages: Path, name: str, text: str) -> None:
    # Without name and time of the file, so that the same page is always the same bytes.
    (pages / f"{name}.1.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def _page(
    title: str,
    command: click.Command,
    ctx: click.Context,
    version: str,
    date: str,
    *,
    is_alone: bool,
) -> str:
    first = (command.get_short_help_str(200) or title).rstrip(".")
    lines = [
        f'.TH {title.upper()} 1 "{date}" "Bascule {version}" "User commands"',
        *(".SH NAME", f"{_text(title)} \\- {_text(first)}"),
        ".SH SYNOPSIS",
        *_section(command, ctx),
    ]
    if isinstance(command, click.Group):
        if is_alone:
            lines.append(".SH COMMANDS")
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            if found is None or name in LEFT_OUT:
                continue
            if is_alone:
                words = _text(found.get_short_help_str(200))
                lines += [".TP", f"\\fBbascule {_text(name)}\\fR", words]
            else:
                lines += _below(found, _context(found, name, ctx))
    lines += [".SH SEE ALSO", "\\fBbascule\\fR(1), \\fBnft\\fR(8)"]
    return "\n".join(lines) + "\n"


def _below(command: click.Command, ctx: click.Context) -> Iterator[str]:
    yield f'.SH "{_text(ctx.command_path.upper())}"'
    yield from _section(command, ctx)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            if found is not None:
                yield from _below(found, _context(found, name, ctx))


def _section(command: click.Command, ctx: click.Context) -> Iterator[str]:
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield f"\\fB{_text(usage)}\\fR"
    if command.help:
        yield ".PP"
        yield from _paragraphs(inspect.cleandoc(command.help))
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            yield from (".TP", f"\\fB{_text(record[0])}\\fR", _text(" ".join(record[1].split())))
    if command.epilog:
        told = inspect.cleandoc(command.epilog).replace("\b\n", "").strip()
        yield from (".PP", ".nf", *(_text(line) for line in told.split("\n")), ".fi")


def _paragraphs(text: str) -> Iterator[str]:
    for index, part in enumerate(re.split(r"\n\s*\n", text)):
        if index:
            yield ".PP"
        if part.startswith("\b"):
            yield from (".nf", *(_text(line) for line in part.split("\n")[1:]), ".fi")
        else:
            yield _text(" ".join(part.split()))


def _text(words: str) -> str:
    """As it is, for troff: a line that begins with a point or a quote is no request."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


os.environ.setdefault("COLUMNS", "78")
