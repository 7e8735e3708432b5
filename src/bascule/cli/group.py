"""``bascule group``: groups of people and programs; what a group holds, its members hold."""

from __future__ import annotations

from datetime import timedelta

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.parameters import SPAN
from bascule.cli.principal import (
    find_member,
    find_principal,
    may_end_words,
    principal_json,
)
from bascule.cli.principal_commands import Kind, add_shared
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.show import until_words
from bascule.cli.spans import parse_until
from bascule.client import principals
from bascule.client.principals import GROUPS, Principal, membership_end
from bascule.domain.times import format_utc


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
        now = connection.now()
    if output == "json":
        listed = [
            {
                "id": each.id,
                "kind": each.kind,
                "name": each.name,
                "provider": each.provider or None,
                "providerName": each.provider_name or None,
                "expiresAt": format_utc(each.ends_at) if each.ends_at else None,
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
            ["MEMBER", "KIND", "BY", "UNTIL", "ID"],
            [
                [
                    each.name,
                    each.kind,
                    each.provider_name or each.provider or "hand",
                    until_words(each.ends_at, now) if each.ends_at else "no end",
                    each.id,
                ]
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
    "add-member",
    epilog="""\b
Examples:
  bascule group add-member operators anna@example.com
  bascule group add-member oncall anna@example.com --for 8h
  bascule group add-member oncall anna@example.com --until 2030-01-31T08:00
  bascule group add-member oncall anna@example.com --no-end""",
)
@click.argument("name")
@click.argument("member")
@click.option(
    "--for",
    "span",
    type=SPAN,
    metavar="DURATION",
    help="How long the membership lasts from now: 30m, 8h, 7d. Default: it has no end.",
)
@click.option(
    "--until",
    metavar="TIME",
    default=None,
    help="Instead of --for, the end: 17:30, 2030-01-31T17:30, 2030-01-31T17:30:00Z.",
)
@click.option("--no-end", is_flag=True, help="Remove the end of a membership that has one.")
@output_option
def add_member(
    name: str, member: str, span: timedelta | None, until: str | None, no_end: bool, output: str
) -> None:
    """Add MEMBER to the group NAME, or move its end there.

    MEMBER is a user or service principal, by name or id. You must hold all rights of the group. At
    the end the membership ends by itself, with all access that rests on it. Without an option, the
    end of a membership stays as it is.
    """
    if sum((span is not None, until is not None, no_end)) > 1:
        raise click.UsageError("Give only one of --for, --until and --no-end.")
    with connect() as connection:
        found = find_principal(connection, GROUPS, name)
        who = find_member(connection, member)
        body = None
        if span is not None:
            body = membership_end(connection.now() + span)
        elif until is not None:
            body = membership_end(parse_until(until, connection.now(), "--until"))
        elif no_end:
            body = membership_end(None)
        made, is_new = principals.add_member(connection, found.id, who.id, body)
        now = connection.now()
    if output == "json":
        emit_json(
            {
                "group": found.name,
                "id": made.id,
                "kind": made.kind,
                "name": who.name,
                "expiresAt": format_utc(made.ends_at) if made.ends_at else None,
                "isNew": is_new,
            }
        )
        return
    end = f" until {until_words(made.ends_at, now)}" if made.ends_at else ""
    is_moved = body is not None and not is_new
    here = f"{who.name} is {'now' if is_new or is_moved else 'already'} in {found.name}"
    say(here + (end or (", without an end" if is_moved else "")))


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
