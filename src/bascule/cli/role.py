"""``bascule role``: what may be done; who may do it where is in ``cli.role_assignments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.role_assignments import (
    assign,
    assignment_json,
    assignments,
    check,
    give,
    unassign,
    whose,
)
from bascule.cli.role_check import unmatched
from bascule.cli.role_find import (
    command_words,
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
)
from bascule.domain.roles import Permission, RoleDefinition
from bascule.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from bascule.client.connection import Connection


@click.group(
    epilog="""\b
Examples:
  bascule role create-requestor --assign anna@example.com --machine web-1
  bascule role assign Reader auditors
  bascule role check anna@example.com Microsoft.Compute/virtualMachines/read"""
)
def role() -> None:
    """Roles and role assignments."""


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
    print_table(["ROLE", "KIND", "DESCRIPTION", "ID"], rows)


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
        say(f"{made.name} {'changed' if before else 'created'}, {made.id}")
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
        given = give(connection, at, made, *who) if who is not None else None
        where = scope_words(connection, at)
    if output == "json":
        emit_json(
            {"role": _role_json(made), "assignment": assignment_json(given) if given else None}
        )
        return
    say(f"{made.name} {'created' if is_new else 'exists already'}, {made.id}")
    if given is not None:
        say(f"{whose(given)} may request access: {where}")
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


def _kind(found: RoleDefinition) -> str:
    return "built in" if found.is_builtin else "custom"


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


for _each in (assign, unassign, assignments, check):
    role.add_command(_each)
