"""Role definitions and assignments (Microsoft.Authorization)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bascule.client.reading import Data, inner, instant, objects, text, texts
from bascule.client.versions import AUTHORIZATION_VERSION, BASCULE_VERSION
from bascule.domain.actions import (
    INITIATE,
    MACHINE_READ,
    POLICY_READ,
    PUBLIC_IP_READ,
    SECURITY_POLICY_READ,
)
from bascule.domain.roles import Permission, RoleDefinition
from bascule.domain.scopes import ROOT, Scope

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from datetime import datetime

    from bascule.client.connection import Connection

_PROVIDER = "/providers/Microsoft.Authorization"
REQUESTOR = "JIT Access Role"
REQUESTOR_DESCRIPTION = "Users that can enable access to Virtual Machines."
# CONTRACT 2.8: what asking by the API takes, and what looking around in a portal takes.
FOR_API = (POLICY_READ, INITIATE, SECURITY_POLICY_READ, PUBLIC_IP_READ)
FOR_PEOPLE = (*FOR_API, MACHINE_READ, "Microsoft.Network/networkInterfaces/*/read")


@dataclass(frozen=True, slots=True)
class Assignment:
    id: str  # GUID
    scope: Scope
    role_id: str  # GUID
    role: str  # its name; empty when it is gone
    principal_id: str
    principal: str  # its name; empty when it is gone
    principal_kind: str
    description: str


@dataclass(frozen=True, slots=True)
class EndingCredential:
    """An owner's credential that ends soon."""

    principal_id: str
    name: str
    key_id: str
    ends_at: datetime | None


def list_roles(connection: Connection, name: str = "") -> list[RoleDefinition]:
    """All that the caller may read, or those of one name, without regard to case."""
    quoted = name.replace("'", "''")
    query = {"$filter": f"roleName eq '{quoted}'"} if name else None
    pages = connection.pages(f"{_PROVIDER}/roleDefinitions", AUTHORIZATION_VERSION, query)
    return [read_role(each) for each in pages]


def get_role(connection: Connection, role_id: str) -> RoleDefinition:
    return read_role(
        connection.get(f"{_PROVIDER}/roleDefinitions/{role_id}", AUTHORIZATION_VERSION)
    )


def put_role(
    connection: Connection,
    name: str,
    description: str,
    permission: Permission,
    scopes: Sequence[Scope],
    role_id: str = "",
) -> RoleDefinition:
    """Create a role, or change the one of that id."""
    body = {
        "properties": {
            "roleName": name,
            "description": description,
            "type": "CustomRole",
            "permissions": [
                {
                    "actions": list(permission.actions),
                    "notActions": list(permission.not_actions),
                    "dataActions": [],
                    "notDataActions": [],
                }
            ],
            "assignableScopes": [str(scope) for scope in scopes],
        }
    }
    path = f"{scopes[0]}{_PROVIDER}/roleDefinitions/{role_id or uuid.uuid4()}"
    return read_role(connection.call("PUT", path, AUTHORIZATION_VERSION, body=body).body)


def delete_role(connection: Connection, role: RoleDefinition) -> None:
    at = next(iter(role.assignable_scopes), ROOT)
    path = f"{str(at).rstrip('/') or connection.subscription}{_PROVIDER}/roleDefinitions/{role.id}"
    connection.call("DELETE", path, AUTHORIZATION_VERSION)


def list_assignments(
    connection: Connection, scope: Scope, principal_id: str = "", *, with_groups: bool = False
) -> Iterator[Assignment]:
    """Those at the scope, above and below it; of one principal, its groups too if wanted."""
    word = f"assignedTo('{principal_id}')" if with_groups else f"principalId eq '{principal_id}'"
    query = {"$filter": word} if principal_id else None
    path = f"{scope}{_PROVIDER}/roleAssignments"
    for each in connection.pages(path, AUTHORIZATION_VERSION, query):
        yield read_assignment(each)


def assign(
    connection: Connection, scope: Scope, role_id: str, principal_id: str, description: str = ""
) -> Assignment:
    """Raises Conflict (RoleAssignmentExists) when it is held there already."""
    body = {
        "properties": {
            "roleDefinitionId": f"{connection.subscription}{_PROVIDER}/roleDefinitions/{role_id}",
            "principalId": principal_id,
            "description": description or None,
        }
    }
    path = f"{scope}{_PROVIDER}/roleAssignments/{uuid.uuid4()}"
    return read_assignment(connection.call("PUT", path, AUTHORIZATION_VERSION, body=body).body)


def unassign(connection: Connection, assignment: Assignment) -> None:
    path = f"{assignment.scope}{_PROVIDER}/roleAssignments/{assignment.id}"
    connection.call("DELETE", path, AUTHORIZATION_VERSION)


def ending_owner_credentials(connection: Connection) -> list[EndingCredential]:
    """Empty for whoever may not read service principals."""
    path = f"{connection.subscription}/providers/Bascule.Identity/ownerCredentials"
    found = objects(connection.get(path, BASCULE_VERSION), "value")
    return [
        EndingCredential(
            text(each, "principalId"),
            text(each, "displayName", ""),
            text(each, "keyId"),
            instant(each, "endDateTime"),
        )
        for each in found
    ]


def read_role(data: Data) -> RoleDefinition:
    properties = inner(data, "properties")
    return RoleDefinition(
        text(data, "name"),
        text(properties, "roleName"),
        text(properties, "description", ""),
        text(properties, "type", "") == "BuiltInRole",
        tuple(
            Permission(texts(each, "actions"), texts(each, "notActions"))
            for each in objects(properties, "permissions")
        ),
        tuple(Scope(each) for each in texts(properties, "assignableScopes")),
    )


def read_assignment(data: Data) -> Assignment:
    properties = inner(data, "properties")
    ours = inner(properties, "bascule")
    return Assignment(
        text(data, "name"),
        Scope(text(properties, "scope")),
        text(properties, "roleDefinitionId").rpartition("/")[2].lower(),
        text(ours, "roleName", ""),
        text(properties, "principalId"),
        text(ours, "principalName", ""),
        text(properties, "principalType", ""),
        text(properties, "description", ""),
    )
