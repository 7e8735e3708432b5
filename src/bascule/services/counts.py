"""Counts of an installation: those of its database that metrics tell (EDGES I8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

import structlog

from bascule.domain.endings import Ending
from bascule.domain.lifecycle import GrantState
from bascule.errors import Unavailable
from bascule.interfaces.metrics import Behind, MetricReads
from bascule.interfaces.record import Backlog
from bascule.services.endings import ListReads, ReadEnds, list_endings
from bascule.services.sinks import SinkReads, SinkView, view_sinks

T = TypeVar("T")
log = structlog.get_logger("bascule.server")


class CountReads(MetricReads, SinkReads, ListReads, Protocol):
    """What is counted, the record, where it is sent, and what ends."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The installation at one moment."""

    machines: int
    guarded: Mapping[bool, int]  # machines, by whether what guards them is silent
    grants: Mapping[GrantState, int]  # that are not settled
    behind: Behind
    backlog: Backlog  # of the record: events that are not sealed yet
    sinks: Sequence[SinkView] | None  # None: a row of them is damaged
    endings: Sequence[Ending] | None  # of secrets and certificates, within 60 days; None likewise


def counts(reader: CountReads, now: datetime, read_ends: ReadEnds) -> Counts:
    return Counts(
        reader.count_all_machines(),
        reader.count_guarded(),
        reader.count_unsettled(),
        reader.count_behind(),
        reader.backlog(),
        _unless_damaged("sinks", lambda: view_sinks(reader, now)),
        _unless_damaged("endings", lambda: list_endings(reader, (), read_ends, now)),
    )


def _unless_damaged(rows: str, read: Callable[[], Sequence[T]]) -> Sequence[T] | None:
    """None where a row cannot be read, which must not hide the other counts."""
    try:
        return read()
    except Unavailable:
        raise  # the database does not answer: that says nothing of its rows
    except Exception:
        log.exception("rows cannot be counted", rows=rows)
        return None
