"""Who carries a question to a ticket system, and brings its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bascule.domain.tickets import TicketCheck


class CallFailed(Exception):
    """There is no answer; the message is a sentence that says why, and holds no secret."""


class TicketCarrier(Protocol):
    def objection(self, check: TicketCheck) -> str:
        """Why this server does not call it, in a sentence; empty: it does."""
        ...

    async def call(self, check: TicketCheck, headers: Mapping[str, str], body: bytes) -> bytes:
        """The body of its answer. Raises CallFailed."""
        ...
