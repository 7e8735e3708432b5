"""Servers that share a database: when each was seen, by the database's clock."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from bascule.domain.net import parse_address
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
        write(store, lambda tx: tx.stop_replica("r-1"))
        assert [each.replica for each in read(store, lambda r: r.replicas())] == [SECOND]

    def test_where_one_listens_is_remembered_after_it_stopped(self, store: Store) -> None:
        """It may be upgraded, and start again (EDGES A4)."""
        one = replace(
            FIRST,
            ports=frozenset({8443, 443}),
            addresses=frozenset(map(parse_address, ("10.0.0.9", "2001:db8::9"))),
        )
        write(store, lambda tx: tx.see_replica(SECOND))
        write(store, lambda tx: tx.see_replica(FIRST))
        write(store, lambda tx: tx.see_replica(one))
        assert read(store, lambda r: r.listening_replicas()) == [one, SECOND]
        write(store, lambda tx: tx.stop_replica(one.uid))
        write(store, lambda tx: tx.forget_replicas(timedelta(hours=1)))
        assert read(store, lambda r: r.listening_replicas()) == [one, SECOND]
        assert [each.replica for each in read(store, lambda r: r.replicas())] == [SECOND]
        time.sleep(0.05)
        write(store, lambda tx: tx.see_replica(SECOND))
        write(store, lambda tx: tx.forget_replicas(timedelta(milliseconds=45)))
        assert one not in read(store, lambda r: r.listening_replicas())

    def test_one_that_is_seen_after_its_stop_is_there(self, store: Store) -> None:
        write(store, lambda tx: tx.see_replica(FIRST))
        write(store, lambda tx: tx.stop_replica(FIRST.uid))
        write(store, lambda tx: tx.see_replica(FIRST))
        assert [each.replica for each in read(store, lambda r: r.replicas())] == [FIRST]

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
