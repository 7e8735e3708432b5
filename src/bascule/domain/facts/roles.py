"""Role definitions and assignments."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class RoleCreated(Fact):
    role_id: str
    role: str  # its name
    rules: str  # permissions and assignable scopes as JSON


@dataclass(frozen=True, slots=True)
class RoleChanged(Fact):
    role_id: str
    role: str  # its name
    rules: str
    previous_role: str
    previous_rules: str


@dataclass(frozen=True, slots=True)
class RoleDeleted(Fact):
    role_id: str
    role: str  # its name
    previous_rules: str


@dataclass(frozen=True, slots=True)
class RoleAssigned(Fact):
    assignment_id: str
    role_id: str
    role: str
    scope: str
    principal_id: str
    principal: str  # its name at that time
    principal_kind: str
    description: str


@dataclass(frozen=True, slots=True)
class RoleUnassigned(Fact):
    assignment_id: str
    role_id: str
    role: str
    scope: str
    principal_id: str
    principal: str
    principal_kind: str
    cause: str  # which act took it away
