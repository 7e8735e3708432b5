"""From when the times in a pushed state count: the moment when its nonce was sent (EDGES A8).

The server answers a nonce of this connection, later than it was asked: a push is the delayed answer
to a standing question. What names no nonce of ours, or one that is too old, answers nothing.
"""

from __future__ import annotations

import base64
import os

from bascule.protocol.line import FRESH_SECONDS

MOST_KEPT = 4  # of one connection; an echo in ten seconds makes three in FRESH_SECONDS


class Nonces:
    """Those of one connection. Not thread-safe."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}  # nonce -> when, in seconds of CLOCK_BOOTTIME

    def make(self, now: float) -> str:
        """A fresh random nonce, which is to be sent after this and not before."""
        nonce = base64.urlsafe_b64encode(os.urandom(18)).decode()
        self._sent[nonce] = now
        for old in list(self._sent)[:-MOST_KEPT]:
            del self._sent[old]
        return nonce

    def sent_at(self, nonce: str, now: float) -> float | None:
        """When it was sent; None: it is unknown, of another connection, or too old."""
        sent_at = self._sent.get(nonce)
        return sent_at if sent_at is not None and now - sent_at <= FRESH_SECONDS else None
