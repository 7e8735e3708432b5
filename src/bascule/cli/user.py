"""``bascule user``: people, and whether they may sign in."""

from __future__ import annotations

import click

from bascule.cli.connect import connect
from bascule.cli.principal import (
    find_principal,
    principal_json,
    read_password,
    state_words,
)
from bascule.cli.principal_commands import Kind, add_shared, state
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.cli.spans import show_instant
from bascule.client import principals
from bascule.client.principals import USERS
from bascule.domain.passwords import problems_of
from bascule.errors import InvalidInput

_STDIN = click.option(
    "--password-stdin", "is_from_stdin", is_flag=True, help="Read the password from stdin."
)


@click.group(
    epilog="""\b
Examples:
  bascule user add anna@example.com --display-name "Anna A."
  bascule user set-password anna@example.com
  bascule user disable anna@example.com"""
)
def user() -> None:
    """People who sign in."""


add_shared(
    user,
    Kind(
        USERS,
        "a user",
        "anna@example.com",
        {
            "USER": lambda one, _: one.name,
            "DISPLAY NAME": lambda one, _: one.display_name,
            "STATE": state,
            "ID": lambda one, _: one.id,
        },
    ),
)


@user.command(epilog="\b\nExamples:\n  bascule user show anna@example.com")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one user, and how many ports they have open."""
    with connect() as connection:
        found = find_principal(connection, USERS, name)
        now = connection.now()
    if output == "json":
        emit_json(principal_json(found))
        return
    say(f"user       {found.name} ({found.display_name})")
    say(f"state      {state_words(found)}")
    say(f"open       {found.live_grants}")
    if found.created_at is not None:
        say(f"since      {show_instant(found.created_at, now)}")
    say(f"id         {found.id}")


@user.command(
    epilog="""\b
Examples:
  bascule user add anna@example.com --display-name "Anna A."
  pass anna | bascule user add anna@example.com --password-stdin"""
)
@click.argument("name")
@click.option("--display-name", default="", metavar="TEXT", help="Name to show. Default: NAME.")
@_STDIN
@output_option
def add(name: str, display_name: str, is_from_stdin: bool, output: str) -> None:
    """Add a user. NAME is preferably an e-mail address.

    A new user has no rights. Set a password here or with set-password, and give them a role
    with bascule role assign, or add them to a group that has one.
    """
    password = read_password(is_from_stdin=True) if is_from_stdin else ""
    if is_from_stdin:  # before the user is there: nothing is done by halves
        problems = problems_of(password, (name, display_name))
        if problems:
            raise InvalidInput.of(problems)
    with connect() as connection:
        made = principals.create_principal(
            connection, USERS, {"userPrincipalName": name, "displayName": display_name}
        )
        if is_from_stdin:
            principals.set_password(connection, made.id, password)
    if output == "json":
        emit_json(principal_json(made))
        return
    say(f"{made.name} added")
    first = "" if is_from_stdin else f"bascule user set-password {made.name}, "
    note(f"Next: {first}bascule role assign")


@user.command(
    "set-password",
    epilog="""\b
Examples:
  bascule user set-password anna@example.com
  pass anna | bascule user set-password anna@example.com --password-stdin
  bascule user set-password                   your own""",
)
@click.argument("name", required=False)
@_STDIN
def set_password(name: str | None, is_from_stdin: bool) -> None:
    """Set a user's password, or your own without a NAME.

    Sign-ins with the old password end. Setting your own needs the current password too; on
    stdin it is the first line, and the new one the second.
    """
    with connect() as connection:
        if name is None:
            present = (
                read_password(is_from_stdin=True)
                if is_from_stdin
                else click.prompt("Present password", hide_input=True, err=True)
            )
            password = read_password(is_from_stdin=is_from_stdin)
            principals.set_own_password(connection, present, password)
            say("Your password is set; sign in again: bascule login")
            return
        found = find_principal(connection, USERS, name)
        password = read_password(is_from_stdin=is_from_stdin)
        principals.set_password(connection, found.id, password)
    say(f"The password of {found.name} is set; sign-ins with the old one are ended")
