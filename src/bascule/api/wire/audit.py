"""Bascule.Audit/events on the wire: the event's own record with its place in the order."""

from __future__ import annotations

from typing import Any

from bascule.domain.chain import ChainHead
from bascule.domain.events import Event


def event_json(sequence: int, event: Event, place: ChainHead | None = None) -> dict[str, Any]:
    """``place`` is where it is in the chain; None for a second, until it is sealed."""
    sealed = {"position": place.position, "hash": place.hash} if place is not None else {}
    return {"sequence": sequence, **event.record(), **sealed}
