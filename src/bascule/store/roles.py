"""Rows of custom role definitions and of role assignments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, or_, select

from bascule.domain.access import PrincipalKind
from bascule.domain.roles import Permission, RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope
from bascule.store.access_stamp import AccessStamp
from bascule.store.tables import access as t

_ASSIGNMENTS_OF = (
    select(t.role_assignments)
    .where(t.role_assignments.c.principal_id.in_(bindparam("wanted", expanding=True)))
    .order_by(t.role_assignments.c.id)
)


class RoleReads(AccessStamp):
    __slots__ = ()

    def custom_role(self, role_id: str) -> RoleDefinition | None:
        table = t.role_definitions
        row = self._first(select(table).where(table.c.id == role_id.lower()))
        return None if row is None else role_of_row(row)

    def custom_roles(self) -> Sequence[RoleDefinition]:
        table = t.role_definitions
        return [role_of_row(row) for row in self._all(select(table).order_by(table.c.name_key))]

    def role_assignment(self, assignment_id: str) -> RoleAssignment | None:
        table = t.role_assignments
        row = self._first(select(table).where(table.c.id == assignment_id.lower()))
        return None if row is None else assignment_of_row(row)

    def role_assignments(self, after: str = "", limit: int = 1000) -> Sequence[RoleAssignment]:
        table = t.role_assignments
        wanted = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
        return [assignment_of_row(row) for row in self._all(wanted)]

    def role_assignments_about(
        self,
        scope: Scope,
        principal_ids: Sequence[str] | None = None,
        after: str = "",
        limit: int = 1000,
        *,
        with_below: bool = True,
    ) -> Sequence[RoleAssignment]:
        columns = t.role_assignments.c
        above = columns.scope_key.in_(_upwards(scope.key))
        where = or_(above, _is_below(scope.key)) if with_below else above
        wanted = select(t.role_assignments).where(where, columns.id > after)
        if principal_ids is not None:
            wanted = wanted.where(
                columns.principal_id.in_([each.lower() for each in principal_ids])
            )
        return [
            assignment_of_row(row) for row in self._all(wanted.order_by(columns.id).limit(limit))
        ]

    def role_assignments_within(self, scope: Scope) -> Sequence[RoleAssignment]:
        columns = t.role_assignments.c
        where = or_(columns.scope_key == scope.key, _is_below(scope.key))
        wanted = select(t.role_assignments).where(where).order_by(columns.id)
        return [assignment_of_row(row) for row in self._all(wanted)]

    def role_assignments_of(self, principal_ids: Sequence[str]) -> Sequence[RoleAssignment]:
        wanted = [each.lower() for each in principal_ids]
        return [assignment_of_row(row) for row in self._all(_ASSIGNMENTS_OF, {"wanted": wanted})]

    def role_assignments_with(self, role_id: str) -> Sequence[RoleAssignment]:
        table = t.role_assignments
        wanted = select(table).where(table.c.role_id == role_id.lower())
        return [assignment_of_row(row) for row in self._all(wanted.order_by(table.c.id))]


class RoleWrites(RoleReads):
    __slots__ = ()

    def put_custom_role(self, role: RoleDefinition) -> None:
        self._put(
            t.role_definitions,
            {"id": role.id},
            {
                "name_key": role.name.casefold(),
                "name": role.name,
                "description": role.description,
                "permissions": [_permission_row(each) for each in role.permissions],
                "assignable_scopes": [str(scope) for scope in role.assignable_scopes],
                "created_at": role.created_at,
                "updated_at": role.updated_at,
                "created_by": role.created_by,
                "updated_by": role.updated_by,
            },
        )
        self._renew_stamp()

    def delete_custom_role(self, role_id: str) -> None:
        self._run(delete(t.role_definitions).where(t.role_definitions.c.id == role_id.lower()))
        self._renew_stamp()

    def add_role_assignment(self, assignment: RoleAssignment) -> None:
        self._run(
            t.role_assignments.insert(),
            {
                "id": assignment.id,
                "scope_key": assignment.scope.key,
                "scope": str(assignment.scope),
                "role_id": assignment.role_id,
                "principal_id": assignment.principal_id,
                "principal_kind": str(assignment.principal_kind),
                "description": assignment.description,
                "created_at": assignment.created_at,
                "created_by": assignment.created_by,
            },
        )
        self._renew_stamp()

    def delete_role_assignment(self, assignment_id: str) -> None:
        table = t.role_assignments
        self._run(delete(table).where(table.c.id == assignment_id.lower()))
        self._renew_stamp()


def _upwards(key: str) -> list[str]:
    """The key of a scope and of every scope that may contain it."""
    parts = key.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _is_below(key: str) -> ColumnElement[bool]:
    """Whole segments below: a range, so that the index serves; '0' follows '/' in ASCII."""
    column = t.role_assignments.c.scope_key
    return and_(column >= f"{key}/", column < f"{key}0")


def _permission_row(permission: Permission) -> dict[str, Any]:
    return {
        "actions": list(permission.actions),
        "notActions": list(permission.not_actions),
        "dataActions": list(permission.data_actions),
        "notDataActions": list(permission.not_data_actions),
    }


def _permission(row: Mapping[str, Any]) -> Permission:
    return Permission(
        tuple(row["actions"]),
        tuple(row["notActions"]),
        tuple(row["dataActions"]),
        tuple(row["notDataActions"]),
    )


def role_of_row(row: Row[Any]) -> RoleDefinition:
    return RoleDefinition(
        row.id,
        row.name,
        row.description,
        False,
        tuple(_permission(each) for each in row.permissions),
        tuple(Scope(text) for text in row.assignable_scopes),
        row.created_at,
        row.updated_at,
        row.created_by,
        row.updated_by,
    )


def assignment_of_row(row: Row[Any]) -> RoleAssignment:
    return RoleAssignment(
        row.id,
        Scope(row.scope),
        row.role_id,
        row.principal_id,
        PrincipalKind(row.principal_kind),
        row.description,
        row.created_at,
        row.created_by,
    )
