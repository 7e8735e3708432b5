"""What a change of policies would do (``dryRun=true``), as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bascule.domain.times import format_utc
from bascule.services.rehearsal import GrantChange, PortChange, Preview


def preview_json(preview: Preview) -> dict[str, Any]:
    """Ports that begin to be shut, whose sessions end otherwise, that leave all policies (and
    stay shut), that open; live grants that end or end earlier.
    """
    return {
        "shuts": _ports(preview.shuts),
        "alters": _ports(preview.alters),
        "leaves": _ports(preview.leaves),
        "opens": _ports(preview.opens),
        "endsGrants": [_grant(each) for each in preview.ends],
        "shortensGrants": [_grant(each) for each in preview.shortens],
    }


def _ports(changes: Iterable[PortChange]) -> list[dict[str, Any]]:
    return [
        {
            "machineId": str(each.machine_id),
            "number": int(each.port.partition("/")[0]),
            "protocol": each.port.partition("/")[2],
            **({"onExpiry": each.on_expiry} if each.on_expiry else {}),
        }
        for each in changes
    ]


def _grant(change: GrantChange) -> dict[str, Any]:
    """Whose it is only for a caller who may read that."""
    told: dict[str, Any] = {"machineId": str(change.machine_id)}
    if change.grant is not None:
        grant = change.grant
        told |= {
            "requestId": grant.request_id,
            "requestor": grant.requestor,
            "number": grant.number,
            "protocol": str(grant.protocol),
            "previousEndTimeUtc": grant.ends_at_text,
        }
    if change.ends_at is not None:
        told["endTimeUtc"] = format_utc(change.ends_at)
    return told
