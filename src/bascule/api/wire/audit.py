"""Bascule.Audit's events and activity on the wire: the event's own record with its place in
the order, and with what Azure's activity log calls it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bascule.api.wire.record import head_json, verdict_json
from bascule.domain.facts.kind import unknown_kind
from bascule.domain.facts.kinds import SORTS, kind_of
from bascule.domain.times import format_utc
from bascule.interfaces.activity import Counts
from bascule.services.activity import About, Chain, LogRow


def event_json(row: LogRow) -> dict[str, Any]:
    """The event as it is on record; beside it what it is called, whose access it tells of,
    and the names of gateways by the uids that it has.

    Its place is missing for a second, until it is sealed.
    """
    place, operation = row.place, kind_of(row.event.fact)
    sealed = {"position": place.position, "hash": place.hash} if place is not None else {}
    return {
        "sequence": row.sequence,
        **row.event.record(),
        **sealed,
        "operation": operation.display,
        "operationName": operation.action,
        "status": operation.outcome.status,
        "about": about_json(row.about) if row.about is not None else None,
        "gateways": dict(row.gateways),
    }


def about_json(about: About) -> dict[str, Any]:
    return {
        "requestId": about.request_id,
        "requestor": about.requestor,
        "machines": list(about.machines),
        "ports": list(about.ports),
        "sources": list(about.sources),
        "endsAt": format_utc(about.ends_at) if about.ends_at else None,
        "justification": about.justification,
    }


def counts_json(counts: Counts, *, is_by_hour: bool) -> dict[str, Any]:
    """By the beginning of the day or hour, operation and outcome; oldest first."""
    told: Counter[tuple[str, str, str]] = Counter()
    for (begin, sort), number in counts.items():
        each = SORTS.get(sort) or unknown_kind(sort)
        told[format_utc(begin), each.display, each.outcome.status] += number
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
