"""One machine's row of the list "Just-in-time VM access": who may come in, who came last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bascule.api.wire.machines import local_opening_json
from bascule.domain.exposure import Opening
from bascule.domain.grant import Grant
from bascule.domain.times import format_utc
from bascule.interfaces.listing import KEPT
from bascule.protocol.port_rules import sources_json
from bascule.services.listing import MachineRow

MACHINE_ACCESS_TYPE = "Bascule.Access/machineAccess"
HOST_FILTER = "hostFilter"  # the one kind of enforcement point that there is


def machine_access_json(row: MachineRow) -> dict[str, Any]:
    listed, machine = row.listed, row.machine
    return {
        "id": f"{machine.id}/providers/{MACHINE_ACCESS_TYPE}/default",
        "name": "default",
        "type": MACHINE_ACCESS_TYPE,
        "properties": {
            "machineId": str(machine.id),
            "osType": str(machine.os_type),
            "state": str(row.classification.state),
            "reasons": [
                {"code": str(each.code), "message": each.message, "advice": each.advice}
                for each in row.classification.reasons
            ],
            "accessState": str(row.state),
            **{each.wire: _kept(getattr(listed, each.kept)) for each in KEPT},
            "connections": [_connection(grant) for grant in row.grants],
            "localOpenings": [_local_opening(each) for each in row.by_root],
            "enforcementPoint": None if row.point is None else {"kind": HOST_FILTER, **_point(row)},
        },
    }


def _kept(value: str | int | datetime | None) -> str | int | None:
    if isinstance(value, datetime):
        return format_utc(value)
    return None if value == "" else value


def _point(row: MachineRow) -> dict[str, Any]:
    point = row.point
    seen = point.last_contact_at if point else None
    return {"lastContactUtc": format_utc(seen) if seen else None}


def _local_opening(opening: Opening) -> dict[str, Any]:
    return local_opening_json(opening.ports, opening.ends_by, opening.gateway)


def _connection(grant: Grant) -> dict[str, Any]:
    return {
        "requestId": grant.request_id,
        "grantId": grant.id,
        "requestor": grant.requestor,
        "number": grant.number,
        "protocol": str(grant.protocol),
        **sources_json(grant.sources, grant.is_source_list),
        "state": str(grant.state),
        "endTimeUtc": grant.ends_at_text,
    }
