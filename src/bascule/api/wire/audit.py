"""Bascule.Audit's events and activity on the wire: the event's own record with its place in
the order, and with what Azure's activity log calls it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bascule.api.wire.operations import Operation, known_operations, operation_of
from bascule.api.wire.record import head_json, verdict_json
from bascule.domain.chain import ChainHead
from bascule.domain.events import Event
from bascule.domain.times import format_utc
from bascule.interfaces.activity import Counts
from bascule.services.activity import Chain, Row


def event_json(sequence: int, event: Event, place: ChainHead | None = None) -> dict[str, Any]:
    """``place`` is where it is in the chain; None for a second, until it is sealed."""
    sealed = {"position": place.position, "hash": place.hash} if place is not None else {}
    return {"sequence": sequence, **event.record(), **sealed}


def activity_json(row: Row) -> dict[str, Any]:
    operation = operation_of(row.event.fact)
    return {
        **event_json(row.sequence, row.event, row.place),
        "operation": operation.display,
        "operationName": operation.action,
        "status": operation.status,
    }


def counts_json(counts: Counts, *, is_by_hour: bool) -> dict[str, Any]:
    """By the beginning of the day or hour, operation and outcome; oldest first."""
    known = known_operations()
    told: Counter[tuple[str, str, str]] = Counter()
    for (begin, sort), number in counts.items():
        each = known.get(sort) or Operation("", sort)
        told[format_utc(begin), each.display, each.status] += number
    return {
        "granularity": "PT1H" if is_by_hour else "P1D",
        "total": told.total(),
        "value": [
            {"begin": begin, "operation": display, "status": status, "events": number}
            for (begin, display, status), number in sorted(told.items())
        ],
    }


def chain_json(chain: Chain) -> dict[str, Any]:
    """``lastVerification`` is null until the server has read the record back once."""
    verdict = chain.verdict
    return {
        "properties": {
            "sealedThrough": head_json(chain.head),
            "signedThrough": chain.signed,
            "signedAt": format_utc(chain.signed_at) if chain.signed_at else None,
            "lastVerification": None if verdict is None else verdict_json(verdict)["properties"],
        }
    }
