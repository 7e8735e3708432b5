"""Custom roles: written, changed, deleted (EDGES B4).

Whoever writes a role decides what all its holders may do, at every scope where it can be
assigned: so the right to write roles is asked for at each of these, those of before too. What
a change adds to a role that is held already must be held by whoever writes it, or be theirs to
assign, at each scope where the role is (EDGES E8): else writing roles alone made an owner. A
role does not shrink away from where it is held, or somebody with that right at what is left
could raise holders elsewhere. The built-in ones cannot be changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import ASSIGNMENT_WRITE, ROLE_DELETE, ROLE_READ, ROLE_WRITE
from bascule.domain.builtin_roles import BUILTIN_ROLES
from bascule.domain.containment import added
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.roles import RoleChanged, RoleCreated, RoleDeleted
from bascule.domain.role_draft import RoleDraft, check_draft
from bascule.domain.roles import Rights, RoleDefinition
from bascule.domain.scopes import Scope, is_below
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound, Problem
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.roles import RoleReads, RoleWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.installation import subscription_of
from bascule.services.losses import LossWrites, end_unheld
from bascule.services.rights import Needed, RightsReads, check, find_role, rights_of


class RoleDraftWrites(EventWrites, InventoryReads, PrincipalReads, RoleWrites, Protocol):
    """Role definitions, and the right to write them."""


class RoleChangeWrites(LossWrites, RoleDraftWrites, Protocol):
    """The same, with what is lost by a smaller role."""


PROVIDER = "Microsoft.Authorization"
_MOST_NAMED = 20  # scopes that a refusal lists
_BUILTIN = {role.id: role for role in BUILTIN_ROLES}


def may_read(rights: Rights, role: RoleDefinition) -> bool:
    """A built-in role is shown to whoever may read roles anywhere, a custom one where it and
    that right meet; those that one holds always, as one's own assignments are.
    """
    if any(right.role.id == role.id for right in rights.held):
        return True
    if role.is_builtin:
        return rights.may_anywhere(ROLE_READ)
    return any(
        right.role.allows(ROLE_READ) and _meet(Scope(right.scope_key or "/"), scope)
        for right in rights.held
        for scope in role.assignable_scopes
    )


def is_offered(role: RoleDefinition, scope: Scope, *, with_below: bool = False) -> bool:
    """Can the role be assigned at this scope, or (``with_below``) somewhere below it?"""
    return any(
        each.contains(scope) or (with_below and scope.contains(each))
        for each in role.assignable_scopes
    )


def _meet(one: Scope, other: Scope) -> bool:
    return one.contains(other) or other.contains(one)


def put_role(
    tx: RoleChangeWrites, act: Act, subject: Subject, role_id: str, draft: RoleDraft
) -> tuple[RoleDefinition, bool]:
    """Create or change a custom role; True when it is new.

    Raises InvalidInput with every problem at once, Forbidden where the caller may not write
    roles, and Conflict for a name that another role has or a scope where it is still held.
    """
    role_id = role_id.lower()
    _refuse_builtin(role_id)
    problems = check_draft(draft, subscription_of(tx))
    if problems:
        raise InvalidInput.of(problems)
    before = tx.custom_role(role_id)
    scopes = (*draft.assignable_scopes, *(before.assignable_scopes if before else ()))
    _check_everywhere(tx, act, subject, ROLE_WRITE, scopes)
    _check_name(tx, role_id, draft.name)
    role = RoleDefinition(
        role_id,
        draft.name,
        draft.description,
        False,
        draft.permissions,
        draft.assignable_scopes,
        before.created_at if before else act.now,
        act.now,
        before.created_by if before else subject.principal_id,
        subject.principal_id,
    )
    if before is not None:
        _check_still_covers(tx, role)
        if replace(role, updated_at=before.updated_at, updated_by=before.updated_by) == before:
            return before, False
        _check_may_give(tx, act, subject, before, role)
    tx.put_custom_role(role)
    fact: Fact = RoleCreated(role.id, role.name, describe(role))
    if before is not None:
        fact = RoleChanged(role.id, role.name, describe(role), before.name, describe(before))
    act.record(tx, fact, role_resource(tx, role))
    if before is not None:
        holders = [each.principal_id for each in tx.role_assignments_with(role.id)]
        end_unheld(tx, act, holders, f"change of role {role.name}")
    return role, before is None


def delete_role(
    tx: RoleDraftWrites, act: Act, subject: Subject, role_id: str, at: Scope
) -> RoleDefinition | None:
    """Delete a custom role that nobody holds; None when there was none at ``at``."""
    _refuse_builtin(role_id.lower())
    role = tx.custom_role(role_id)
    if role is None or not is_offered(role, at, with_below=True):
        return None
    _check_everywhere(tx, act, subject, ROLE_DELETE, role.assignable_scopes)
    held = tx.role_assignments_with(role.id)
    if held:
        raise Conflict(
            sentence(
                "Role '{role}' is assigned at {scope}{more}, so it cannot be deleted.",
                role=role.name,
                scope=held[0].scope,
                more=_more(len(held)),
            ),
            code="RoleDefinitionHasAssignments",
            advice=sentence(
                "Remove its assignments first: bascule role assignments --role {role}", role=role.id
            ),
        )
    tx.delete_custom_role(role.id)
    act.record(tx, RoleDeleted(role.id, role.name, describe(role)), role_resource(tx, role))
    return role


def known_role(reader: RoleReads, role_id: str) -> RoleDefinition:
    role = find_role(reader, role_id)
    if role is None:
        raise no_role(role_id)
    return role


def no_role(role_id: str) -> NotFound:
    return NotFound(
        sentence("The role definition '{role_id}' does not exist here.", role_id=role_id[:64]),
        code="RoleDefinitionDoesNotExist",
        advice="To list roles: bascule role list",
    )


def describe(role: RoleDefinition) -> str:
    """Permissions and scopes as one JSON text, for events."""
    value = {
        "permissions": [
            {
                "actions": each.actions,
                "notActions": each.not_actions,
                "dataActions": each.data_actions,
                "notDataActions": each.not_data_actions,
            }
            for each in role.permissions
        ],
        "assignableScopes": [str(scope) for scope in role.assignable_scopes],
    }
    return json.dumps(value, separators=(",", ":"))


def role_resource(reader: InventoryReads, role: RoleDefinition) -> str:
    """The role's ARM id, as Azure writes it."""
    return (
        f"/subscriptions/{subscription_of(reader)}/providers/{PROVIDER}/roleDefinitions/{role.id}"
    )


def _refuse_builtin(role_id: str) -> None:
    role = _BUILTIN.get(role_id)
    if role is not None:
        raise Conflict(
            sentence(
                "'{role}' is a built-in role and cannot be changed or deleted.", role=role.name
            ),
            code="RoleDefinitionIsBuiltIn",
            advice="To create a custom role instead: bascule role create --help",
        )


def _check_everywhere(
    tx: RightsReads, act: Act, subject: Subject, action: str, scopes: Sequence[Scope]
) -> None:
    check(tx, subject, act.now, [Needed(action, scope) for scope in dict.fromkeys(scopes)])


def _check_may_give(
    tx: RightsReads, act: Act, subject: Subject, before: RoleDefinition, after: RoleDefinition
) -> None:
    """Raise Forbidden where holders of the role would gain what the caller may not give them.

    That the caller holds the role says nothing: as it was, it is looked at as everybody's.
    """
    if not added(before, after, ()):
        return
    own = rights_of(tx, subject.principal_id, act.now)
    scopes = {each.scope.key: each.scope for each in tx.role_assignments_with(after.id)}
    problems = []
    found: dict[tuple[RoleDefinition, ...], list[str]] = {}  # many scopes are alike
    for key, scope in sorted(scopes.items()):
        if own.may(ASSIGNMENT_WRITE, scope):
            continue
        held = tuple(each.role for each in own.held if is_below(key, each.scope_key))
        if held not in found:
            found[held] = added(before, after, [p for role in held for p in role.permissions])
        lacking = found[held]
        if lacking:
            problems.append(
                Problem(
                    Forbidden.code,
                    sentence(
                        "Its holders at {scope} would gain '{action}'{more} there, which you do "
                        "not hold.",
                        scope=scope,
                        action=lacking[0],
                        more=_more(len(lacking)),
                    ),
                )
            )
    if problems:
        also = f" (and {len(problems) - 1} more, see details)" if len(problems) > 1 else ""
        raise Forbidden(
            f"You may not make this change to role '{after.name}': {problems[0].message}{also}",
            advice=sentence(
                "Ask somebody who holds that right there or may assign roles there "
                "({action}), or use a role that nobody holds yet.",
                action=ASSIGNMENT_WRITE,
            ),
            problems=problems[:_MOST_NAMED],
        )


def _check_name(tx: RoleReads, role_id: str, name: str) -> None:
    for other in (*BUILTIN_ROLES, *tx.custom_roles()):
        if other.id != role_id and other.name.casefold() == name.casefold():
            raise Conflict(
                sentence(
                    "Another role is already called '{other}': {id}.", other=other.name, id=other.id
                ),
                code="RoleDefinitionWithSameNameExists",
                target="properties.roleName",
                advice="Choose another name, or change that role by its id.",
            )


def _check_still_covers(tx: RoleReads, role: RoleDefinition) -> None:
    for each in tx.role_assignments_with(role.id):
        if not is_offered(role, each.scope):
            raise Conflict(
                sentence(
                    "Role '{role}' is assigned at {scope}, which its assignable scopes "
                    "would no longer include.",
                    role=role.name,
                    scope=each.scope,
                ),
                code="RoleDefinitionHasAssignments",
                target="properties.assignableScopes",
                advice=sentence(
                    "Keep that scope, or remove the assignment first: bascule role unassign {id}",
                    id=each.id,
                ),
            )


def _more(count: int) -> str:
    """That there are more than the one that is named."""
    return sentence(" and {count} more", count=count - 1) if count > 1 else ""
