"""Microsoft.Authorization: role definitions, assignments, permissions, operations.

Source: CONTRACT 6.4, api-version 2022-04-01 as azure-mgmt-authorization 4 reads and writes
it. What Azure's clients ask a directory for, the names of role and principal, is beside an
assignment in ``bascule``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from bascule.api.wire.fields import Body, Guid, Text
from bascule.domain.access import PrincipalKind
from bascule.domain.actions import DATA_ACTIONS, DISPLAY
from bascule.domain.ids import is_guid
from bascule.domain.role_draft import MOST_PATTERNS, MOST_SCOPES, RoleDraft
from bascule.domain.roles import Permission, RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput, NotFound
from bascule.services.assignments import (
    LONGEST_DESCRIPTION,
    AssignmentDraft,
    AssignmentView,
    assignment_resource,
)
from bascule.services.owners import EndingCredential

ROLE_TYPE = "Microsoft.Authorization/roleDefinitions"
ASSIGNMENT_TYPE = "Microsoft.Authorization/roleAssignments"
OPERATIONS_TYPE = "Microsoft.Authorization/providerOperations"
BUILT_IN, CUSTOM = "BuiltInRole", "CustomRole"

_ROLE_ID = re.compile(
    r"(?:/subscriptions/([^/]+)(?:/resourceGroups/[^/]+)?)?"
    r"/providers/Microsoft\.Authorization/roleDefinitions/([^/]+)/?",
    re.IGNORECASE,
)
_KINDS = {
    kind.casefold(): kind
    for kind in (PrincipalKind.USER, PrincipalKind.GROUP, PrincipalKind.SERVICE)
}

Patterns = Annotated[list[Text] | None, Field(max_length=MOST_PATTERNS + 1)]


class PermissionBody(Body):
    actions: Patterns = None
    not_actions: Patterns = None
    data_actions: Patterns = None
    not_data_actions: Patterns = None

    def permission(self) -> Permission:
        lists = (self.actions, self.not_actions, self.data_actions, self.not_data_actions)
        return Permission(*(tuple(each or ()) for each in lists))


class RolePropertiesBody(Body):
    role_name: Text
    description: Text | None = None
    permissions: list[PermissionBody] = Field(max_length=MOST_PATTERNS)
    assignable_scopes: list[Text] = Field(max_length=MOST_SCOPES)


class RoleBody(Body):
    properties: RolePropertiesBody


def read_role(body: RoleBody) -> RoleDraft:
    """The draft that a body is; scopes are parsed here, all else is checked with the draft."""
    properties = body.properties
    return RoleDraft(
        properties.role_name,
        properties.description or "",
        tuple(each.permission() for each in properties.permissions),
        tuple(
            Scope.parse(text, f"properties.assignableScopes[{i}]")
            for i, text in enumerate(properties.assignable_scopes)
        ),
    )


class AssignmentPropertiesBody(Body):
    role_definition_id: Text
    principal_id: Guid
    principal_type: Text | None = None
    description: Text | None = None
    condition: Text | None = None
    condition_version: Text | None = None
    delegated_managed_identity_resource_id: Text | None = None


class AssignmentBody(Body):
    properties: AssignmentPropertiesBody


def read_assignment(body: AssignmentBody, subscription_id: str) -> AssignmentDraft:
    """The draft that a body is; raise InvalidInput for what would give more than it says."""
    properties = body.properties
    if properties.condition:
        raise InvalidInput(
            "Conditions of role assignments are not supported. Without the condition the "
            "assignment would give more rights than requested, so it was not made.",
            code="ConditionNotSupported",
            target="properties.condition",
        )
    if properties.delegated_managed_identity_resource_id:
        raise InvalidInput(
            "Delegated managed identities are not supported.",
            code="DelegatedIdentityNotSupported",
            target="properties.delegatedManagedIdentityResourceId",
        )
    description = properties.description or ""
    if len(description) > LONGEST_DESCRIPTION:
        raise InvalidInput(
            f"A description has at most {LONGEST_DESCRIPTION} characters.",
            target="properties.description",
        )
    return AssignmentDraft(
        read_role_id(properties.role_definition_id, subscription_id),
        properties.principal_id,
        _kind(properties.principal_type),
        description,
    )


def read_role_id(text: str, subscription_id: str) -> str:
    """The GUID in a role definition's id, which must be of this subscription or of none."""
    match = _ROLE_ID.fullmatch(text)
    is_ours = match is not None and (match[1] or subscription_id).lower() == subscription_id
    if match is None or not is_ours or not is_guid(match[2]):
        raise InvalidInput(
            f"{text[:200]!r} is not the id of a role definition here. It reads /subscriptions/"
            f"{subscription_id}/providers/Microsoft.Authorization/roleDefinitions/<guid>.",
            code="InvalidRoleDefinitionId",
            target="properties.roleDefinitionId",
        )
    return match[2].lower()


def _kind(text: str | None) -> PrincipalKind | None:
    if text is None:
        return None
    found = _KINDS.get(text.casefold())
    if found is None:
        raise InvalidInput(
            f"{text[:40]!r} is not a kind of principal. Kinds are {', '.join(_KINDS.values())}.",
            code="InvalidPrincipalType",
            target="properties.principalType",
        )
    return found


# -- answers -----------------------------------------------------------------------------


def role_id(subscription_id: str, guid: str) -> str:
    """A role definition's id; that of the root when there is no subscription."""
    above = f"/subscriptions/{subscription_id}" if subscription_id else ""
    return f"{above}/providers/{ROLE_TYPE}/{guid}"


def role_json(subscription_id: str, role: RoleDefinition) -> dict[str, Any]:
    return {
        "id": role_id(subscription_id, role.id),
        "type": ROLE_TYPE,
        "name": role.id,
        "properties": {
            "roleName": role.name,
            "type": BUILT_IN if role.is_builtin else CUSTOM,
            "description": role.description,
            "assignableScopes": [str(scope) for scope in role.assignable_scopes],
            "permissions": [permission_json(each) for each in role.permissions],
            "createdOn": format_utc(role.created_at) if role.created_at else None,
            "updatedOn": format_utc(role.updated_at) if role.updated_at else None,
            "createdBy": role.created_by or None,
            "updatedBy": role.updated_by or None,
        },
    }


def permission_json(permission: Permission) -> dict[str, Any]:
    return {
        "actions": list(permission.actions),
        "notActions": list(permission.not_actions),
        "dataActions": list(permission.data_actions),
        "notDataActions": list(permission.not_data_actions),
    }


def assignment_json(subscription_id: str, view: AssignmentView) -> dict[str, Any]:
    assignment: RoleAssignment = view.assignment
    created = format_utc(assignment.created_at)
    return {
        "id": assignment_resource(assignment),
        "type": ASSIGNMENT_TYPE,
        "name": assignment.id,
        "properties": {
            "roleDefinitionId": role_id(subscription_id, assignment.role_id),
            "principalId": assignment.principal_id,
            "principalType": str(assignment.principal_kind),
            "scope": str(assignment.scope),
            "description": assignment.description or None,
            "condition": None,
            "conditionVersion": None,
            "delegatedManagedIdentityResourceId": None,
            "createdOn": created,
            "updatedOn": created,
            "createdBy": assignment.created_by or None,
            "updatedBy": assignment.created_by or None,
            "bascule": {"roleName": view.role_name, "principalName": view.principal_name},
        },
    }


def ending_credential_json(ending: EndingCredential) -> dict[str, Any]:
    """Which one and when; never what it is."""
    credential = ending.credential
    return {
        "principalId": ending.owner.id,
        "displayName": ending.owner.display_name,
        "keyId": credential.key_id,
        "endDateTime": format_utc(credential.expires_at) if credential.expires_at else None,
    }


def operations_json(namespace: str) -> dict[str, Any]:
    """A provider's operations; raise NotFound for one that has none here."""
    known = next((n for n in namespaces() if n.casefold() == namespace.casefold()), None)
    if known is None:
        raise NotFound(
            f"The provider {namespace[:80]!r} has no operations here. Providers with operations: "
            f"{', '.join(namespaces())}.",
            code="ProviderNotFound",
        )
    by_type: dict[str, list[dict[str, Any]]] = {}
    for action, words in DISPLAY.items():
        if action.startswith(f"{known}/"):
            by_type.setdefault(_type_of(action), []).append(_operation_json(action, words))
    return {
        "id": f"/providers/{OPERATIONS_TYPE}/{known}",
        "type": OPERATIONS_TYPE,
        "name": known,
        "displayName": known,
        "resourceTypes": [
            {"name": name, "displayName": name, "operations": operations}
            for name, operations in by_type.items()
            if name
        ],
        "operations": by_type.get("", []),
    }


def namespaces() -> Sequence[str]:
    return sorted({action.partition("/")[0] for action in DISPLAY})


def _type_of(action: str) -> str:
    """``locations/jitNetworkAccessPolicies`` of ``N/.../initiate/action``; empty when it is
    the provider's own.
    """
    stem = action.removesuffix("/action").rpartition("/")[0]
    return stem.partition("/")[2]


def _operation_json(action: str, words: str) -> dict[str, Any]:
    return {
        "name": action,
        "displayName": words,
        "description": words,
        "origin": "user,system",
        "properties": None,
        "isDataAction": action in DATA_ACTIONS,
    }
