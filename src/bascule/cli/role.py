"""``bascule role``: what may be done, by whom, where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.role_check import check as find_paths
from bascule.cli.role_check import known_action, unmatched
from bascule.cli.role_find import (
    command_words,
    find_anybody,
    find_role,
    find_scope,
    principal_id,
    scope_options,
    scope_words,
)
from bascule.client import roles
from bascule.client.roles import (
    FOR_API,
    FOR_PEOPLE,
    REQUESTOR,
    REQUESTOR_DESCRIPTION,
    Assignment,
)
from bascule.domain.ids import is_guid
from bascule.domain.roles import Permission, RoleDefinition
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:
    from bascule.client.connection import Connection
    from bascule.domain.scopes import Scope


@click.group(
    epilog="""\b
Examples:
  bascule role create-requestor --assign anna@example.com --machine web-1
  bascule role assign Reader auditors
  bascule role check anna@example.com Microsoft.Compute/virtualMachines/read"""
)
def role() -> None:
    """Roles and role assignments."""


# -- definitions -------------------------------------------------------------------------


@role.command(
    "list", epilog="\b\nExamples:\n  bascule role list\n  bascule role list --custom -o json"
)
@click.option("--custom", is_flag=True, help="Only custom roles.")
@output_option
def list_command(custom: bool, output: str) -> None:
    """List the roles that you may see."""
    with connect() as connection:
        found = [each for each in roles.list_roles(connection) if not (custom and each.is_builtin)]
    if output == "json":
        emit_json([_role_json(each) for each in found])
        return
    if not found:
        note("There is no role to show. To create one: bascule role create-requestor")
        return
    rows = [[each.name, _kind(each), each.description, each.id] for each in found]
    print_table(["ROLE", "KIND", "FOR", "ID"], rows)


@role.command(epilog="\b\nExamples:\n  bascule role show Reader")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one role: what it allows, and where."""
    with connect() as connection:
        found = find_role(connection, name)
    if output == "json":
        emit_json(_role_json(found))
        return
    say(f"role       {found.name} ({_kind(found)})")
    say(f"id         {found.id}")
    say(f"           {found.description}")
    for scope in found.assignable_scopes:
        say(f"at         {scope}")
    for permission in found.permissions:
        for action in permission.actions:
            say(f"allows     {action}")
        for action in permission.not_actions:
            say(f"but not    {action}")


@role.command(
    epilog="""\b
Examples:
  bascule role create "Night shift" --action '*/read' \\
    --action 'Microsoft.Security/locations/jitNetworkAccessPolicies/*'
  bascule role create "Night shift" --replace --action '*/read'"""
)
@click.argument("name")
@click.option(
    "--action",
    "actions",
    multiple=True,
    required=True,
    metavar="ACTION",
    help="An action that it allows; repeatable.",
)
@click.option(
    "--not-action", "not_actions", multiple=True, metavar="ACTION", help="An exception; repeatable."
)
@click.option("--description", default="", metavar="TEXT", help="Description.")
@click.option("--replace", is_flag=True, help="Change an existing role, for all its holders.")
@scope_options
@output_option
def create(
    name: str,
    actions: tuple[str, ...],
    not_actions: tuple[str, ...],
    description: str,
    replace: bool,
    machine: str | None,
    resource_group: str | None,
    scope: str | None,
    output: str,
) -> None:
    """Create a custom role.

    It can be assigned everywhere, or only at the given scope. An action is Provider/type/verb;
    * stands for anything, and must be quoted in a shell.
    """
    permission = Permission(actions, not_actions)
    with connect() as connection:
        at = find_scope(connection, machine, resource_group, scope)
        before = _same_name(connection, name) if replace else None
        role_id = before.id if before else ""
        made = roles.put_role(connection, name, description, permission, [at], role_id)
    if output == "json":
        emit_json(_role_json(made))
    else:
        say(f"{made.name} {'changed' if before else 'made'}, {made.id}")
    for pattern in unmatched(actions):
        note(f"{pattern} matches no action that Bascule uses. Is it spelt correctly?")


def _same_name(connection: Connection, name: str) -> RoleDefinition | None:
    return next(iter(roles.list_roles(connection, name)), None)


@role.command(
    "create-requestor",
    epilog="""\b
Examples:
  bascule role create-requestor
  bascule role create-requestor --assign anna@example.com --machine web-1
  bascule role create-requestor --for-api-only --name CI --assign deployer""",
)
@click.option("--name", default=REQUESTOR, show_default=True, help="The role's name.")
@click.option("--for-api-only", is_flag=True, help="Omit permissions needed only for browsing.")
@click.option("--assign", "principal", metavar="PRINCIPAL", help="Assign it to this principal.")
@scope_options
@output_option
def create_requestor(
    name: str,
    for_api_only: bool,
    principal: str | None,
    machine: str | None,
    resource_group: str | None,
    scope: str | None,
    output: str,
) -> None:
    """Create the least powerful role that can request access.

    It is the role of Set-JitLeastPrivilegedRole in Azure's how-to. It can be assigned
    everywhere; --machine, --resource-group and --scope limit where --assign assigns it. An
    existing role with this name and the same actions is used as it is.
    """
    if principal is None and any(each is not None for each in (machine, resource_group, scope)):
        raise InvalidInput("A scope needs a principal to assign the role to: --assign PRINCIPAL.")
    permission = Permission(FOR_API if for_api_only else FOR_PEOPLE)
    with connect() as connection:
        # What is named is looked up first, so that a wrong name makes nothing.
        at = find_scope(connection, machine, resource_group, scope)
        who = principal_id(connection, principal) if principal is not None else None
        made, is_new = _requestor_role(connection, name, permission)
        given = _give(connection, at, made, *who) if who is not None else None
        where = scope_words(connection, at)
    if output == "json":
        emit_json(
            {"role": _role_json(made), "assignment": _assignment_json(given) if given else None}
        )
        return
    say(f"{made.name} {'made' if is_new else 'is there'}, {made.id}")
    if given is not None:
        say(f"{_whose(given)} may request access: {where}")
    else:
        words = command_words(["bascule", "role", "assign", made.name])
        note(f"Next: {words} PRINCIPAL --machine MACHINE")


def _requestor_role(
    connection: Connection, name: str, permission: Permission
) -> tuple[RoleDefinition, bool]:
    before = _same_name(connection, name)
    if before is None:
        whole = find_scope(connection, None, None, None)
        made = roles.put_role(connection, name, REQUESTOR_DESCRIPTION, permission, [whole])
        return made, True
    if before.permissions != (permission,):
        raise Conflict(
            f"The role {name!r} exists already and allows something else. It was not changed.",
            code="RoleDefinitionWithSameNameExists",
            advice="Choose another name with --name NAME. To see what it allows: "
            + command_words(["bascule", "role", "show", name]),
        )
    return before, False


@role.command(epilog='\b\nExamples:\n  bascule role delete "Night shift"')
@click.argument("name")
@yes_option
def delete(name: str, is_sure: bool) -> None:
    """Delete a custom role that nobody holds any more."""
    with connect() as connection:
        found = find_role(connection, name)
        confirm(f"The role {found.name} is deleted.", is_sure=is_sure)
        roles.delete_role(connection, found)
    say(f"{found.name} is deleted")


# -- assignments -------------------------------------------------------------------------


@role.command(
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
        given = _give(connection, at, found, *who, description)
        where = scope_words(connection, at)
    if output == "json":
        emit_json(_assignment_json(given))
        return
    say(f"{_whose(given)} is {found.name}: {where}")
    note(f"To remove it: bascule role unassign {given.id}")


def _give(
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


@role.command(
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
        words = f"{_whose(found)} loses {found.role or found.role_id}: {where}"
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


@role.command(
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
        emit_json([_assignment_json(each) for each in found])
        return
    if not found:
        note("There are no assignments that you may see.")
        return
    rows = [
        [_whose(each), each.principal_kind, each.role or each.role_id, place, each.id]
        for each, place in zip(found, places, strict=True)
    ]
    print_table(["WHO", "KIND", "ROLE", "WHERE", "ID"], rows)


@role.command(
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
                "by": [_assignment_json(each) for each in found.paths],
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


# -- as JSON and words -------------------------------------------------------------------


def _kind(found: RoleDefinition) -> str:
    return "built in" if found.is_builtin else "custom"


def _whose(assignment: Assignment) -> str:
    return assignment.principal or assignment.principal_id


def _role_json(found: RoleDefinition) -> dict[str, object]:
    return {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "builtIn": found.is_builtin,
        "permissions": [
            {"actions": list(each.actions), "notActions": list(each.not_actions)}
            for each in found.permissions
        ],
        "assignableScopes": [str(scope) for scope in found.assignable_scopes],
    }


def _assignment_json(assignment: Assignment) -> dict[str, object]:
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
