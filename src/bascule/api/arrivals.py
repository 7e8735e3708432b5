"""Bytes of agents' messages that the server keeps: from a message's first byte until it is answered.

Each line has a little of its own, more than any report of an honest agent needs. What exceeds that comes
from one pool for all lines; when the pool is full, the line that takes most of it loses its connection.
So somebody with many agents' keys fills no memory, and keeps nobody else from reporting (EDGES E1).
What is not here: how large one message may be (``protocol.frames``), and for how long it may take to
come (``framed_connection``).
"""

from __future__ import annotations

from typing import Protocol

OWN = 64 * 1024  # bytes of each line
IN_ALL = 64 * 1024 * 1024  # bytes of all lines beyond that


class Holder(Protocol):
    """A line."""

    def lose(self) -> None:
        """Give up the connection, and all that is kept for it."""


class Arrivals:
    """The pool. Use from one event loop."""

    def __init__(self, in_all: int = IN_ALL) -> None:
        self._in_all = in_all
        self._total = 0
        self._of: dict[Holder, int] = {}  # beyond what each has of its own

    @property
    def total(self) -> int:
        """Bytes in the pool."""
        return self._total

    def keep(self, holder: Holder, size: int) -> None:
        """Note that so many bytes are kept for this line now; ``lose`` may be called, also of it."""
        self._note(holder, max(0, size - OWN))
        while self._total > self._in_all:
            loser = max(self._of, key=self._of.__getitem__)
            self._note(loser, 0)
            loser.lose()

    def _note(self, holder: Holder, size: int) -> None:
        self._total += size - self._of.pop(holder, 0)
        if size:
            self._of[holder] = size
