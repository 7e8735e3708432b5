"""``bascule group``: groups of people and programs; what a group holds, its members hold."""

from __future__ import annotations

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.principal import (
    find_member,
    find_principal,
    may_end_words,
    principal_json,
)
from bascule.cli.principal_commands import Kind, add_shared
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.client import principals
from bascule.client.principals import GROUPS, Principal


@click.group(
    epilog="""\b
Examples:
  bascule group add operators
  bascule group add-member operators anna@example.com"""
)
def group() -> None:
    """Groups of people and programs."""


def _json(found: Principal) -> dict[str, object]:
    return {**principal_json(found), "description": found.description}


add_shared(
    group,
    Kind(
        GROUPS,
        "a group",
        "operators",
        {
            "GROUP": lambda one, _: one.name,
            "DESCRIPTION": lambda one, _: one.description,
            "ID": lambda one, _: one.id,
        },
        delete_help="""Delete a group with its roles.

        Its members stay, and lose the rights that it gave them.
        """,
        deleted="is deleted, with its roles.",
        json=_json,
        ends=may_end_words,
        signs_in=False,
    ),
)


@group.command(epilog="\b\nExamples:\n  bascule group show operators")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one group and its members."""
    with connect() as connection:
        found = find_principal(connection, GROUPS, name)
        members = principals.list_members(connection, found.id)
    if output == "json":
        listed = [
            {
                "id": each.id,
                "kind": each.kind,
                "name": each.name,
                "provider": each.provider or None,
                "providerName": each.provider_name or None,
            }
            for each in members
        ]
        emit_json({**_json(found), "members": listed})
        return
    say(f"group      {found.name}")
    if found.description:
        say(f"           {found.description}")
    say(f"id         {found.id}")
    say("")
    if members:
        print_table(
            ["MEMBER", "KIND", "BY", "ID"],
            [
                [each.name, each.kind, each.provider_name or each.provider or "hand", each.id]
                for each in members
            ],
        )
    else:
        say(f"members    none; add one: bascule group add-member {found.name} NAME")


@group.command(epilog="\b\nExamples:\n  bascule group add operators --description 'People on call'")
@click.argument("name")
@click.option("--description", default="", metavar="TEXT", help="Description.")
@output_option
def add(name: str, description: str, output: str) -> None:
    """Add an empty group."""
    with connect() as connection:
        made = principals.create_principal(
            connection, GROUPS, {"displayName": name, "description": description}
        )
    if output == "json":
        emit_json(_json(made))
        return
    say(f"{made.name} added")
    note(f"Next: bascule group add-member {made.name} NAME, bascule role assign")


@group.command(
    "add-member", epilog="\b\nExamples:\n  bascule group add-member operators anna@example.com"
)
@click.argument("name")
@click.argument("member")
def add_member(name: str, member: str) -> None:
    """Add MEMBER to the group NAME.

    MEMBER is a user or service principal, by name or id. You must hold all rights of the group.
    """
    with connect() as connection:
        found = find_principal(connection, GROUPS, name)
        who = find_member(connection, member)
        is_new = principals.add_member(connection, found.id, who.id)
    say(f"{who.name} is {'now' if is_new else 'already'} in {found.name}")


@group.command(
    "remove-member",
    epilog="\b\nExamples:\n  bascule group remove-member operators anna@example.com",
)
@click.argument("name")
@click.argument("member")
@yes_option
def remove_member(name: str, member: str, is_sure: bool) -> None:
    """Remove MEMBER from the group NAME.

    Ports that MEMBER opened by a right from this group alone close at once.
    """
    with connect() as connection:
        found = find_principal(connection, GROUPS, name)
        who = find_member(connection, member)
        confirm(
            f"{who.name} is removed from {found.name}. {may_end_words(who.live_grants)}",
            is_sure=is_sure,
        )
        is_done = principals.remove_member(connection, found.id, who.id)
    say(f"{who.name} is {'no longer' if is_done else 'not'} in {found.name}")
