"""The commands that ``user``, ``group`` and ``sp`` share: list, disable, enable, delete.

Each kind says in a table what is its own: its columns and its sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.principal import (
    ends_words,
    find_principal,
    no_one_words,
    principal_json,
    state_words,
)
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.client import principals
from bascule.client.principals import Principal

_DELETE = """Delete {words} with all roles.

Memberships and credentials are deleted too, and open ports close at once. The audit record
stays.
"""
_DISABLE = """Sign {words} out and refuse further sign-ins.

The open ports close at once.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    path: str  # of the API
    words: str  # in help: a user
    example: str
    columns: Mapping[str, Callable[[Principal, datetime], object]]  # of the list, by heading
    json: Callable[[Principal], dict[str, Any]] = principal_json
    delete_help: str = _DELETE
    deleted: str = "is deleted, with roles, memberships and credentials."
    ends: Callable[[int], str] = ends_words  # what becomes of so many open ports
    signs_in: bool = True


def add_shared(group: click.Group, kind: Kind) -> None:
    """Add ``list`` and ``delete``; of those that sign in, ``disable`` and ``enable`` too."""
    name = group.name or ""

    def examples(*lines: str) -> str:
        return "\b\nExamples:\n" + "\n".join(f"  bascule {name} {line}" for line in lines)

    @group.command(
        "list",
        help=f"List the {kind.words.partition(' ')[2]}s.",
        epilog=examples("list", "list -o json"),
    )
    @output_option
    def list_command(output: str) -> None:
        with connect() as connection:
            found = list(principals.list_principals(connection, kind.path))
            now = connection.now()
        if output == "json":
            emit_json([kind.json(each) for each in found])
            return
        if not found:
            note(no_one_words(kind.path, ["add", "NAME"]))
            return
        found.sort(key=lambda each: each.name.casefold())
        rows = [[column(each, now) for column in kind.columns.values()] for each in found]
        print_table(list(kind.columns), rows)

    @group.command(
        "delete",
        help=kind.delete_help.format(words=kind.words),
        epilog=examples(f"delete {kind.example} --yes"),
    )
    @click.argument("name")
    @yes_option
    def delete(name: str, is_sure: bool) -> None:
        with connect() as connection:
            found = find_principal(connection, kind.path, name)
            ends = kind.ends(found.live_grants)
            confirm(f"{found.name} {kind.deleted} {ends}", is_sure=is_sure)
            principals.delete_principal(connection, kind.path, found.id)
        say(f"{found.name} is deleted. {ends}")

    if kind.signs_in:
        _add_switches(group, kind, examples)


def _add_switches(group: click.Group, kind: Kind, examples: Callable[..., str]) -> None:
    @group.command(
        "disable",
        help=_DISABLE.format(words=kind.words),
        epilog=examples(f"disable {kind.example}"),
    )
    @click.argument("name")
    @yes_option
    def disable(name: str, is_sure: bool) -> None:
        with connect() as connection:
            found = find_principal(connection, kind.path, name)
            ends = kind.ends(found.live_grants)
            confirm(
                f"{found.name} is signed out everywhere and can no longer sign in. {ends}",
                is_sure=is_sure,
            )
            principals.change_principal(connection, kind.path, found.id, {"accountEnabled": False})
        say(f"{found.name} is disabled. {ends}")

    @group.command(
        "enable",
        help=f"Let {kind.words} sign in again.",
        epilog=examples(f"enable {kind.example}"),
    )
    @click.argument("name")
    def enable(name: str) -> None:
        with connect() as connection:
            found = find_principal(connection, kind.path, name)
            principals.change_principal(connection, kind.path, found.id, {"accountEnabled": True})
        say(f"{found.name} is enabled")


def state(principal: Principal, _: datetime) -> str:
    return state_words(principal)
