"""Microsoft.Network as a view: what surrounds each machine, in the shape that clients know.

Source: network interfaces, public addresses, security groups and their rules, firewalls and their
NAT rules (CONTRACT 2.4, 2.7, 6.2). All of it is made of what is known of the machine; nothing of it
is stored and nothing can be written. What Azure's shapes have no field for is in ``bascule``: how
fresh the view is, above all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bascule.api.wire.fleet import point_state
from bascule.domain.ids import ResourceId, is_name
from bascule.domain.nat_rules import COLLECTION, PRIORITY, NatRule
from bascule.domain.net import ANY, Address
from bascule.domain.security_rules import Anchors, HeldOpening, SecurityRule
from bascule.domain.times import format_utc
from bascule.services.firewalls import Firewall
from bascule.services.machine_context import Surroundings

NETWORK = "Microsoft.Network"
NIC_TYPE = f"{NETWORK}/networkInterfaces"
PUBLIC_IP_TYPE = f"{NETWORK}/publicIPAddresses"
NSG_TYPE = f"{NETWORK}/networkSecurityGroups"
FIREWALL_TYPE = f"{NETWORK}/azureFirewalls"
_NIC, _NSG = "-nic", "-nsg"
_PUBLIC_IP = re.compile(r"(.+)-pip(?:-([1-9][0-9]{0,2}))?", re.IGNORECASE)
# What stands below all rules of ours: Bascule lets through what it does not close.
_DEFAULTS = (("AllowAllInBound", 65000, "Inbound"), ("AllowAllOutBound", 65000, "Outbound"))


def machine_of_nic(name: str) -> str | None:
    """The machine whose interface has that name; None when no machine's could have."""
    return _stem(name, _NIC)


def machine_of_nsg(name: str) -> str | None:
    return _stem(name, _NSG)


def machine_of_firewall(name: str) -> str | None:
    """A gateway's firewall has the name of its machine."""
    return name if is_name(name) else None


def machine_of_public_ip(name: str) -> tuple[str, int] | None:
    """The machine and which of its public addresses, from 0."""
    match = _PUBLIC_IP.fullmatch(name)
    if match is None or not is_name(match[1]) or match[2] == "1":
        return None
    return match[1], int(match[2] or 1) - 1


def _stem(name: str, suffix: str) -> str | None:
    stem = name[: -len(suffix)]
    return stem if name.casefold().endswith(suffix) and is_name(stem) else None


def nic_id(machine: ResourceId) -> str:
    return _id(machine, NIC_TYPE, f"{machine.name}{_NIC}")


def nsg_id(machine: ResourceId) -> str:
    return _id(machine, NSG_TYPE, f"{machine.name}{_NSG}")


def public_ip_id(machine: ResourceId, place: int) -> str:
    number = f"-{place + 1}" if place else ""
    return _id(machine, PUBLIC_IP_TYPE, f"{machine.name}-pip{number}")


def firewall_id(machine: ResourceId) -> str:
    return _id(machine, FIREWALL_TYPE, machine.name)


def _id(machine: ResourceId, kind: str, name: str) -> str:
    return (
        f"/subscriptions/{machine.subscription_id}/resourceGroups/{machine.resource_group}"
        f"/providers/{kind}/{name}"
    )


def _resource(found: Surroundings, identity: str, properties: dict[str, Any]) -> dict[str, Any]:
    kind, _, name = identity.partition("/providers/")[2].rpartition("/")
    return {
        "id": identity,
        "name": name,
        "type": kind,
        "location": found.machine.location,
        "properties": {"provisioningState": "Succeeded", **properties},
    }


def nic_json(found: Surroundings) -> dict[str, Any]:
    machine = found.machine.id
    configurations = [
        {
            "id": f"{nic_id(machine)}/ipConfigurations/{name}",
            "name": name,
            "properties": {"provisioningState": "Succeeded", "primary": place == 0, **addresses},
        }
        for place, (name, addresses) in enumerate(_configurations(found))
    ]
    return _resource(
        found,
        nic_id(machine),
        {
            "primary": True,
            "networkSecurityGroup": {"id": nsg_id(machine)},
            "virtualMachine": {"id": str(machine)},
            "ipConfigurations": configurations,
        },
    )


def _configurations(found: Surroundings) -> list[tuple[str, dict[str, Any]]]:
    """One for each private address, with a public one of its family as long as there is one;
    then one for each public address that is left.
    """
    left = dict(enumerate(found.public))
    rows: list[dict[str, Any]] = []
    for address in found.private:
        row: dict[str, Any] = {"privateIPAddress": str(address), **_static(address)}
        place = next((n for n, each in left.items() if each.version == address.version), None)
        if place is not None:
            del left[place]
            row["publicIPAddress"] = {"id": public_ip_id(found.machine.id, place)}
        rows.append(row)
    for place, address in left.items():
        public = {"id": public_ip_id(found.machine.id, place)}
        rows.append({**_static(address), "publicIPAddress": public})
    return [(f"ipconfig{number}", row) for number, row in enumerate(rows, 1)]


def _static(address: Address) -> dict[str, str]:
    return {
        "privateIPAllocationMethod": "Static",
        "privateIPAddressVersion": f"IPv{address.version}",
    }


def public_ips_json(found: Surroundings) -> list[dict[str, Any]]:
    return [public_ip_json(found, place) for place in range(len(found.public))]


def public_ip_json(found: Surroundings, place: int) -> dict[str, Any]:
    machine, address = found.machine.id, found.public[place]
    by_place = {
        row["publicIPAddress"]["id"]: name
        for name, row in _configurations(found)
        if "publicIPAddress" in row
    }
    identity = public_ip_id(machine, place)
    return _resource(
        found,
        identity,
        {
            "ipAddress": str(address),
            "publicIPAllocationMethod": "Static",
            "publicIPAddressVersion": f"IPv{address.version}",
            "ipConfiguration": {"id": f"{nic_id(machine)}/ipConfigurations/{by_place[identity]}"},
        },
    )


def nsg_json(found: Surroundings, anchors: Anchors) -> dict[str, Any]:
    view = found.rules(anchors)
    machine = found.machine.id
    return _resource(
        found,
        nsg_id(machine),
        {
            "provisioningState": "Succeeded" if found.is_current else "Updating",
            "resourceGuid": found.machine.uid,
            "securityRules": [rule_json(found, rule) for rule in view.rules],
            "defaultSecurityRules": default_rules_json(found),
            "networkInterfaces": [{"id": nic_id(machine)}],
            "subnets": [],
            "bascule": {
                "state": "none" if found.point is None else point_state(found.point, found.now),
                "isCurrent": found.is_current,
                "message": _freshness(found),
                "lastContactAt": _instant_of(found),
                "generation": found.generation,
                "observedGeneration": found.point.observed_generation if found.point else 0,
                "rulesLeftOut": view.left_out + found.untold,
            },
        },
    )


def _instant_of(found: Surroundings) -> str | None:
    seen = found.point.last_contact_at if found.point else None
    return None if seen is None else format_utc(seen)


def _freshness(found: Surroundings) -> str:
    """How far these rules can be believed, in a sentence."""
    name, seen = found.machine.id.name, _instant_of(found)
    if found.point is None:
        return f"{name} has no enforcement point, so no port is closed."
    if seen is None or found.held is None:
        return f"The agent of {name} has not reported yet, so its state is unknown."
    if not found.is_heard and found.silent_gateways:
        silent = " and ".join(found.silent_gateways)
        return f"Last known state: {silent} away. Openings end on time all the same."
    if not found.is_heard:
        return (
            f"Last known state: the agent of {name} has been away since {seen}. Openings end "
            f"on time without it."
        )
    if not found.point.is_enforcing:
        return f"Last known state: the agent of {name} reports that it cannot enforce anything."
    if not found.is_current:
        return f"The agent of {name} has not applied the latest state yet."
    return "As it was read back from the firewall."


def rule_json(found: Surroundings, rule: SecurityRule) -> dict[str, Any]:
    sources, destinations = _one_or_many(rule.sources), _one_or_many(rule.destinations)
    ports = _one_or_many([str(port) for port in rule.ports])
    properties = {
        "provisioningState": "Succeeded",
        "description": rule.description,
        "protocol": rule.protocol,
        "sourcePortRange": ANY,
        "sourcePortRanges": [],
        "sourceAddressPrefix": sources[0],
        "sourceAddressPrefixes": sources[1],
        "destinationAddressPrefix": destinations[0],
        "destinationAddressPrefixes": destinations[1],
        "destinationPortRange": ports[0],
        "destinationPortRanges": ports[1],
        "access": "Allow" if rule.is_allow else "Deny",
        "priority": rule.priority,
        "direction": "Inbound",
        **(
            {"bascule": {"openings": [_opening_json(e) for e in rule.openings]}}
            if rule.openings
            else {}
        ),
    }
    return _rule_resource(found, "securityRules", rule.name, properties)


def _one_or_many(values: Sequence[str]) -> tuple[str | None, list[str]]:
    """Azure's two fields for one thing: the singular, or the plural."""
    return (values[0], []) if len(values) == 1 else (None, list(values))


def _opening_json(opening: HeldOpening) -> dict[str, Any]:
    return {
        "grantId": opening.id,
        "requestId": opening.request_id or None,
        "endTimeUtc": None if opening.ends_at is None else format_utc(opening.ends_at),
    }


def default_rules_json(found: Surroundings) -> list[dict[str, Any]]:
    return [
        _rule_resource(
            found,
            "defaultSecurityRules",
            name,
            {
                "provisioningState": "Succeeded",
                "description": "Bascule admits everything that it does not close. Other firewalls "
                "may still block it.",
                "protocol": ANY,
                "sourcePortRange": ANY,
                "sourcePortRanges": [],
                "sourceAddressPrefix": ANY,
                "sourceAddressPrefixes": [],
                "destinationAddressPrefix": ANY,
                "destinationAddressPrefixes": [],
                "destinationPortRange": ANY,
                "destinationPortRanges": [],
                "access": "Allow",
                "priority": priority,
                "direction": direction,
            },
        )
        for name, priority, direction in _DEFAULTS
    ]


def _rule_resource(
    found: Surroundings, kind: str, name: str, properties: Mapping[str, Any]
) -> dict[str, Any]:
    kept = {key: value for key, value in properties.items() if value is not None}
    return {
        "id": f"{nsg_id(found.machine.id)}/{kind}/{name}",
        "name": name,
        "type": f"{NSG_TYPE}/{kind}",
        "properties": kept,
    }


def firewall_json(found: Firewall) -> dict[str, Any]:
    """A gateway. It has no policy, as one whose rules Azure's just-in-time access writes has none."""
    around = found.around
    identity = firewall_id(around.machine.id)
    return _resource(
        around,
        identity,
        {
            "provisioningState": "Succeeded" if found.is_current else "Updating",
            "ipConfigurations": [
                _front(found, identity, place) for place in range(len(found.addresses))
            ],
            "natRuleCollections": _nat_collections(found, identity),
            "networkRuleCollections": [],
            "applicationRuleCollections": [],
            "bascule": {
                "state": "none" if around.point is None else point_state(around.point, around.now),
                "isCurrent": found.is_current,
                "message": _freshness_of(found),
                "lastContactAt": _instant_of(around),
                "machinesBehind": found.behind,
            },
        },
    )


def _front(found: Firewall, identity: str, place: int) -> dict[str, Any]:
    """One public address, with the private one of its IP version that the gateway has."""
    around, address = found.around, found.addresses[place]
    private = next((str(e) for e in around.private if e.version == address.version), None)
    name = f"ipconfig{place + 1}"
    return {
        "id": f"{identity}/azureFirewallIpConfigurations/{name}",
        "name": name,
        "type": f"{FIREWALL_TYPE}/azureFirewallIpConfigurations",
        "properties": {
            "provisioningState": "Succeeded",
            **({} if private is None else {"privateIPAddress": private}),
            "publicIPAddress": {
                "id": public_ip_id(around.machine.id, around.public.index(address))
            },
        },
    }


def _nat_collections(found: Firewall, identity: str) -> list[dict[str, Any]]:
    if not found.rules:
        return []  # Azure's collections have at least one rule
    return [
        {
            "id": f"{identity}/natRuleCollections/{COLLECTION}",
            "name": COLLECTION,
            "properties": {
                "provisioningState": "Succeeded",
                "priority": PRIORITY,
                "action": {"type": "Dnat"},
                "rules": [_nat_rule_json(each) for each in found.rules],
            },
        }
    ]


def _nat_rule_json(rule: NatRule) -> dict[str, Any]:
    led = rule.led
    return {
        "name": rule.name,
        "description": rule.description,
        "sourceAddresses": list(rule.sources),
        "sourceIpGroups": [],
        "destinationAddresses": [str(led.public.address)],
        "destinationPorts": [str(led.public.number)],
        "protocols": [str(led.port.protocol)],
        "translatedAddress": str(led.to),
        "translatedPort": str(led.port.number),
        "bascule": {"machineId": str(led.machine_id), **_opening_json(led.opening)},
    }


def _freshness_of(found: Firewall) -> str:
    if found.around.is_current and not found.is_current:
        name = found.around.machine.id.name
        return (
            f"The agent of {name} has not applied the latest state of each machine behind it yet."
        )
    return _freshness(found.around)
