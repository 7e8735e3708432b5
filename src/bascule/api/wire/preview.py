"""What a change of policies would do (``dryRun=true``), as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bascule.domain.times import format_duration, format_utc
from bascule.services.rehearsal import GrantChange, PortChange, Preview, RuleChange


def preview_json(preview: Preview) -> dict[str, Any]:
    """Ports that begin to be closed, whose sessions end otherwise, that leave all policies (and
    stay closed), that open; live grants that end or end earlier; what may be asked from now on.
    """
    return {
        "closes": _ports(preview.closes),
        "alters": _ports(preview.alters),
        "leaves": _ports(preview.leaves),
        "opens": _ports(preview.opens),
        "endsGrants": [_grant(each) for each in preview.ends],
        "shortensGrants": [_grant(each) for each in preview.shortens],
        "changesRules": [_rule(each) for each in preview.rules],
    }


def _rule(change: RuleChange) -> dict[str, Any]:
    """Only what differs; ``previous...`` is what it was."""
    told: dict[str, Any] = {
        "machineId": str(change.machine_id),
        "number": int(change.port.partition("/")[0]),
        "protocol": change.port.partition("/")[2],
    }
    if change.is_new:
        told["isNew"] = True
    if change.longest is not None:
        before, now = map(format_duration, change.longest)
        told |= {"previousMaxRequestAccessDuration": before, "maxRequestAccessDuration": now}
    if change.sources is not None:
        had, has = map(list, change.sources)
        told |= {"previousSources": had, "sources": has}
    if change.public is not None:  # null: one is chosen, or at the gateway's first address
        was, is_now = change.public
        told |= {"previousPublicPort": was.number, "publicPort": is_now.number}
        told |= {"previousPublicIpAddress": was.address, "publicIpAddress": is_now.address}
    return told | dict(change.requires)


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
