"""Rows of the servers that share the database; their times are the database's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import bindparam, delete, func, insert, select, update

from bascule.interfaces.replicas import Replica, SeenReplica
from bascule.store.columns import Span
from bascule.store.rows import Rows
from bascule.store.spelling import database_now
from bascule.store.tables import events
from bascule.store.tables.replicas import replicas as table

_C = table.c
_ALL = select(table, database_now().label("now")).order_by(_C.host, _C.endpoint, _C.started_at)
_SEE = (
    update(table)
    .where(_C.uid == bindparam("here"))
    .values(
        seen_at=database_now(),
        host=bindparam("host"),
        endpoint=bindparam("endpoint"),
        version=bindparam("version"),
        revision=bindparam("revision"),
    )
)
_ADD = insert(table).values(
    uid=bindparam("here"),
    host=bindparam("host"),
    endpoint=bindparam("endpoint"),
    version=bindparam("version"),
    revision=bindparam("revision"),
    started_at=database_now(),
    seen_at=database_now(),
)
_LAST_EVENT = select(func.max(events.c.sequence).label("last"))
_FORGET = delete(table).where(database_now() - _C.seen_at > bindparam("longest", type_=Span))


class ReplicaReads(Rows):
    __slots__ = ()

    def replicas(self) -> Sequence[SeenReplica]:
        return [
            SeenReplica(
                Replica(row.uid, row.host, row.endpoint, row.version, row.revision),
                row.started_at,
                row.seen_at,
                row.now - row.seen_at,
            )
            for row in self._all(_ALL)
        ]

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
        }
        if not self._run(_SEE, values):
            self._run(_ADD, values)

    def remove_replica(self, uid: str) -> None:
        self._run(delete(table).where(_C.uid == uid))

    def forget_replicas(self, silent_for: timedelta) -> None:
        self._run(_FORGET, {"longest": silent_for})
