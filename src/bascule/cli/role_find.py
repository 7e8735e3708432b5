"""From what was typed to what is meant, for ``bascule role``: roles, principals, scopes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bascule.cli.find import find_machine
from bascule.cli.parameters import MACHINE
from bascule.cli.principal import find_principal
from bascule.client import roles
from bascule.client.principals import GROUPS, SERVICES, USERS, Principal
from bascule.domain.ids import is_guid, is_resource_group_name
from bascule.domain.roles import RoleDefinition
from bascule.domain.scopes import Scope, group_scope, resource_scope
from bascule.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from bascule.client.connection import Connection

F = TypeVar("F", bound=Callable[..., Any])


def scope_options(command: F) -> F:
    """``--machine``, ``--resource-group`` or ``--scope``: at most one of them."""
    for option in (
        click.option("--scope", metavar="ID", help="At the resource with this full ARM id."),
        click.option("--resource-group", metavar="NAME", help="At this resource group."),
        click.option("--machine", type=MACHINE, help="At this machine."),
    ):
        command = option(command)
    return command


def find_scope(
    connection: Connection, machine: str | None, resource_group: str | None, scope: str | None
) -> Scope:
    """The scope that was named; the whole subscription when none was."""
    if sum(each is not None for each in (machine, resource_group, scope)) > 1:
        raise InvalidInput("Give only one of --machine, --resource-group and --scope.")
    if machine is not None:
        return resource_scope(find_machine(connection, machine).id)
    if resource_group is not None:
        if not is_resource_group_name(resource_group):
            raise InvalidInput(f"{resource_group[:90]!r} is not a valid resource group name.")
        return group_scope(connection.subscription_id, resource_group)
    return Scope.parse(connection.subscription if scope is None else scope, "--scope")


def scope_words(connection: Connection, scope: Scope) -> str:
    """A scope as people say it: the subscription, a group's name, the last name of a resource."""
    parts = scope.text.split("/")
    if scope.text.casefold() == connection.subscription.casefold():
        return "the whole subscription"
    return f"resource group {parts[-1]}" if len(parts) == 5 else parts[-1]


def find_role(connection: Connection, wanted: str) -> RoleDefinition:
    """A role by its name or id; raises NotFound with the names that there are."""
    if is_guid(wanted):
        return roles.get_role(connection, wanted.lower())
    found = roles.list_roles(connection, wanted)
    if not found:
        known = ", ".join(sorted(each.name for each in roles.list_roles(connection)))
        raise NotFound(
            f"There is no role {wanted!r} that you may see.",
            advice=f"You may see: {known or 'none'}.",
        )
    return found[0]


def find_anybody(connection: Connection, wanted: str) -> Principal:
    """A user, group or service principal, by name or id.

    Raises NotFound, and InvalidInput when the name is one of several kinds: a role must not
    go to the wrong one.
    """
    found: list[Principal] = []
    for kind in (USERS, GROUPS, SERVICES):
        try:
            found.append(find_principal(connection, kind, wanted))
        except NotFound:
            continue
    if not found:
        raise NotFound(
            f"There is no user, group or service principal {wanted!r}.",
            advice="See: bascule user list, bascule group list, bascule sp list",
        )
    if len(found) > 1:
        raise InvalidInput(
            f"{len(found)} are called {wanted!r}. Give the id instead:",
            code="AmbiguousPrincipal",
            problems=[Problem("Candidate", each.id) for each in found],
        )
    return found[0]


def principal_id(connection: Connection, wanted: str) -> tuple[str, str]:
    """Id and name; an id is taken as it is, by whoever may not look principals up too."""
    if is_guid(wanted):
        return wanted.lower(), wanted.lower()
    found = find_anybody(connection, wanted)
    return found.id, found.name


def command_words(words: Sequence[str]) -> str:
    """Words as a shell takes them, whatever is in them."""
    return shlex.join(words)
