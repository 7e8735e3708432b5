"""``bascule session``: which browsers and programs are signed in, and the end of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.principal import find_principal
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.spans import show_minute
from bascule.client import sign_ins
from bascule.client.principals import USERS
from bascule.client.sign_ins import LiveSignIn
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from bascule.client.connection import Connection

_SHORT = 8  # characters of an id that are shown, and that mostly tell it from the others

_USER = click.option(
    "--user", "user_name", default="", metavar="NAME", help="Of this user instead of your own."
)


@click.group(
    epilog="""\b
Examples:
  bascule session list
  bascule session end 3f2a91bc
  bascule session end-others"""
)
def session() -> None:
    """Signed-in browsers and programs."""


@session.command(
    "list",
    epilog="\b\nExamples:\n  bascule session list\n  bascule session list --user anna@example.com",
)
@_USER
@output_option
def list_command(user_name: str, output: str) -> None:
    """List your sign-ins, or those of a user."""
    with connect() as connection:
        found = sign_ins.list_sign_ins(connection, _id_of(connection, user_name))
        now = connection.now()
    if output == "json":
        emit_json([_json(each) for each in found])
        return
    if not found:
        note(f"{user_name or 'Nobody'} is not signed in anywhere.")
        return
    rows = [
        [
            each.id[:_SHORT],
            (each.client or each.user_agent or each.kind)[:60],
            each.seen_from,
            show_minute(each.seen_at, now),
            show_minute(each.began_at, now),
            " ".join(each.methods),
            "this one" if each.is_current else "",
        ]
        for each in found
    ]
    print_table(["ID", "BROWSER OR PROGRAM", "FROM", "LAST USED", "SINCE", "BY", ""], rows)


@session.command(
    epilog="""\b
Examples:
  bascule session end 3f2a91bc
  bascule session end 3f2a91bc --user anna@example.com"""
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@_USER
def end(ids: Sequence[str], user_name: str) -> None:
    """Sign out browsers or programs by their ID.

    The first characters of an ID are enough if they are unique.
    """
    with connect() as connection:
        user_id = _id_of(connection, user_name)
        live = sign_ins.list_sign_ins(connection, user_id)
        ended = dict.fromkeys(_find(live, wanted) for wanted in ids)
        for each in sorted(ended, key=lambda one: one.is_current):  # it needs itself until then
            sign_ins.end_sign_in(connection, each.id, user_id)
            say(f"{each.client or each.user_agent or each.kind} is signed out")


@session.command(
    "end-others",
    epilog="\b\nExamples:\n  bascule session end-others\n  bascule session end-others -y",
)
@yes_option
def end_others(is_sure: bool) -> None:
    """Sign out all of your other browsers and programs."""
    with connect() as connection:
        confirm("All your other browsers and programs are signed out.", is_sure=is_sure)
        ended = sign_ins.end_other_sign_ins(connection)
    say(f"{ended} signed out; this one stays")


@session.command(
    "sign-out", epilog="\b\nExamples:\n  bascule session sign-out anna@example.com --yes"
)
@click.argument("name")
@yes_option
def sign_out(name: str, is_sure: bool) -> None:
    """Sign a user out everywhere.

    Open ports stay open, and the user may sign in again. To prevent that: bascule user disable.
    """
    with connect() as connection:
        found = find_principal(connection, USERS, name)
        confirm(f"{found.name} is signed out of every browser and program.", is_sure=is_sure)
        sign_ins.sign_out(connection, found.id)
    say(f"{found.name} is signed out everywhere")


def _id_of(connection: Connection, user_name: str) -> str:
    return find_principal(connection, USERS, user_name).id if user_name else ""


def _find(live: Sequence[LiveSignIn], wanted: str) -> LiveSignIn:
    found = [each for each in live if each.id.startswith(wanted.lower())]
    if not found:
        raise NotFound(
            f"There is no sign-in whose id begins with {wanted[:64]!r}.",
            advice="See: bascule session list",
        )
    if len(found) > 1:
        raise InvalidInput(
            f"{len(found)} ids begin with {wanted[:64]!r}. Give more characters:",
            code="AmbiguousSignIn",
            problems=[Problem("Candidate", each.id) for each in found],
        )
    return found[0]


def _json(each: LiveSignIn) -> dict[str, object]:
    return {
        "id": each.id,
        "kind": each.kind,
        "client": each.client or None,
        "userAgent": each.user_agent,
        "methods": list(each.methods),
        "address": each.address,
        "beganAt": format_utc(each.began_at),
        "lastSeenAt": format_utc(each.seen_at),
        "lastSeenFrom": each.seen_from,
        "endsAt": format_utc(each.ends_at),
        "current": each.is_current,
    }
