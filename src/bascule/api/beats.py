"""The beats that one line was sent, and which of them an echo or a report may still name.

A number stands for the moment when it was sent: what names it was read after that moment, so the
contact counts from there, however long the answer was on its way (ADR 20).
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import NamedTuple

from bascule.protocol.line import FRESH_SECONDS, NUMBERS_REMEMBERED

AT_PROOF = 0  # the number of a report that was read before the first beat came


class Sent(NamedTuple):
    """A beat that may still be named."""

    number: int
    at: datetime
    monotonic: float


class Beats:
    """The last few, the newest last; numbers start where nobody can guess."""

    __slots__ = ("_number", "_sent")

    def __init__(self) -> None:
        self._number = secrets.randbelow(1 << 40)
        self._sent: tuple[Sent, ...] = ()

    def begin(self, at: datetime, monotonic: float) -> None:
        """The line was proved, which counts as the beat AT_PROOF."""
        self._sent = (Sent(AT_PROOF, at, monotonic),)

    def next(self, at: datetime, monotonic: float) -> int:
        """The number to send now."""
        self._number += 1
        self._sent = (*self._sent, Sent(self._number, at, monotonic))[-NUMBERS_REMEMBERED:]
        return self._number

    def sent(self, number: int, now: float) -> Sent | None:
        """The beat of that number, if it still counts."""
        for sent in self._sent:
            if sent.number == number and now - sent.monotonic <= FRESH_SECONDS:
                return sent
        return None
