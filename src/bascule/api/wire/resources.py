"""What stands around the resources: tenant, subscription, locations, groups, providers.

Source: Microsoft.Resources as Azure's clients read it (CLIENTS 1.4); a server is one
tenant with one subscription. Nothing is told that is not so: what Azure has and this
server has not (management groups, quotas, registration) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from bascule.api.wire.fields import Body, Text
from bascule.api.wire.machines import MACHINE_TYPE
from bascule.api.wire.policies import JIT_TYPE
from bascule.domain.machine import Machine
from bascule.errors import InvalidInput, NotFound
from bascule.interfaces.inventory import Installation
from bascule.interfaces.policies import StoredPolicy

DISPLAY_NAME = "Bascule"
GROUP_TYPE = "Microsoft.Resources/resourceGroups"

_BASCULE = ("2026-11-01",)
_AUTHORIZATION = ("2022-04-01",)
_SECURITY = ("2020-01-01",)
_RESOURCES = ("2022-12-01",)
# Namespace -> type -> the api-versions that it was written against; any other date will do.
PROVIDERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Bascule.Access": dict.fromkeys(
        (
            "accessRequests",
            "accessRules",
            "approvalCounts",
            "blockedAttempts",
            "exposures",
            "machineAccess",
            "machineRules",
            "machineStates",
            "portHours",
            "ticketChecks",
        ),
        _BASCULE,
    ),
    "Bascule.Audit": dict.fromkeys(
        (
            "activity",
            "activityCounts",
            "checkpoints",
            "events",
            "export",
            "key",
            "ownEvents",
            "prune",
            "sinks",
            "verification",
        ),
        _BASCULE,
    ),
    "Bascule.Fleet": {"enforcementPoints": _BASCULE, "enrolments": _BASCULE},
    "Bascule.Identity": dict.fromkeys(
        ("groups", "identityProviders", "me", "ownerCredentials", "servicePrincipals", "users"),
        _BASCULE,
    ),
    "Microsoft.Authorization": {
        "permissions": _AUTHORIZATION,
        "roleAssignments": _AUTHORIZATION,
        "roleDefinitions": _AUTHORIZATION,
        "signingKeys": _BASCULE,
    },
    "Microsoft.Compute": {"virtualMachines": ("2024-07-01",)},
    "Microsoft.Insights": {"eventtypes": ("2015-04-01",)},
    "Microsoft.Network": dict.fromkeys(
        ("azureFirewalls", "networkInterfaces", "networkSecurityGroups", "publicIPAddresses"),
        ("2025-05-01",),
    ),
    "Microsoft.Resources": dict.fromkeys(
        (
            "subscriptions",
            "subscriptions/locations",
            "subscriptions/providers",
            "subscriptions/resourceGroups",
            "subscriptions/resources",
            "tenants",
        ),
        _RESOURCES,
    ),
    "Microsoft.Security": {
        "jitNetworkAccessPolicies": _SECURITY,
        "locations": ("2015-06-01-preview",),
        "locations/jitNetworkAccessPolicies": _SECURITY,
        "policies": ("2015-06-01-preview",),
        "pricings": ("2024-01-01",),
    },
}


class GroupBody(Body):
    location: Text
    tags: dict[str, Text] | None = Field(default=None, max_length=50)


def check_group(body: GroupBody, location: str) -> None:
    """Refuse what a group here cannot keep; raises InvalidInput."""
    if body.location.casefold() != location.casefold():
        raise InvalidInput(
            f"Resource groups here are in location {location}, not {body.location[:80]!r}.",
            code="InvalidLocation",
            target="location",
        )
    if body.tags:
        raise InvalidInput(
            "Tags of resource groups are not supported. Omit them.",
            code="TagsNotSupported",
            target="tags",
        )


def tenant_json(installation: Installation) -> dict[str, Any]:
    tenant = installation.tenant_id
    return {"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": DISPLAY_NAME}


def subscription_json(installation: Installation) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{installation.subscription_id}",
        "subscriptionId": installation.subscription_id,
        "tenantId": installation.tenant_id,
        "displayName": DISPLAY_NAME,
        "state": "Enabled",
        "subscriptionPolicies": {"spendingLimit": "Off"},
    }


def location_json(subscription_id: str, name: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription_id}/locations/{name}",
        "subscriptionId": subscription_id,
        "name": name,
        "type": "Region",
        "displayName": name,
        "regionalDisplayName": name,
        "metadata": {"regionType": "Physical"},
    }


def security_location_json(subscription_id: str, name: str) -> dict[str, Any]:
    kind = "Microsoft.Security/locations"
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{kind}/{name}",
        "name": name,
        "type": kind,
        "properties": {},
    }


def group_json(installation: Installation, name: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{installation.subscription_id}/resourceGroups/{name}",
        "name": name,
        "type": GROUP_TYPE,
        "location": installation.location,
        "properties": {"provisioningState": "Succeeded"},
    }


def provider_json(subscription_id: str, namespace: str, locations: Iterable[str]) -> dict[str, Any]:
    """One provider; raises NotFound for a namespace that is not served."""
    known = next((name for name in PROVIDERS if name.casefold() == namespace.casefold()), None)
    if known is None:
        raise NotFound(
            f"The resource namespace {namespace[:80]!r} is not supported. Supported: "
            f"{', '.join(PROVIDERS)}.",
            code="InvalidResourceNamespace",
        )
    places = list(locations)
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{known}",
        "namespace": known,
        "registrationState": "Registered",
        "resourceTypes": [
            {"resourceType": name, "locations": places, "apiVersions": list(versions)}
            for name, versions in PROVIDERS[known].items()
        ],
    }


def resource_json(resource: Machine | StoredPolicy) -> dict[str, Any]:
    """A machine or policy in the few fields that all resources have."""
    if isinstance(resource, Machine):
        return {
            "id": str(resource.id),
            "name": resource.id.name,
            "type": MACHINE_TYPE,
            "location": resource.location,
            "tags": dict(resource.tags),
        }
    policy = resource.policy
    return {
        "id": str(policy.id),
        "name": policy.id.name,
        "type": JIT_TYPE,
        "location": policy.id.location,
        "kind": policy.kind,
    }
