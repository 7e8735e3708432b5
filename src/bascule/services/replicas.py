"""What a server says of itself to the others on its database, and what becomes of those that fell silent.

Only on PostgreSQL, which several servers may use: on SQLite there is one, and nothing here runs.
"""

from __future__ import annotations

from datetime import timedelta

from bascule.errors import ConfigurationError
from bascule.interfaces.replicas import Replica, ReplicaReads, ReplicaWrites

SEEN_EVERY = timedelta(seconds=3)  # the agents' contacts go in the same commit
FORGOTTEN_AFTER = timedelta(days=1)  # until then, who looks finds that one was killed, and when


def see(tx: ReplicaWrites, replica: Replica) -> None:
    """It serves now. Those that nobody has seen for long are forgotten."""
    tx.see_replica(replica)
    tx.forget_replicas(FORGOTTEN_AFTER)


def require_stopped(reader: ReplicaReads) -> None:
    """Raise ConfigurationError while a server uses the database."""
    alive = [each for each in reader.replicas() if each.is_alive]
    if alive:
        named = ", ".join(f"{each.replica.host} ({each.replica.endpoint})" for each in alive)
        newest = min(each.silent_for for each in alive)
        raise ConfigurationError(
            f"A server uses the database: {named}, last seen {newest.total_seconds():.0f} s ago.",
            advice="Stop all servers. If one was killed, wait 15 s.",
        )
