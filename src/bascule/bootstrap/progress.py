"""How far a long command is: one line that changes on a terminal; elsewhere a line every ten seconds,
and one at the end of each large part.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

EVERY = 0.2  # seconds between two words about one part, on a terminal
EVERY_LINE = 10.0  # seconds between lines, where stderr is not a terminal
LARGE = 10_000  # rows; a smaller part has no line of its own
_CLEAR = "\r\x1b[K"


class Progress:
    """``is_silent``: the answer is for a program, which is told the end alone."""

    def __init__(self, what: str, *, is_silent: bool = False) -> None:
        self._what = what
        self._is_silent = is_silent
        self._is_terminal = sys.stderr.isatty()

    def of(self, part: str, total: int) -> Callable[[int], None]:
        """To be called with how many of ``total`` rows of this part are done."""
        last = time.monotonic() if not self._is_terminal else 0.0

        def say(done: int) -> None:
            nonlocal last
            now, is_whole = time.monotonic(), done >= total
            every = EVERY if self._is_terminal else EVERY_LINE
            if self._is_silent or not total or not (is_whole or now - last >= every):
                return
            last = now
            line = f"{self._what} {part}: {done} of {total}"
            if self._is_terminal:
                click.echo(f"{_CLEAR}{line}", nl=False, err=True)
            elif not is_whole or total >= LARGE:
                click.echo(line, err=True)

        return say

    def end(self) -> None:
        if self._is_terminal and not self._is_silent:
            click.echo(_CLEAR, nl=False, err=True)
