"""Role definitions and assignments."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Bulk, Text
from bascule.domain.facts.kind import Activity, Outcome, Severity


@fact(
    "Microsoft.Authorization/roleDefinitions/write",
    "Create or update custom role definition",
    Activity.CREATE,
    severity=Severity.LOW,
    is_call=True,
)
class RoleCreated(Fact):
    role_id: Text
    role: Text  # its name
    rules: Bulk  # permissions and assignable scopes as JSON


@fact(
    "Microsoft.Authorization/roleDefinitions/write",
    "Create or update custom role definition",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class RoleChanged(Fact):
    role_id: Text
    role: Text  # its name
    rules: Bulk
    previous_role: Text
    previous_rules: Bulk


@fact(
    "Microsoft.Authorization/roleDefinitions/delete",
    "Delete custom role definition",
    Activity.DELETE,
    severity=Severity.LOW,
    is_call=True,
)
class RoleDeleted(Fact):
    role_id: Text
    role: Text  # its name
    previous_rules: Bulk


@fact(
    "Microsoft.Authorization/roleAssignments/write",
    "Create role assignment",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    outcome=Outcome.CREATED,
    is_call=True,
)
class RoleAssigned(Fact):
    assignment_id: Text
    role_id: Text
    role: Text
    scope: Text
    principal_id: Text
    principal: Text  # its name at that time
    principal_kind: Text
    description: Text


@fact(
    "Microsoft.Authorization/roleAssignments/delete",
    "Delete role assignment",
    Activity.DELETE,
    severity=Severity.LOW,
    is_call=True,
)
class RoleUnassigned(Fact):
    assignment_id: Text
    role_id: Text
    role: Text
    scope: Text
    principal_id: Text
    principal: Text
    principal_kind: Text
    cause: Text  # which act took it away
