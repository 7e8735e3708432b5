"""``bascule machine tag``: what a machine is marked with, as in env=prod."""

from __future__ import annotations

from collections.abc import Mapping

import click

from bascule.cli.connect import connect
from bascule.cli.find import find_machine
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, output_option, say
from bascule.client import machines as inventory
from bascule.domain.classify import MANAGED_TAG
from bascule.errors import InvalidInput


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
            after = _changed(found.tags, wanted, removed, found.name)
            found, _ = inventory.put_machine(connection, found.id, tags=after)
    if output == "json":
        emit_json({"id": str(found.id), "name": found.name, "tags": dict(found.tags)})
        return
    for key, value in found.tags.items():
        say(f"{key}={value}")
    if not found.tags:
        say(f"{found.name} has no tags")


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


def _changed(
    tags: Mapping[str, str], wanted: Mapping[str, str], removed: tuple[str, ...], machine: str
) -> dict[str, str]:
    kept = dict(tags)
    for key in removed:
        gone = [each for each in kept if each.casefold() == key.strip().casefold()]
        if not gone:
            raise InvalidInput(
                f"{machine} has no tag {key[:80]!r}.",
                code="TagNotFound",
                advice=f"To see its tags: bascule machine tag {machine}",
            )
        if gone[0] == MANAGED_TAG:
            _parsed(f"{MANAGED_TAG}=")
        kept.pop(gone[0])
    for key, value in wanted.items():
        named = next((each for each in kept if each.casefold() == key.casefold()), key)
        kept[named] = value
    return kept
