"""What the store keeps of roles: custom definitions, and all assignments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bascule.domain.roles import RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope


class RoleReads(Protocol):
    def access_stamp(self) -> str:
        """Another value after each change of principals, memberships, roles or assignments;
        the same one never comes back, in no database.
        """
        ...

    def custom_role(self, role_id: str) -> RoleDefinition | None: ...

    def custom_roles(self) -> Sequence[RoleDefinition]:
        """All, ordered by name, folded. The built-in ones are ``domain.builtin_roles``."""
        ...

    def role_assignment(self, assignment_id: str) -> RoleAssignment | None: ...

    def role_assignments(self, after: str = "", limit: int = 1000) -> Sequence[RoleAssignment]:
        """All, ordered by id; ``after`` is the last id of the page before."""
        ...

    def role_assignments_about(
        self,
        scope: Scope,
        principal_ids: Sequence[str] | None = None,
        after: str = "",
        limit: int = 1000,
        *,
        with_below: bool = True,
    ) -> Sequence[RoleAssignment]:
        """Those at this scope, above it and (``with_below``) below it, ordered by id.

        ``principal_ids`` keeps those of these principals; ``after`` is the last id of the page
        before.
        """
        ...

    def role_assignments_within(self, scope: Scope) -> Sequence[RoleAssignment]:
        """All at this scope or below it, ordered by id."""
        ...

    def role_assignments_of(self, principal_ids: Sequence[str]) -> Sequence[RoleAssignment]:
        """Of these principals, at whatever scope, ordered by id."""
        ...

    def role_assignments_with(self, role_id: str) -> Sequence[RoleAssignment]:
        """All of one role, ordered by id."""
        ...


class RoleWrites(RoleReads, Protocol):
    def put_custom_role(self, role: RoleDefinition) -> None:
        """Raises Conflict when another has the name."""
        ...

    def delete_custom_role(self, role_id: str) -> None: ...

    def add_role_assignment(self, assignment: RoleAssignment) -> None:
        """Raises Conflict when the principal has that role at that scope already."""
        ...

    def delete_role_assignment(self, assignment_id: str) -> None: ...
