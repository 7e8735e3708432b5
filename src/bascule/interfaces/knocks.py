"""Blocked attempts, kept by scope and hour.

A scope is a machine's uid, or the key of a resource group or subscription, which hold the sums
of their machines.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.knocks import Knocker, Knocks
from bascule.domain.net import PortKey


class KnockReads(Protocol):
    """Reads of this part"""

    def knock_hours(
        self, scopes: Collection[str], since: datetime, source: str | None = None
    ) -> Sequence[tuple[datetime, int]]:
        """Attempts by hour, the oldest first; hours without any are left out. ``since`` is an
        hour's beginning, inclusive; ``source`` keeps those of one.
        """
        ...

    def knockers(
        self, scopes: Collection[str], since: datetime, limit: int, source: str | None = None
    ) -> Sequence[Knocker]:
        """Sources by name, the one with most attempts first, then by address; or one alone."""
        ...

    def last_knock(
        self, scope: str, source: str, since: datetime, beside: Collection[PortKey] = ()
    ) -> datetime | None:
        """When that source was last seen, at or after ``since``, at another port than those of
        ``beside``; None: it was not.
        """
        ...


class KnockWrites(KnockReads, Protocol):
    """Writes of this part"""

    def add_knocks(
        self, scope: str, hour: datetime, knocks: Sequence[Knocks], most: int
    ) -> Sequence[Knocks]:
        """Add to that hour's counts; at most ``most`` rows of it have a name, what is beyond is
        counted as others. Returns what was so counted, others as one.
        """
        ...

    def add_known_knocks(
        self, scopes: Sequence[str], hour: datetime, knocks: Sequence[Knocks]
    ) -> bool:
        """Add to that hour's counts of each scope, if all of them have a row already, as while a scan
        lasts. False: one is missing, and nothing was added.
        """
        ...

    def forget_knocks(self, before: datetime, most_scopes: int) -> int:
        """Delete rows of the oldest hour that began before that instant, of so many scopes;
        returns how many.
        """
        ...
