"""Which server does what only one may do at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Held:
    """A duty, as it was taken last."""

    holder: str  # a server's own id
    epoch: int  # raised whenever another server takes it
    until: datetime  # by the database's clock; exclusive


class DutyReads(Protocol):
    """Reads of this part"""

    def duty(self, name: str) -> Held | None:
        """None: nobody ever had it."""
        ...


class DutyWrites(DutyReads, Protocol):
    """Writes of this part"""

    def put_duty(self, name: str, held: Held) -> None: ...
