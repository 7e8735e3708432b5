"""Bascule.Audit/events on the wire: the event's own record with its place in the order."""

from __future__ import annotations

from typing import Any

from bascule.domain.events import Event


def event_json(sequence: int, event: Event) -> dict[str, Any]:
    return {"sequence": sequence, **event.record()}
