"""What one server at a time does, of those that share a database (docs/adr/0028-duties.md).

A duty is a row: its holder, an epoch, and until when. ``enter`` is the fence: it is called in each
transaction of a duty, and takes the duty, keeps it, or says that another server has it. So a server
that was paused and goes on changes nothing once another took its place. What goes on over several
transactions (``Post``) also compares the epoch: it ends when another server was in between.

A server that dies leaves its duties to the others LEASE later; one that stops gives them back.
A lone server (SQLite) has all duties and never looks at the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bascule.interfaces.clock import READINGS_APART
from bascule.interfaces.duties import DutyReads, DutyWrites, Held

SEALING, SWEEPING, DELIVERING, PROVING = "sealing", "sweeping", "delivering", "proving"
DUTIES = (SEALING, SWEEPING, DELIVERING, PROVING)
LEASE = timedelta(seconds=6)


@dataclass(frozen=True, slots=True)
class Duties:
    """Those of one server. ``holder`` is its id; None: it is alone."""

    holder: str | None = None

    @property
    def is_shared(self) -> bool:
        return self.holder is not None

    def may_enter(self, reader: DutyReads, name: str, now: datetime) -> bool:
        """Would ``enter`` succeed? Asked before a turn of the database is taken for it."""
        return self.holder is None or self._is_open(reader.duty(name), now)

    def enter(
        self, tx: DutyWrites, name: str, now: datetime, *, renews: bool = False
    ) -> int | None:
        """Take or keep a duty, and say at which epoch; None: another server has it.

        To be called first in each transaction of the duty. What is kept is renewed when half of
        its time is over, or at once if it ``renews``.
        """
        if self.holder is None:
            return 0
        held = tx.duty(name)
        if not self._is_open(held, now):
            return None
        if held is None or held.holder != self.holder:
            held = Held(self.holder, 1 if held is None else held.epoch + 1, now)
        if renews or held.until - now < LEASE / 2:
            held = replace(held, until=now + LEASE)
            tx.put_duty(name, held)
        return held.epoch

    def give_back(self, tx: DutyWrites, now: datetime, names: Sequence[str] = DUTIES) -> None:
        """Let another server take them at once."""
        for name in names if self.is_shared else ():
            held = tx.duty(name)
            if held is not None and held.holder == self.holder:
                tx.put_duty(name, replace(held, until=now))

    def _is_open(self, held: Held | None, now: datetime) -> bool:
        """What is held for longer than a lease was written before the clock was set back."""
        if held is None or held.holder == self.holder:
            return True
        return not now < held.until <= now + LEASE + READINGS_APART
