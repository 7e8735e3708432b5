"""``bascule plan``: switch just-in-time access on or off, for all or for one resource group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.client import plans
from bascule.client.plans import Plan
from bascule.domain.ids import is_resource_group_name
from bascule.errors import Forbidden, InvalidInput

if TYPE_CHECKING:  # its libraries are slow to load
    from bascule.client.connection import Connection

group_option = click.option(
    "--group", default="", metavar="NAME", help="Only for this resource group. Default: for all."
)


@click.group(
    epilog="""\b
Examples:
  bascule plan show
  bascule plan off --group test"""
)
def plan() -> None:
    """Switch just-in-time access on or off."""


@plan.command(epilog="\b\nExamples:\n  bascule plan show\n  bascule plan show --group test -o json")
@group_option
@output_option
def show(group: str, output: str) -> None:
    """Show whether it is on."""
    _check(group)
    with connect() as connection:
        found = plans.get_plan(connection, group)
    _tell(found, group, output)


@plan.command(epilog="\b\nExamples:\n  bascule plan on\n  bascule plan on --group test")
@group_option
@output_option
def on(group: str, output: str) -> None:
    """Switch it on: ports that policies name can be requested again.

    Access that ended when it was switched off does not come back.
    """
    _check(group)
    with connect() as connection:
        found = plans.put_plan(connection, group, is_on=True)
    _tell(found, group, output)


@plan.command(epilog="\b\nExamples:\n  bascule plan off\n  bascule plan off --group test")
@group_option
@yes_option
@output_option
def off(group: str, is_sure: bool, output: str) -> None:
    """Switch it off: open access ends, and requests are refused.

    No port opens: closed ports stay closed.
    """
    _check(group)
    confirm(f"Everybody's access {_where(group)} ends at once.", is_sure=is_sure)
    with connect() as connection:
        found = plans.put_plan(connection, group, is_on=False)
    _tell(found, group, output)
    if output != "json" and not found.is_on:
        note(
            "Open access has ended; closed ports stay closed. To switch it on again: bascule "
            "plan on"
        )


@plan.command(epilog="\b\nExamples:\n  bascule plan inherit --group test")
@click.option("--group", required=True, metavar="NAME", help="The resource group.")
@yes_option
@output_option
def inherit(group: str, is_sure: bool, output: str) -> None:
    """Let a resource group follow the subscription's setting again."""
    _check(group)
    with connect() as connection:
        if not is_sure and _ends_by_it(connection, group):
            confirm(f"Everybody's access {_where(group)} ends at once.", is_sure=False)
        plans.reset_plan(connection, group)
        found = plans.get_plan(connection, group)
    _tell(found, group, output)


def _ends_by_it(connection: Connection, group: str) -> bool:
    """Is it on in the group and off for all? Where the latter may not be read, it may be."""
    try:
        return plans.get_plan(connection, group).is_on and not plans.get_plan(connection, "").is_on
    except Forbidden:
        return True


def _check(group: str) -> None:
    if group and not is_resource_group_name(group):
        raise InvalidInput(f"{group[:90]!r} is not a valid resource group name.", target="--group")


def _where(group: str) -> str:
    return f"in resource group {group}" if group else "in all resource groups"


def _tell(found: Plan, group: str, output: str) -> None:
    if output == "json":
        emit_json(
            {
                "resourceGroup": group or None,
                "isOn": found.is_on,
                "isInherited": found.is_inherited,
                "isEnforced": found.is_enforced,
            }
        )
        return
    where = _where(group) if group else "for the subscription"
    how = ", as for the subscription" if group and found.is_inherited else ""
    enforced = ", and no resource group can differ" if found.is_enforced else ""
    say(f"Just-in-time access is {'on' if found.is_on else 'off'} {where}{how}{enforced}.")
