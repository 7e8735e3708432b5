"""Servers that share a database: when each was seen, by the database's clock."""

from __future__ import annotations

import time
from datetime import timedelta

from bascule.interfaces.replicas import ALIVE_FOR, Replica, SeenReplica
from bascule.interfaces.store import Store
from tests.contracts.store.samples import NOW, read, write

FIRST = Replica("r-1", "a.example", "https://a.example:8443", "1.0", "0100")
SECOND = Replica("r-2", "b.example", "https://b.example:8443", "1.1", "0101")


class ReplicaContract:
    def test_a_server_is_there_from_its_start_until_it_stops(self, store: Store) -> None:
        write(store, lambda tx: tx.see_replica(SECOND))
        write(store, lambda tx: tx.see_replica(FIRST))
        found = read(store, lambda r: r.replicas())
        assert [each.replica for each in found] == [FIRST, SECOND]
        write(store, lambda tx: tx.remove_replica("r-1"))
        assert [each.replica for each in read(store, lambda r: r.replicas())] == [SECOND]

    def test_when_it_was_seen_is_the_databases_time(self, store: Store) -> None:
        write(store, lambda tx: tx.see_replica(FIRST))
        (began,) = read(store, lambda r: r.replicas())
        time.sleep(0.01)
        write(store, lambda tx: tx.see_replica(FIRST))
        (found,) = read(store, lambda r: r.replicas())
        assert began.started_at == found.started_at < found.seen_at
        assert timedelta(0) <= found.silent_for < timedelta(seconds=30)
        assert found.is_alive

    def test_one_that_was_not_seen_for_long_is_forgotten(self, store: Store) -> None:
        write(store, lambda tx: tx.see_replica(FIRST))
        time.sleep(0.05)
        write(store, lambda tx: tx.see_replica(SECOND))
        write(store, lambda tx: tx.forget_replicas(timedelta(hours=1)))
        assert len(read(store, lambda r: r.replicas())) == 2
        write(store, lambda tx: tx.forget_replicas(timedelta(milliseconds=45)))
        assert FIRST not in [each.replica for each in read(store, lambda r: r.replicas())]

    def test_one_is_alive_as_long_as_it_was_seen_lately(self) -> None:
        def seen(silent_for: timedelta) -> SeenReplica:
            return SeenReplica(FIRST, NOW, NOW, silent_for)

        assert seen(ALIVE_FOR).is_alive
        assert not seen(ALIVE_FOR + timedelta(microseconds=1)).is_alive
