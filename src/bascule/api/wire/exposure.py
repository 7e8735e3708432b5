"""Bascule.Access: exposure of machines and port-hours, as people see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bascule.api.wire.fleet import weakness_json
from bascule.domain.exposure import HOUR, PortTime
from bascule.domain.ids import ResourceId
from bascule.domain.times import format_utc
from bascule.services.exposure import (
    MachineExposure,
    Moment,
    PortExposure,
    ShownOpening,
    Summary,
)

EXPOSURE_TYPE = "Bascule.Access/exposures"
PORT_HOURS_TYPE = "Bascule.Access/portHours"


def exposure_json(machine: MachineExposure, moment: Moment) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "machineId": str(machine.id),
        "at": format_utc(moment.at),
        "nothingClosed": machine.is_bare,
        "ports": [_port_json(port, machine) for port in machine.ports],
        "portHours": {
            "from": format_utc(moment.since),
            "until": format_utc(moment.until),
            **_time_json(machine.time),
        },
    }
    if machine.closed_at:
        properties["closedAt"] = list(machine.closed_at)
    if moment.is_now:
        properties["hasAgent"] = machine.has_point
    if machine.silent_since is not None:
        properties["notConfirmedSince"] = format_utc(machine.silent_since)
    if machine.silent_gateways:
        properties["silentGateways"] = list(machine.silent_gateways)
    if machine.not_enforced_since is not None:
        properties["notEnforcedSince"] = format_utc(machine.not_enforced_since)
    return {
        "id": f"{machine.id}/providers/{EXPOSURE_TYPE}/default",
        "name": "default",
        "type": EXPOSURE_TYPE,
        "properties": properties,
    }


def _port_json(port: PortExposure, machine: MachineExposure) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": port.port.number,
        "protocol": str(port.port.protocol),
        "closed": port.is_closed,
        "openings": [_opening_json(each, machine.id) for each in port.openings],
    }
    if port.ended:
        told["endedNotConfirmed"] = [_opening_json(each, machine.id) for each in port.ended]
    if port.since is not None:
        told["since"] = format_utc(port.since)
    if port.is_wanted:
        told["shouldBeClosed"] = True
    if port.past_us is not None:
        told["shadow"] = str(port.past_us)
        told["reachedAt"] = list(port.reached_at)
        told["shadows"] = [weakness_json(each, machine.gateways) for each in port.shadows]
    return told


def _opening_json(shown: ShownOpening, machine: ResourceId) -> dict[str, Any]:
    opening = shown.opening
    told: dict[str, Any] = {
        "sources": [str(source) for source in opening.sources],
        "openedAt": format_utc(opening.opened_at),
        "confirmed": shown.is_confirmed,
    }
    if opening.ends_by is not None:
        told["endTimeUtc"] = format_utc(opening.ends_by)
    if opening.closed_at is not None:
        told["closedAt"] = format_utc(opening.closed_at)
    if not shown.is_told:
        return told
    told["requestor"] = opening.requestor if not opening.gateway else f"root on {opening.gateway}"
    if opening.request_id:
        subscription = f"/subscriptions/{machine.subscription_id}"
        told["requestorId"] = opening.requestor_id
        told["grantId"] = opening.id
        told["requestId"] = (
            f"{subscription}/providers/Bascule.Access/accessRequests/{opening.request_id}"
        )
    if shown.justification:
        told["justification"] = shown.justification
    return told


def port_hours_json(subscription_id: str, summary: Summary) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{PORT_HOURS_TYPE}/default",
        "name": "default",
        "type": PORT_HOURS_TYPE,
        "properties": {
            "knownSince": format_utc(summary.known_since),
            "from": format_utc(summary.since),
            "until": format_utc(summary.until),
            **_time_json(summary.time),
            "days": [
                {"from": format_utc(day.begin), "until": format_utc(day.end)} | _time_json(day.time)
                for day in summary.days
            ],
            "now": {
                "machines": summary.machines,
                "machinesWithNothingClosed": summary.bare_machines,
                "closedPorts": summary.closed_ports,
                "openPorts": summary.open_ports,
                "openings": summary.openings,
                "machinesWithOpenings": summary.opened_machines,
                "agents": summary.points,
                "silentAgents": summary.silent_points,
            },
        },
    }


def _time_json(time: PortTime) -> dict[str, float]:
    return {"closed": hours(time.closed), "open": hours(time.opened)}


def hours(span: timedelta) -> float:
    """To a second or so: four digits of an hour."""
    return round(span / HOUR, 4)
