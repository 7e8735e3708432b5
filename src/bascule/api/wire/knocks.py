"""Bascule.Access: blocked attempts, as people see them."""

from __future__ import annotations

from typing import Any

from bascule.domain.ids import ResourceId
from bascule.domain.knocks import HOUR, Knocker
from bascule.domain.times import format_utc
from bascule.services.knocks import KnocksView

KNOCKS_TYPE = "Bascule.Access/blockedAttempts"


def knocks_json(scope_id: str, view: KnocksView, machine: ResourceId | None) -> dict[str, Any]:
    """``scope_id`` is what stands before the provider in the path."""
    about = {} if machine is None else {"machineId": str(machine)}
    return {
        "id": f"{scope_id}/providers/{KNOCKS_TYPE}/default",
        "name": "default",
        "type": KNOCKS_TYPE,
        "properties": {
            **about,
            "since": format_utc(view.since),
            "until": format_utc(view.until),
            "attempts": view.attempts,
            "hours": [
                {"since": format_utc(begin), "until": format_utc(begin + HOUR), "attempts": count}
                for begin, count in view.hours
            ],
            "sources": [_source_json(each) for each in view.sources],
        },
    }


def _source_json(knocker: Knocker) -> dict[str, Any]:
    return {
        "address": knocker.source,
        "attempts": knocker.attempts,
        "lastAt": format_utc(knocker.last_at),
        "ports": [
            {"number": port.number, "protocol": str(port.protocol)} for port in knocker.ports
        ],
    }
