"""Rows of sinks, of what signs their calls, and of how far they have got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, select

from bascule.domain.delivery import (
    Form,
    Progress,
    Sink,
    SinkSecrets,
    SinkState,
    parse_target,
)
from bascule.store.rows import Rows
from bascule.store.tables import delivery as t

_SINKS, _PROGRESS = t.sinks.c, t.sink_progress.c


class DeliveryReads(Rows):
    __slots__ = ()

    def sink(self, name: str) -> Sink | None:
        row = self._first(select(t.sinks).where(_SINKS.name_key == name.casefold()))
        return None if row is None else sink_of_row(row)

    def sink_by_id(self, sink_id: str) -> Sink | None:
        row = self._first(select(t.sinks).where(_SINKS.id == sink_id))
        return None if row is None else sink_of_row(row)

    def sinks(self) -> Sequence[Sink]:
        return [sink_of_row(row) for row in self._all(select(t.sinks).order_by(_SINKS.name_key))]

    def active_sinks(self) -> Sequence[str]:
        is_active = _PROGRESS.state == str(SinkState.ACTIVE)
        wanted = select(_PROGRESS.sink_id).where(is_active).order_by(_PROGRESS.sink_id)
        return [row.sink_id for row in self._all(wanted)]

    def sink_progress(self, sink_id: str) -> Progress | None:
        row = self._first(select(t.sink_progress).where(_PROGRESS.sink_id == sink_id))
        return None if row is None else progress_of_row(row)

    def sink_secrets(self, sink_id: str) -> SinkSecrets | None:
        table = t.sink_secrets
        row = self._first(select(table).where(table.c.sink_id == sink_id))
        if row is None:
            return None
        return SinkSecrets(row.current, row.previous, row.previous_until)


class DeliveryWrites(DeliveryReads):
    __slots__ = ()

    def put_sink(self, sink: Sink) -> None:
        self._put(
            t.sinks,
            {"id": sink.id},
            {
                "name_key": sink.name.casefold(),
                "name": sink.name,
                "target": str(sink.target),
                "form": str(sink.form),
                "kinds": list(sink.kinds),
                "level": sink.level,
                "batch": sink.batch,
                "ca_certificates": sink.ca_certificates,
                "created_at": sink.created_at,
            },
        )

    def delete_sink(self, sink_id: str) -> None:
        self._run(delete(t.sinks).where(_SINKS.id == sink_id))

    def put_sink_secrets(self, sink_id: str, secrets: SinkSecrets) -> None:
        self._put(
            t.sink_secrets,
            {"sink_id": sink_id},
            {
                "current": secrets.current,
                "previous": secrets.previous,
                "previous_until": secrets.previous_until,
            },
        )

    def put_progress(self, progress: Progress) -> None:
        self._put(t.sink_progress, {"sink_id": progress.sink_id}, _values(progress))

    def move_progress(self, was: Progress, to: Progress) -> bool:
        here = t.sink_progress.update().where(
            _PROGRESS.sink_id == was.sink_id,
            _PROGRESS.position == was.position,
            _PROGRESS.state == str(was.state),
        )
        return bool(self._run(here.values(**_values(to))))


def _values(progress: Progress) -> dict[str, Any]:
    values = {**asdict(progress), "state": str(progress.state)}
    del values["sink_id"]
    return values


def sink_of_row(row: Row[Any]) -> Sink:
    return Sink(
        row.id,
        row.name,
        parse_target(row.target),
        Form(row.form),
        row.created_at,
        tuple(row.kinds),
        row.level,
        row.batch,
        row.ca_certificates,
    )


def progress_of_row(row: Row[Any]) -> Progress:
    return Progress(
        row.sink_id,
        row.position,
        SinkState(row.state),
        row.delivered_position,
        row.delivered_at,
        row.failures,
        row.refusals,
        row.alone_until,
        row.next_try_at,
        row.last_error,
        row.last_error_at,
    )
