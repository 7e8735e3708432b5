"""Role assignments: who holds which role where, given and taken (EDGES B3, B4, B10).

Source: Azure RBAC. Whoever holds the right to assign at a scope may give any role there,
to themselves too, as in Azure: the caller's right is checked at the scope of the path, and
nothing else is checked. Taking a role ends the grants that rested on it, in the same
commit, and the last owner's cannot be taken.

A scope is a thing that is there: a machine that comes again under an old name does not
inherit who could reach the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import OWNER
from bascule.domain.facts.roles import RoleAssigned, RoleUnassigned
from bascule.domain.ids import ResourceId
from bascule.domain.roles import RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope, group_scope, resource_scope
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.inventory import InventoryReads, MachineReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.roles import RoleReads, RoleWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.losses import LossWrites, end_unheld
from bascule.services.owners import OwnerReads, check_owner_left
from bascule.services.principal_rights import known_name
from bascule.services.rights import RightsReads, find_role
from bascule.services.roles import PROVIDER, is_offered


class ScopeReads(InventoryReads, MachineReads, PolicyReads, Protocol):
    """What an assignment's scope may name."""


class AssignmentWrites(EventWrites, PrincipalReads, RoleWrites, Protocol):
    """Assignments, whose they are, and the record."""


class NewAssignmentWrites(AssignmentWrites, ScopeReads, Protocol):
    """The same, at a scope that must exist."""


class AssignmentEndWrites(LossWrites, OwnerReads, RoleWrites, Protocol):
    """The same, with the grants that rested on one and the owners who stay."""


_BATCH = 500
LONGEST_DESCRIPTION = 1024


@dataclass(frozen=True, slots=True)
class AssignmentDraft:
    role_id: str  # GUID
    principal_id: str  # GUID
    principal_kind: PrincipalKind | None = None  # None: whatever it is
    description: str = ""


@dataclass(frozen=True, slots=True)
class AssignmentView:
    """An assignment with what people call its parts; empty when that is gone."""

    assignment: RoleAssignment
    role_name: str
    principal_name: str


def put_assignment(
    tx: NewAssignmentWrites,
    act: Act,
    subject: Subject,
    assignment_id: str,
    scope: Scope,
    draft: AssignmentDraft,
) -> tuple[RoleAssignment, bool]:
    """Assign a role; True when it is new.

    The same call again changes nothing, or the description alone. Raises Conflict for an id
    that stands for something else, and for a role that the principal has there already.
    """
    place = known_scope(tx, scope)
    role = _assignable_role(tx, draft.role_id, place)
    kind = _principal_kind(tx, draft)
    wanted = RoleAssignment(
        assignment_id.lower(),
        place,
        role.id,
        draft.principal_id.lower(),
        kind,
        draft.description,
        act.now,
        subject.principal_id,
    )
    before = tx.role_assignment(wanted.id)
    if before is not None:
        return _again(tx, act, before, wanted), False
    for each in tx.role_assignments_of([wanted.principal_id]):
        if each.role_id == role.id and each.scope == place:
            raise Conflict(
                sentence("The role assignment already exists: {id}.", id=each.id),
                code="RoleAssignmentExists",
            )
    tx.add_role_assignment(wanted)
    _record_given(tx, act, wanted)
    return wanted, True


def _again(
    tx: AssignmentWrites, act: Act, before: RoleAssignment, wanted: RoleAssignment
) -> RoleAssignment:
    same = replace(before, description=wanted.description)
    if same != replace(wanted, created_at=before.created_at, created_by=before.created_by):
        raise Conflict(
            "Role, principal and scope of a role assignment are not allowed to be updated; this "
            "id stands for another one.",
            code="RoleAssignmentUpdateNotPermitted",
            advice="Use a new GUID, and delete the other assignment if it is not needed.",
        )
    if before.description != wanted.description:
        tx.delete_role_assignment(before.id)
        tx.add_role_assignment(same)
        _record_given(tx, act, same)
    return same


def delete_assignment(
    tx: AssignmentEndWrites, act: Act, assignment_id: str, scope: Scope
) -> RoleAssignment | None:
    """Take a role away; None when there is no such assignment at that very scope.

    Grants that rested on it end. Raises Conflict (LastOwner) for the last owner's.
    """
    assignment = tx.role_assignment(assignment_id)
    if assignment is None or assignment.scope != scope:
        return None
    _take(tx, act, assignment, "call")
    end_unheld(tx, act, [assignment.principal_id], f"removal of role assignment {assignment.id}")
    if assignment.role_id == OWNER.id:
        check_owner_left(tx, act)
    return assignment


def forget_scope(tx: AssignmentWrites, act: Act, scope: Scope, cause: str) -> None:
    """Take away all that is assigned at a thing that is deleted, or below it.

    Its grants are the caller's affair: they end with the thing itself.
    """
    for assignment in tx.role_assignments_within(scope):
        _take(tx, act, assignment, cause)


def _take(tx: AssignmentWrites, act: Act, assignment: RoleAssignment, cause: str) -> None:
    given = view_of(tx, assignment)
    tx.delete_role_assignment(assignment.id)
    fact = RoleUnassigned(
        assignment.id,
        assignment.role_id,
        given.role_name,
        str(assignment.scope),
        assignment.principal_id,
        given.principal_name,
        str(assignment.principal_kind),
        cause,
    )
    act.record(tx, fact, assignment_resource(assignment))


def _record_given(tx: AssignmentWrites, act: Act, assignment: RoleAssignment) -> None:
    given = view_of(tx, assignment)
    fact = RoleAssigned(
        assignment.id,
        assignment.role_id,
        given.role_name,
        str(assignment.scope),
        assignment.principal_id,
        given.principal_name,
        str(assignment.principal_kind),
        assignment.description,
    )
    act.record(tx, fact, assignment_resource(assignment))


# -- what is asked of a new one ----------------------------------------------------------


def known_scope(reader: ScopeReads, scope: Scope) -> Scope:
    """The scope as the thing at it is spelt; raise InvalidInput or NotFound when none is.

    Roles are assigned at the subscription, a resource group, a machine or a policy.
    """
    parts = scope.text.split("/")
    if len(parts) == 3:
        return scope
    group = next((g for g in reader.resource_groups() if g.casefold() == parts[4].casefold()), "")
    if len(parts) == 5 and group:
        return group_scope(parts[2], group)
    if len(parts) == 5:
        raise NotFound(
            sentence("Resource group '{group}' could not be found.", group=parts[4]),
            code="ResourceGroupNotFound",
        )
    resource = ResourceId.parse(scope.text)
    machine = reader.machine(resource)
    stored = reader.policy(resource)
    found = machine.id if machine else stored.policy.id if stored else None
    if found is None:
        raise NotFound(
            sentence(
                "There is no machine or policy {resource}. Roles are assigned at the "
                "subscription, a resource group, a machine or a policy.",
                resource=resource,
            ),
            code="ScopeNotFound",
            advice="To list machines with their ids: bascule machine list -o json",
        )
    return resource_scope(found)


def _assignable_role(reader: RoleReads, role_id: str, scope: Scope) -> RoleDefinition:
    role = find_role(reader, role_id)
    if role is None:
        raise InvalidInput(
            sentence(
                "The specified role definition with ID '{role_id}' does not exist.", role_id=role_id
            ),
            code="RoleDefinitionDoesNotExist",
            target="properties.roleDefinitionId",
            advice="To list roles: bascule role list",
        )
    if not is_offered(role, scope):
        places = ", ".join(map(str, role.assignable_scopes[:3]))
        raise InvalidInput(
            sentence(
                "Role '{role}' cannot be assigned at {scope}. Its assignable scopes are {places}.",
                role=role.name,
                scope=scope,
                places=places,
            ),
            code="RoleDefinitionNotAssignable",
            target="properties.roleDefinitionId",
        )
    return role


def _principal_kind(reader: PrincipalReads, draft: AssignmentDraft) -> PrincipalKind:
    kind = reader.principal_kind(draft.principal_id)
    if kind is None:
        raise InvalidInput(
            sentence(
                "Principal {principal_id} does not exist here.", principal_id=draft.principal_id
            ),
            code="PrincipalNotFound",
            target="properties.principalId",
            advice="To list principals: bascule user list, bascule group list, bascule sp list",
        )
    if draft.principal_kind not in (None, kind):
        raise InvalidInput(
            sentence(
                "Principal {principal_id} is of kind {kind}, not {principal_kind}.",
                principal_id=draft.principal_id,
                kind=kind,
                principal_kind=draft.principal_kind,
            ),
            code="UnmatchedPrincipalType",
            target="properties.principalType",
        )
    return kind


# -- reading -----------------------------------------------------------------------------


def find_assignment(reader: RightsReads, assignment_id: str, scope: Scope) -> AssignmentView:
    """The one of that id at that very scope; raise NotFound."""
    found = reader.role_assignment(assignment_id)
    if found is None or found.scope != scope:
        raise no_assignment(assignment_id, scope)
    return view_of(reader, found)


def no_assignment(assignment_id: str, scope: Scope) -> NotFound:
    return NotFound(
        sentence(
            "The role assignment '{id}' is not found at {scope}.",
            id=assignment_id[:64],
            scope=scope,
        ),
        code="RoleAssignmentNotFound",
        advice="To list assignments: bascule role assignments",
    )


def list_assignments(
    reader: RightsReads,
    scope: Scope,
    is_shown: Callable[[RoleAssignment], bool],
    principal_ids: Sequence[str] | None,
    after: str,
    limit: int,
    *,
    with_below: bool,
) -> Sequence[AssignmentView]:
    """Up to ``limit`` that are shown, ordered by id."""
    found: list[AssignmentView] = []
    pages = _batches(reader, scope, principal_ids, after, with_below=with_below)
    for each in pages:
        if is_shown(each):
            found.append(view_of(reader, each))
            if len(found) == limit:
                break
    return found


def _batches(
    reader: RoleReads,
    scope: Scope,
    principal_ids: Sequence[str] | None,
    after: str,
    *,
    with_below: bool,
) -> Iterator[RoleAssignment]:
    while True:
        page = reader.role_assignments_about(
            scope, principal_ids, after, _BATCH, with_below=with_below
        )
        yield from page
        if len(page) < _BATCH:
            return
        after = page[-1].id


def principal_with_groups(
    reader: PrincipalReads, principal_id: str, now: datetime
) -> Sequence[str]:
    """A principal and the groups that it is in at ``now``."""
    groups = (each.group_id for each in reader.memberships_of(principal_id, now))
    return tuple(dict.fromkeys((principal_id.lower(), *groups)))


def view_of(reader: RightsReads, assignment: RoleAssignment) -> AssignmentView:
    role = find_role(reader, assignment.role_id)
    name = known_name(reader, assignment.principal_id)
    return AssignmentView(assignment, role.name if role else "", name)


def assignment_resource(assignment: RoleAssignment) -> str:
    """The assignment's ARM id."""
    return f"{assignment.scope}/providers/{PROVIDER}/roleAssignments/{assignment.id}"
