"""Writing the history behind exposure, and deleting what is old."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, delete, update

from bascule.domain.exposure import DAY, HourStep, KeptSpan, Opening, Place, SpanKind, hour_of
from bascule.domain.net import PortKey
from bascule.interfaces.exposure import KnownMachine
from bascule.store.exposure import ExposureReads
from bascule.store.tables.exposure import (
    IS_CURRENT,
    IS_NOT_CLOSED,
    NUMBER_NOW,
    OPENING,
    history,
    spans,
    steps,
)
from bascule.store.upsert import insert_or_add

_NO_TIME = timedelta(0)
_HERE = and_(
    IS_CURRENT,
    spans.c.machine_uid == bindparam("here_uid"),
    spans.c.kind == bindparam("here_kind"),
    spans.c.protocol == bindparam("here_protocol"),
    spans.c.number == bindparam("here_number"),
)
_BEGIN = spans.insert()
_BOUND = update(spans).where(_HERE).values(ends_by=bindparam("ends_by"))
_END = update(spans).where(_HERE).values(ended_at=bindparam("ended_at"))
_OPEN_HERE = (
    IS_NOT_CLOSED,
    spans.c.machine_uid == bindparam("here_uid"),
    spans.c.id == bindparam("here_id"),
)
_MOVE_OPENING = update(spans).where(*_OPEN_HERE).values(ends_by=bindparam("ends_by"))
_END_OPENING = (
    update(spans)
    .where(*_OPEN_HERE)
    .values(
        ended_at=bindparam("ended_at"),
        is_long=spans.c.began_at < bindparam("a_day_before", type_=spans.c.began_at.type),
    )
)
_ADD_STEPS = insert_or_add(steps, "change", "moment")


class ExposureWrites(ExposureReads):
    __slots__ = ()

    def begin(self, machine: KnownMachine, *begun: KeptSpan | Opening) -> None:
        of_machine = {
            "machine_uid": machine.uid,
            "machine_key": machine.id.key,
            "machine_id": str(machine.id),
        }
        rows = [
            {
                **of_machine,
                **(_span_row(each) if isinstance(each, KeptSpan) else _opening_row(each)),
            }
            for each in begun
        ]
        if rows:
            self._run(_BEGIN, rows)

    def bound_span(self, machine_uid: str, place: Place, ends_by: datetime | None) -> None:
        self._run(_BOUND, {**_here(machine_uid, place), "ends_by": ends_by})

    def end_span(self, machine_uid: str, place: Place, ended_at: datetime) -> None:
        self._run(_END, {**_here(machine_uid, place), "ended_at": ended_at})

    def move_opening_end(self, machine_uid: str, opening_id: str, ends_by: datetime) -> None:
        here = {"here_uid": machine_uid, "here_id": opening_id}
        self._run(_MOVE_OPENING, {**here, "ends_by": ends_by})

    def end_opening(self, machine_uid: str, opening_id: str, closed_at: datetime) -> bool:
        here = {"here_uid": machine_uid, "here_id": opening_id}
        ended = {"ended_at": closed_at, "a_day_before": closed_at - DAY}
        return self._run(_END_OPENING, {**here, **ended}) > 0

    def add_steps(
        self, scope_keys: Collection[str], changes: Mapping[SpanKind, Sequence[HourStep]]
    ) -> None:
        rows = [
            {
                "scope_key": scope_key,
                "kind": kind,
                "hour": step.hour,
                "change": step.change,
                "moment": step.moment,
            }
            for scope_key in scope_keys
            for kind, some in changes.items()
            for step in (*some, HourStep(NUMBER_NOW, sum(each.change for each in some), _NO_TIME))
        ]
        if rows:
            self._run(_ADD_STEPS, rows)

    def prune_exposure(self, before: datetime) -> None:
        """By whole hours: the hour in which that instant lies stays whole."""
        since = hour_of(before)
        self._run(delete(spans).where(spans.c.ended_at < since))
        self._run(delete(steps).where(steps.c.hour > NUMBER_NOW, steps.c.hour < since))
        known = self.exposure_since()
        if known is None or known < since:
            self._put(history, {"id": 1}, {"since": since})


def _here(machine_uid: str, place: Place) -> dict[str, Any]:
    kind, port = place
    protocol, number = _port_columns(port)
    return {
        "here_uid": machine_uid,
        "here_kind": kind,
        "here_protocol": protocol,
        "here_number": number,
    }


def _port_columns(port: PortKey | None) -> tuple[str, int]:
    return ("", 0) if port is None else (str(port.protocol), port.number)


_NO_OPENING: Mapping[str, Any] = {
    "id": "",
    "ports": [],
    "sources": [],
    "request_id": "",
    "requestor_id": "",
    "requestor": "",
    "is_long": False,
}


def _span_row(span: KeptSpan) -> dict[str, Any]:
    protocol, number = _port_columns(span.port)
    return {
        "kind": span.kind,
        "protocol": protocol,
        "number": number,
        "began_at": span.began_at,
        "ended_at": span.ended_at,
        "ends_by": span.ends_by,
        **_NO_OPENING,
    }


def _opening_row(opening: Opening) -> dict[str, Any]:
    protocol, number = _port_columns(None)
    return {
        "kind": OPENING,
        "protocol": protocol,
        "number": number,
        "began_at": opening.opened_at,
        "ended_at": opening.closed_at,
        "ends_by": opening.ends_by,
        "id": opening.id,
        "ports": [[str(port.protocol), port.number] for port in opening.ports],
        "sources": [str(source) for source in opening.sources],
        "request_id": opening.request_id,
        "requestor_id": opening.requestor_id,
        "requestor": opening.requestor,
        "is_long": False,
    }
