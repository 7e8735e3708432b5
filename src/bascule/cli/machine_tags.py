"""``bascule machine tag``: what a machine is marked with, as in env=prod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from bascule.cli.connect import connect
from bascule.cli.find import find_machine
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, output_option, say
from bascule.client import machines as inventory
from bascule.domain.classify import MANAGED_TAG
from bascule.errors import InvalidInput, PreconditionFailed

if TYPE_CHECKING:  # its libraries are slow to load
    from bascule.client.connection import Connection
    from bascule.client.machines import Machine

MOST_TRIES = 5  # each after somebody else changed the machine between reading and writing


@click.command(
    epilog="""\b
Examples:
  bascule machine tag web-1
  bascule machine tag web-1 env=prod tier=front
  bascule machine tag web-1 --remove tier"""
)
@click.argument("name", type=MACHINE)
@click.argument("tags", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--remove", "removed", multiple=True, metavar="KEY", help="Remove this tag; repeatable."
)
@output_option
def tag(name: str, tags: tuple[str, ...], removed: tuple[str, ...], output: str) -> None:
    """Set or remove tags of a machine; without any, show them.

    Other tags stay as they are. Names of tags have no case.
    """
    wanted = dict(_parsed(each) for each in tags)
    both = {each.casefold() for each in wanted} & {each.casefold() for each in removed}
    if both:
        raise InvalidInput(f"Tag {min(both)!r} is to be set and removed.", code="TagSetAndRemoved")
    with connect() as connection:
        found = inventory.get_machine(connection, find_machine(connection, name).id)
        if wanted or removed:
            found = _change(connection, found, wanted, removed)
    if output == "json":
        emit_json({"id": str(found.id), "name": found.name, "tags": dict(found.tags)})
        return
    for key, value in found.tags.items():
        say(f"{key}={value}")
    if not found.tags:
        say(f"{found.name} has no tags")


def _change(
    connection: Connection, found: Machine, wanted: Mapping[str, str], removed: tuple[str, ...]
) -> Machine:
    """The machine with these tags changed; what somebody else changes meanwhile stays."""
    left = MOST_TRIES
    _check_there(found, removed)
    while True:
        left -= 1
        after = _changed(found.tags, wanted, removed)
        try:
            return inventory.put_machine(connection, found.id, tags=after, if_match=found.etag)[0]
        except PreconditionFailed:
            if not left:
                raise
        found = inventory.get_machine(connection, found.id)


def _parsed(text: str) -> tuple[str, str]:
    key, is_given, value = text.partition("=")
    if not is_given or not key.strip():
        raise InvalidInput(f"{text[:80]!r} is not a tag; write it as env=prod.", code="InvalidTag")
    if key.strip().casefold() == MANAGED_TAG:
        raise InvalidInput(
            f"The tag {MANAGED_TAG} says whether a machine's ports are managed.",
            code="TagIsOurs",
            advice="To change that: bascule machine add NAME --inventory-only, or --managed",
        )
    return key.strip(), value.strip()


def _check_there(found: Machine, removed: tuple[str, ...]) -> None:
    for key in removed:
        named = _named(found.tags, key)
        if not named:
            raise InvalidInput(
                f"{found.name} has no tag {key[:80]!r}.",
                code="TagNotFound",
                advice=f"To see its tags: bascule machine tag {found.name}",
            )
        if named == MANAGED_TAG:
            _parsed(f"{MANAGED_TAG}=")


def _named(tags: Mapping[str, str], key: str) -> str:
    """The tag as it is written there; empty: there is none of that name."""
    return next((each for each in tags if each.casefold() == key.strip().casefold()), "")


def _changed(
    tags: Mapping[str, str], wanted: Mapping[str, str], removed: tuple[str, ...]
) -> dict[str, str]:
    gone = {_named(tags, key) for key in removed}
    kept = {key: value for key, value in tags.items() if key not in gone}
    return {**kept, **{_named(kept, key) or key: value for key, value in wanted.items()}}
