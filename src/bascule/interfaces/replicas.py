"""The servers that share one database, as it knows them; all times are by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.net import Address
from bascule.errors import Unavailable

ALIVE_FOR = timedelta(seconds=15)  # since it was last seen: five rounds of being seen


class Outdated(Unavailable):
    """A newer program upgraded the database, and this one must not use it any more (EDGES H6)."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One server, as it describes itself: from its start until it stops."""

    uid: str  # of this start: the next start has another
    host: str
    endpoint: str
    version: str
    revision: str  # of the database, the newest that its program knows
    ports: frozenset[int] = frozenset()  # on which it listens
    addresses: frozenset[Address] = frozenset()  # of its host, as others may reach it


@dataclass(frozen=True, slots=True)
class SeenReplica:
    """When the database heard of it."""

    replica: Replica
    started_at: datetime
    seen_at: datetime
    silent_for: timedelta

    @property
    def is_alive(self) -> bool:
        """Was it seen lately? One that was killed, paused or cut off was not."""
        return self.silent_for <= ALIVE_FOR


class ListeningReads(Protocol):
    """Where servers listen."""

    def listening_replicas(self) -> Sequence[Replica]:
        """All of ``ReplicaReads.replicas``, and those that stopped and are not forgotten yet: they may
        start again.
        """
        ...


class ReplicaReads(ListeningReads, Protocol):
    """Reads of this part"""

    def replicas(self) -> Sequence[SeenReplica]:
        """All that have not stopped cleanly, ordered by host, endpoint and start."""
        ...

    def last_event(self) -> int:
        """The number of the newest event; 0: there is none."""
        ...


class ReplicaWrites(ReplicaReads, Protocol):
    """Writes of this part."""

    def see_replica(self, replica: Replica) -> None:
        """It is there now."""
        ...

    def stop_replica(self, uid: str) -> None:
        """It stopped. Where it listened is remembered until it is forgotten."""
        ...

    def forget_replicas(self, silent_for: timedelta) -> None:
        """Those that were not seen for longer."""
        ...
