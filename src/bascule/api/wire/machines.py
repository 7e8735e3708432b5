"""Microsoft.Compute/virtualMachines as an inventory entry.

Clients read ``storageProfile.osDisk.osType`` and ``networkProfile``; what Azure lacks (the
addresses where a machine is reached, its closed ports, its agent) is in ``bascule``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from bascule.api.wire.fields import Body, HostAddress, OsKind, Text
from bascule.api.wire.fleet import point_properties_json
from bascule.api.wire.network import nic_id
from bascule.api.wire.policies import claimed_ports_json, closed_ports_json
from bascule.api.wire.problems import reject
from bascule.domain.classify import MachineState, traits_in
from bascule.domain.ids import parse_name
from bascule.domain.machine import Unable
from bascule.domain.net import PortKey
from bascule.domain.times import format_utc
from bascule.errors import Problem
from bascule.services.fleet import is_enforced, is_online
from bascule.services.machines import MachineDraft
from bascule.services.views import MachineView

MACHINE_TYPE = "Microsoft.Compute/virtualMachines"
UNKNOWN_SIZE = "Unknown"  # vmSize is an open enumeration
MOST_ADDRESSES = 64
MOST_TAGS = 50  # ARM's own bound


class OsDiskBody(Body):
    os_type: OsKind | None = None


class StorageProfileBody(Body):
    os_disk: OsDiskBody | None = None


class MachineExtras(Body):
    addresses: list[HostAddress] | None = Field(default=None, max_length=MOST_ADDRESSES)


class MachinePropertiesBody(Body):
    storage_profile: StorageProfileBody | None = None
    bascule: MachineExtras | None = None


class MachineBody(Body):
    location: Text | None = None
    tags: dict[str, Text] | None = Field(default=None, max_length=MOST_TAGS)
    properties: MachinePropertiesBody | None = None


def read_machine(body: MachineBody) -> MachineDraft:
    properties = body.properties or MachinePropertiesBody()
    disk = (properties.storage_profile or StorageProfileBody()).os_disk or OsDiskBody()
    addresses = properties.bascule.addresses if properties.bascule else None
    reject([_unfit_tag(name) for name in body.tags or {} if not _is_tag(name)])
    return MachineDraft(
        location=None
        if body.location is None
        else parse_name(body.location, "Location", "location"),
        os_type=disk.os_type,
        addresses=None if addresses is None else tuple(dict.fromkeys(addresses)),
        tags=body.tags,
    )


def _is_tag(name: str) -> bool:
    return 0 < len(name) <= 512 and name.isprintable()


def _unfit_tag(name: str) -> Problem:
    return Problem(
        "InvalidTagName",
        f"Tag name {name[:40]!r} is invalid. A tag name has 1 to 512 printable characters.",
        "tags",
    )


def instance_view_json(view: MachineView) -> dict[str, Any]:
    """What the machine's enforcement point says of it (VirtualMachineInstanceView).

    A machine whose agent is heard runs; of another nothing is known.
    """
    point = view.point
    is_heard = point is not None and is_online(point, view.now)
    is_ready = is_enforced(point, view.now)
    seen = point.last_contact_at if point else None
    agent = {
        "code": "ProvisioningState/succeeded" if is_ready else "ProvisioningState/Unavailable",
        "level": "Info" if is_ready else "Warning",
        "displayStatus": "Ready" if is_ready else "Not Ready",
        "message": _agent_words(view, is_heard=is_heard),
        **({"time": format_utc(seen)} if seen else {}),
    }
    return {
        "computerName": view.machine.id.name,
        "vmAgent": {
            "vmAgentVersion": point.agent_version if point else "Unknown",
            "statuses": [agent],
        },
        "statuses": [
            {
                "code": "ProvisioningState/succeeded",
                "level": "Info",
                "displayStatus": "Provisioning succeeded",
                "time": format_utc(view.machine.created_at),
            },
            {
                "code": "PowerState/running" if is_heard else "PowerState/unknown",
                "level": "Info",
                "displayStatus": "VM running" if is_heard else "VM status unknown",
            },
        ],
    }


def _agent_words(view: MachineView, *, is_heard: bool) -> str:
    point = view.point
    if point is None:
        return "No agent is enrolled."
    if point.unable is Unable.TOO_OLD:
        return "The agent is too old for this server. Upgrade it on that host."
    if is_heard and point.doubted_since is not None:
        return (
            "The agent is connected, but its reports are not trusted until an owner has checked it."
        )
    if is_heard and not point.is_enforcing:
        return "The agent is connected but cannot enforce anything."
    if is_heard:
        return "The agent is connected and enforces its ports."
    if silent := " and ".join(view.silent_gateways):
        if view.is_way_heard:
            return f"{silent} away: requests open through the other gateways."
        return f"{silent} away: requests fail."
    if point.last_contact_at is None:
        return "The agent has not contacted the server since it enrolled."
    return f"The agent has been away since {format_utc(point.last_contact_at)}."


def machine_json(view: MachineView, *, with_instance: bool = False) -> dict[str, Any]:
    machine = view.machine
    instance = {"instanceView": instance_view_json(view)} if with_instance else {}
    return {
        "id": str(machine.id),
        "name": machine.id.name,
        "type": MACHINE_TYPE,
        "location": machine.location,
        "tags": dict(machine.tags),
        "properties": {
            "vmId": machine.uid,
            "provisioningState": "Succeeded",
            "timeCreated": format_utc(machine.created_at),
            # Clients read these by key: azcollection's azure_rm_virtualmachine_info, and whoever
            # prints hardware_profile.vm_size. Nothing is known of size and disks here.
            "hardwareProfile": {"vmSize": UNKNOWN_SIZE},
            # The specification requires createOption, and az vm update sends back what it read.
            "storageProfile": {
                "osDisk": {
                    "osType": str(machine.os_type),
                    "createOption": "Attach",
                    "caching": "None",
                },
                "dataDisks": [],
            },
            "networkProfile": {
                "networkInterfaces": [{"id": nic_id(machine.id), "properties": {"primary": True}}]
            },
            **instance,
            "bascule": {
                "addresses": [str(address) for address in machine.addresses],
                "state": str(view.classification.state),
                "reasons": [
                    {"code": str(each.code), "message": each.message, "advice": each.advice}
                    for each in view.classification.reasons
                ],
                "closedPorts": closed_ports_json(view),
                # Gateways at which alone they are closed: whoever reaches the machine otherwise
                # reaches them. Empty: its own agent closes them.
                "closedAt": list(view.closed_at),
                "claimedPorts": claimed_ports_json(view),
                "stillClosed": [
                    {"number": each.number, "protocol": str(each.protocol)}
                    for each in view.still_closed
                ],
                "localOpenings": [
                    local_opening_json(each.ports, each.ends_at, each.gateway)
                    for each in view.by_root
                ],
                "enforcementPoint": None
                if view.point is None
                else point_properties_json(
                    view.point, machine.id, view.generation, view.now, view.gateways
                ),
            },
        },
    }


def local_opening_json(
    ports: Iterable[PortKey], ends_at: datetime | None, gateway: str
) -> dict[str, Any]:
    """What root opened, on the host or at a gateway. For whom is told with exposure alone."""
    return {
        "ports": [{"number": each.number, "protocol": str(each.protocol)} for each in ports],
        "endTimeUtc": format_utc(ends_at) if ends_at else None,
        "gateway": gateway,
    }


def states_json(counted: Mapping[int, int]) -> list[dict[str, Any]]:
    """Every state with the number of its machines; ``counted`` is by code of traits."""
    return [
        {"state": str(state), "count": sum(counted.get(code, 0) for code in traits_in(state))}
        for state in MachineState
    ]
