"""``bascule machine managed-by``: what manages a gateway instead of Bascule."""

from __future__ import annotations

import click

from bascule.cli.connect import connect
from bascule.cli.find import find_machine
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.client import fleet
from bascule.domain.machine import BASCULE


@click.command(
    "managed-by",
    epilog="""\b
Examples:
  bascule machine managed-by gw-1 FortiManager
  bascule machine managed-by gw-1 Bascule
  bascule machine managed-by gw-1 --nobody -o json""",
)
@click.argument("gateway", type=MACHINE)
@click.argument("what", required=False)
@click.option("--nobody", is_flag=True, help="Nobody says: what the gateway's agent finds decides.")
@output_option
def managed_by(gateway: str, what: str | None, nobody: bool, output: str) -> None:
    """Say what manages GATEWAY instead of Bascule.

    Machines behind it are then unsupported: no access to them can be configured or requested anew.
    What is closed stays closed, and open access lasts until its end.

    The gateway's agent may find that something else manages its traffic, such as a flow table. With
    WHAT Bascule, such findings are only shown.
    """
    if (what is None or not what.strip()) is not nobody:
        raise click.UsageError("Name what manages it, or give --nobody.")
    with connect() as connection:
        point = find_machine(connection, gateway)
        kept, is_changed = fleet.manage_point(connection, point.id, what or "")
    if output == "json":
        emit_json({"gateway": str(point.id), "managedBy": kept, "isChanged": is_changed})
        return
    if not kept:
        say(f"What the agent of {point.name} finds says what manages it")
    elif kept == BASCULE:
        say(f"Bascule manages {point.name}, whatever its agent finds there")
    else:
        say(f"{point.name} is managed by {kept}")
        note("No access to the machines behind it can be requested. What is open ends on time.")
