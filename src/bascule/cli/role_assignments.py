"""``bascule role assign``, ``unassign``, ``assignments`` and ``check``: who holds a role, where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.role_check import check as find_paths
from bascule.cli.role_check import known_action
from bascule.cli.role_find import (
    find_anybody,
    find_role,
    find_scope,
    principal_id,
    scope_options,
    scope_words,
)
from bascule.client import roles
from bascule.client.roles import Assignment
from bascule.domain.ids import is_guid
from bascule.domain.roles import RoleDefinition
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:
    from bascule.client.connection import Connection
    from bascule.domain.scopes import Scope


@click.command(
    epilog="""\b
Examples:
  bascule role assign "JIT Access Role" anna@example.com --machine web-1
  bascule role assign Reader auditors"""
)
@click.argument("name", metavar="ROLE")
@click.argument("principal")
@click.option("--description", default="", metavar="TEXT", help="Why it is assigned.")
@scope_options
@output_option
def assign(
    name: str,
    principal: str,
    description: str,
    machine: str | None,
    resource_group: str | None,
    scope: str | None,
    output: str,
) -> None:
    """Assign ROLE to PRINCIPAL, everywhere or at a scope.

    PRINCIPAL is a user, a group or a service principal, by name or id.
    """
    with connect() as connection:
        at = find_scope(connection, machine, resource_group, scope)
        found = find_role(connection, name)
        who = principal_id(connection, principal)
        given = give(connection, at, found, *who, description)
        where = scope_words(connection, at)
    if output == "json":
        emit_json(assignment_json(given))
        return
    say(f"{whose(given)} is {found.name}: {where}")
    note(f"To remove it: bascule role unassign {given.id}")


def give(
    connection: Connection,
    at: Scope,
    wanted: RoleDefinition,
    who: str,
    name: str,
    description: str = "",
) -> Assignment:
    """What is held there already is as good."""
    try:
        return roles.assign(connection, at, wanted.id, who, description)
    except Conflict as error:
        if error.specific_code != "RoleAssignmentExists":
            raise
    held = roles.list_assignments(connection, at, who)
    for each in held:
        if each.role_id == wanted.id and each.scope == at:
            return each
    raise Conflict(f"{name} holds {wanted.name} at {at} already.", code="RoleAssignmentExists")


@click.command(
    epilog="""\b
Examples:
  bascule role unassign "JIT Access Role" anna@example.com --machine web-1
  bascule role unassign 01900000-0000-4000-8000-000000000000"""
)
@click.argument("name", metavar="ROLE|ASSIGNMENT")
@click.argument("principal", required=False)
@scope_options
@yes_option
def unassign(
    name: str,
    principal: str | None,
    machine: str | None,
    resource_group: str | None,
    scope: str | None,
    is_sure: bool,
) -> None:
    """Remove a role assignment. Ports opened by this right close at once.

    Give ROLE, PRINCIPAL and the scope of the assignment, or only the assignment's id.
    """
    with connect() as connection:
        at = find_scope(connection, machine, resource_group, scope)
        found = _find_assignment(connection, name, principal, at)
        where = scope_words(connection, found.scope)
        words = f"{whose(found)} loses {found.role or found.role_id}: {where}"
        confirm(f"{words}. Ports opened by this right close.", is_sure=is_sure)
        roles.unassign(connection, found)
    say(words)


def _find_assignment(
    connection: Connection, name: str, principal: str | None, at: Scope
) -> Assignment:
    if principal is None:
        if not is_guid(name):
            raise InvalidInput("Give ROLE and PRINCIPAL, or the id of an assignment.")
        found = [a for a in roles.list_assignments(connection, at) if a.id == name.lower()]
    else:
        wanted = find_role(connection, name)
        who, _ = principal_id(connection, principal)
        listed = roles.list_assignments(connection, at, who)
        found = [each for each in listed if each.role_id == wanted.id and each.scope == at]
    if not found:
        raise NotFound(
            f"There is no such assignment at {at}.",
            advice="To see all assignments with scopes: bascule role assignments -o json",
        )
    return found[0]


@click.command(
    epilog="""\b
Examples:
  bascule role assignments
  bascule role assignments --principal anna@example.com
  bascule role assignments --machine web-1 -o json"""
)
@click.option(
    "--principal", metavar="NAME", help="Only this principal's, including those of its groups."
)
@click.option("--role", "name", metavar="ROLE", help="Only of this role.")
@scope_options
@output_option
def assignments(
    principal: str | None,
    name: str | None,
    machine: str | None,
    resource_group: str | None,
    scope: str | None,
    output: str,
) -> None:
    """List role assignments.

    With a scope, also lists assignments that it inherits.
    """
    with connect() as connection:
        at = find_scope(connection, machine, resource_group, scope)
        who = principal_id(connection, principal)[0] if principal is not None else ""
        wanted = find_role(connection, name).id if name is not None else ""
        listed = roles.list_assignments(connection, at, who, with_groups=True)
        found = [each for each in listed if wanted in ("", each.role_id)]
        places = [scope_words(connection, each.scope) for each in found]
    if output == "json":
        emit_json([assignment_json(each) for each in found])
        return
    if not found:
        note("There are no assignments that you may see.")
        return
    rows = [
        [whose(each), each.principal_kind, each.role or each.role_id, place, each.id]
        for each, place in zip(found, places, strict=True)
    ]
    print_table(["WHO", "KIND", "ROLE", "WHERE", "ID"], rows)


@click.command(
    epilog="""\b
Examples:
  bascule role check anna@example.com Microsoft.Compute/virtualMachines/read
  bascule role check deployer Microsoft.Compute/virtualMachines/write -o json"""
)
@click.argument("principal")
@click.argument("action")
@scope_options
@output_option
def check(
    principal: str,
    action: str,
    machine: str | None,
    resource_group: str | None,
    scope: str | None,
    output: str,
) -> int:
    """Check whether PRINCIPAL may do ACTION, and why.

    Names the role, scope and group that allow it, or roles that would. The exit code is 0 if
    allowed and 4 if not.
    """
    wanted = known_action(action)
    with connect() as connection:
        at = find_scope(connection, machine, resource_group, scope)
        who = find_anybody(connection, principal)
        held = list(roles.list_assignments(connection, at, who.id, with_groups=True))
        known = roles.list_roles(connection)
        found = find_paths(wanted, at, held if who.is_enabled else [], known)
        places = [scope_words(connection, each.scope) for each in found.paths]
        where = scope_words(connection, at)
    is_allowed = bool(found.paths)
    if output == "json":
        emit_json(
            {
                "allowed": is_allowed,
                "enabled": who.is_enabled,
                "by": [assignment_json(each) for each in found.paths],
                "rolesThatWouldGiveIt": [each.name for each in found.would_give],
            }
        )
        return 0 if is_allowed else Forbidden.exit_code
    if is_allowed:
        say(f"{who.name} may: {wanted} ({where})")
        rows = [
            [each.role, place, each.principal if each.principal_id != who.id else ""]
            for each, place in zip(found.paths, places, strict=True)
        ]
        print_table(["BY ROLE", "AT", "BY GROUP"], rows)
        return 0
    if not who.is_enabled:
        raise Forbidden(f"{who.name} is disabled, and may do nothing.")
    names = ", ".join(each.name for each in found.would_give)
    raise Forbidden(
        f"{who.name} may not: {wanted} ({where}).",
        advice=f"These roles would allow it, the least powerful first: {names}."
        if names
        else "No role that you may see allows it.",
    )


def whose(assignment: Assignment) -> str:
    return assignment.principal or assignment.principal_id


def assignment_json(assignment: Assignment) -> dict[str, object]:
    return {
        "id": assignment.id,
        "role": assignment.role,
        "roleId": assignment.role_id,
        "scope": str(assignment.scope),
        "principal": assignment.principal,
        "principalId": assignment.principal_id,
        "principalType": assignment.principal_kind,
        "description": assignment.description,
    }
