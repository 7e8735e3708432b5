"""Writing the history behind exposure, and deleting what is old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, select, update

from bascule.domain.exposure import DAY, HourStep, KeptSpan, Opening, Place, SpanKind, hour_of
from bascule.domain.net import PortKey
from bascule.interfaces.exposure import KnownMachine
from bascule.store.exposure import ExposureReads
from bascule.store.tables.exposure import (
    IS_CURRENT,
    IS_NOT_CLOSED,
    counts,
    history,
    openings,
    spans,
    steps,
)

_HERE = and_(
    IS_CURRENT,
    spans.c.machine_uid == bindparam("here_uid"),
    spans.c.kind == bindparam("here_kind"),
    spans.c.protocol == bindparam("here_protocol"),
    spans.c.number == bindparam("here_number"),
)
_BOUND = update(spans).where(_HERE).values(ends_by=bindparam("ends_by"))
_END = update(spans).where(_HERE).values(ended_at=bindparam("ended_at"))
_OPEN_HERE = (
    IS_NOT_CLOSED,
    openings.c.machine_uid == bindparam("here_uid"),
    openings.c.id == bindparam("here_id"),
)
_FIND_OPENING = select(openings.c.sequence, openings.c.opened_at).where(*_OPEN_HERE)
_STEP = (
    update(steps)
    .where(
        steps.c.scope_key == bindparam("here_scope"),
        steps.c.kind == bindparam("here_kind"),
        steps.c.hour == bindparam("here_hour", type_=steps.c.hour.type),
    )
    .values(
        change=steps.c.change + bindparam("more"),
        moment=steps.c.moment + bindparam("later", type_=steps.c.moment.type),
    )
)
_COUNT = (
    update(counts)
    .where(counts.c.scope_key == bindparam("here_scope"), counts.c.kind == bindparam("here_kind"))
    .values(number=counts.c.number + bindparam("more"))
)


class ExposureWrites(ExposureReads):
    __slots__ = ()

    def begin_span(self, machine: KnownMachine, span: KeptSpan) -> None:
        protocol, number = _port_columns(span.port)
        row = {
            **_machine_columns(machine),
            "kind": span.kind,
            "protocol": protocol,
            "number": number,
            "began_at": span.began_at,
            "ended_at": span.ended_at,
            "ends_by": span.ends_by,
        }
        self._run(spans.insert(), row)

    def bound_span(self, machine_uid: str, place: Place, ends_by: datetime | None) -> None:
        self._run(_BOUND, {**_here(machine_uid, place), "ends_by": ends_by})

    def end_span(self, machine_uid: str, place: Place, ended_at: datetime) -> None:
        self._run(_END, {**_here(machine_uid, place), "ended_at": ended_at})

    def add_opening(self, machine: KnownMachine, opening: Opening) -> None:
        row = {
            **_machine_columns(machine),
            "id": opening.id,
            "ports": [[str(port.protocol), port.number] for port in opening.ports],
            "sources": [str(source) for source in opening.sources],
            "request_id": opening.request_id,
            "requestor_id": opening.requestor_id,
            "requestor": opening.requestor,
            "opened_at": opening.opened_at,
            "ends_by": opening.ends_by,
            "closed_at": opening.closed_at,
            "is_long": False,
        }
        self._run(openings.insert(), row)

    def move_opening_end(self, machine_uid: str, opening_id: str, ends_by: datetime) -> None:
        here = {"here_uid": machine_uid, "here_id": opening_id}
        self._run(update(openings).where(*_OPEN_HERE).values(ends_by=ends_by), here)

    def end_opening(self, machine_uid: str, opening_id: str, closed_at: datetime) -> bool:
        row = self._first(_FIND_OPENING, {"here_uid": machine_uid, "here_id": opening_id})
        if row is None:
            return False
        is_long = closed_at - row.opened_at > DAY
        here = update(openings).where(openings.c.sequence == row.sequence)
        self._run(here.values(closed_at=closed_at, is_long=is_long))
        return True

    def add_steps(self, scope_key: str, kind: SpanKind, steps_: Sequence[HourStep]) -> None:
        for step in steps_:
            here = {"here_scope": scope_key, "here_kind": kind, "here_hour": step.hour}
            more = {"more": step.change, "later": step.moment}
            if not self._run(_STEP, {**here, **more}):
                row = {"scope_key": scope_key, "kind": kind, "hour": step.hour}
                row |= {"change": step.change, "moment": step.moment}
                self._run(steps.insert(), row)
        change = sum(step.change for step in steps_)
        here = {"here_scope": scope_key, "here_kind": kind, "more": change}
        if change and not self._run(_COUNT, here):
            first = {"scope_key": scope_key, "kind": kind, "number": change}
            self._run(counts.insert(), first)

    def prune_exposure(self, before: datetime) -> None:
        """By whole hours: the hour in which that instant lies stays whole."""
        since = hour_of(before)
        self._run(delete(spans).where(spans.c.ended_at < since))
        self._run(delete(openings).where(openings.c.closed_at < since))
        self._run(delete(steps).where(steps.c.hour < since))
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


def _machine_columns(machine: KnownMachine) -> dict[str, Any]:
    return {
        "machine_uid": machine.uid,
        "machine_key": machine.id.key,
        "machine_id": str(machine.id),
    }
