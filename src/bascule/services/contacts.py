"""When each enforcement point was last heard by an echo: kept here, and stored every few seconds.

An echo costs no transaction; what it says is stored by one write for all points. A contact names the
key by which the point proved itself, and is stored where that is still the point's. Losing what is
not stored yet makes points look silent for a moment, never heard. Use from one event loop.

While no server ran, nobody could be heard. Until ``begin_counting`` nobody has fallen silent since this
server began, however old the last contact is; who had before is noted so in the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from bascule.domain.grant import SILENCE_BOUND
from bascule.interfaces.points import Contact, ContactWrites


class Contacts:
    """What was heard since it was last stored, the newest of each point and key."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], Contact] = {}
        self._is_counting = False
        self._stored_at: float | None = None  # by the clock since boot
        self._gap_ended_at: float | None = None
        self.gaps = 0  # how often nothing could be stored for longer than SILENCE_BOUND

    @property
    def is_counting(self) -> bool:
        """May whoever was not heard for SILENCE_BOUND be noted as silent?"""
        return self._is_counting

    def begin_counting(self) -> None:
        """Say that this server has listened for as long.

        Before the first noting, and before what is kept is stored for it: what comes of a point after
        that may come after it was noted.
        """
        self._is_counting = True

    def note(self, contact: Contact) -> None:
        """Keep it, unless what is kept is newer."""
        place = contact.point_uid, contact.public_key
        before = self._heard.get(place)
        if before is None or before.at < contact.at:
            self._heard[place] = contact

    def take(self) -> Sequence[Contact]:
        """All that is kept, to be stored; it is kept no longer."""
        heard, self._heard = self._heard, {}
        return tuple(heard.values())

    def note_stored(self, at: float) -> None:
        """All that was kept by then was stored."""
        if self._stored_at is not None and at - self._stored_at > SILENCE_BOUND.total_seconds():
            self.gaps += 1
            self._gap_ended_at = at
        self._stored_at = at

    def had_gap_since(self, at: float) -> bool:
        """Could nothing be stored for longer than SILENCE_BOUND until then, or later? What other servers
        on the database heard may not be stored yet.
        """
        return self._gap_ended_at is not None and self._gap_ended_at >= at

    def give_back(self, contacts: Iterable[Contact]) -> None:
        """Keep again what could not be stored."""
        for contact in contacts:
            self.note(contact)


def store_contacts(tx: ContactWrites, contacts: Sequence[Contact], now: datetime) -> None:
    tx.put_contacts(contacts, now, SILENCE_BOUND)
