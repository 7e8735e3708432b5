"""Rows of the servers that share the database; their times are the database's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from bascule.domain.net import parse_address
from bascule.interfaces.replicas import Replica, SeenReplica
from bascule.store.columns import Span
from bascule.store.rows import Rows
from bascule.store.spelling import database_now
from bascule.store.tables import events
from bascule.store.tables.replicas import replicas as table

_C = table.c
_EVERY = select(table, database_now().label("now")).order_by(_C.host, _C.endpoint, _C.started_at)
_ALL = _EVERY.where(_C.stopped_at.is_(None))
_TOLD = {
    name: bindparam(name, type_=_C[name].type)
    for name in ("host", "endpoint", "version", "revision", "ports", "addresses")
}
_SEE = (
    update(table)
    .where(_C.uid == bindparam("here"))
    .values(seen_at=database_now(), stopped_at=None, **_TOLD)
)
_ADD = insert(table).values(
    uid=bindparam("here"), started_at=database_now(), seen_at=database_now(), **_TOLD
)
_STOP = update(table).where(_C.uid == bindparam("here")).values(stopped_at=database_now())
_LAST_EVENT = select(func.max(events.c.sequence).label("last"))
_FORGET = delete(table).where(database_now() - _C.seen_at > bindparam("longest", type_=Span))


class ReplicaReads(Rows):
    __slots__ = ()

    def replicas(self) -> Sequence[SeenReplica]:
        return [
            SeenReplica(_replica(row), row.started_at, row.seen_at, row.now - row.seen_at)
            for row in self._all(_ALL)
        ]

    def listening_replicas(self) -> Sequence[Replica]:
        return [_replica(row) for row in self._all(_EVERY)]

    def last_event(self) -> int:
        return self._all(_LAST_EVENT)[0].last or 0


class ReplicaWrites(ReplicaReads):
    __slots__ = ()

    def see_replica(self, replica: Replica) -> None:
        values = {
            "here": replica.uid,
            "host": replica.host,
            "endpoint": replica.endpoint,
            "version": replica.version,
            "revision": replica.revision,
            "ports": sorted(replica.ports),
            "addresses": sorted(map(str, replica.addresses)),
        }
        if not self._run(_SEE, values):
            self._run(_ADD, values)

    def stop_replica(self, uid: str) -> None:
        self._run(_STOP, {"here": uid})

    def forget_replicas(self, silent_for: timedelta) -> None:
        self._run(_FORGET, {"longest": silent_for})


def _replica(row: Row[Any]) -> Replica:
    return Replica(
        row.uid,
        row.host,
        row.endpoint,
        row.version,
        row.revision,
        frozenset(row.ports),
        frozenset(map(parse_address, row.addresses)),
    )
