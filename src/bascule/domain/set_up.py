"""The link by which a fresh installation gets its first person (EDGES C0). No secrets.

It is known by the SHA-256 of its text, is taken once, and ends by itself. What is not here:
texts and hashes (``services.set_up``), and whether there is an owner already, in whose
presence no link opens anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SET_UP_LIFE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SetUpLink:
    hash: str
    made_at: datetime

    @property
    def ends_at(self) -> datetime:
        return self.made_at + SET_UP_LIFE

    def holds_at(self, now: datetime) -> bool:
        """Not before it was made either: a clock that went back lengthens nothing."""
        return self.made_at <= now < self.ends_at
