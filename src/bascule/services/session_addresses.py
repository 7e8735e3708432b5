"""From which addresses each session has recently called: these are proven to be its own (EDGES C3).

A request over TCP proves the address that it comes from, and nothing else does. Kept in this
process alone, for as long as it says something: an address may be another's tomorrow. What
is forgotten, by a restart too, is not offered; nothing is ever opened because of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

PROVED_FOR = timedelta(hours=1)
MOST_SESSIONS = 10_000  # the one unused for longest gives way
MOST_ADDRESSES = 4  # of one session; likewise


class ProvedAddresses:
    """Addresses by session, each with when it was last used. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, OrderedDict[str, datetime]] = OrderedDict()

    def note(self, session_id: str, address: str, now: datetime) -> None:
        """Keep that a request of this session came from there; an empty address says nothing."""
        if not address:
            return
        with self._lock:
            addresses = self._seen.setdefault(session_id, OrderedDict())
            addresses[address] = now
            addresses.move_to_end(address)
            self._seen.move_to_end(session_id)
            if len(addresses) > MOST_ADDRESSES:
                addresses.popitem(last=False)
            if len(self._seen) > MOST_SESSIONS:
                self._seen.popitem(last=False)

    def of(self, session_id: str, now: datetime) -> tuple[str, ...]:
        """Where it has come from within PROVED_FOR, the latest first."""
        with self._lock:
            addresses = self._seen.get(session_id)
            latest_first = reversed(addresses.items() if addresses else ())
            return tuple(each for each, at in latest_first if now - at < PROVED_FOR)
