"""``bascule agent accept-server``: root's word that a server with a lower number is the right one."""

from __future__ import annotations

from pathlib import Path

import click

from bascule.agent.options import control_at, control_option, show, state_option
from bascule.client.host_agent import tell_agent
from bascule.errors import Conflict


@click.command(
    "accept-server",
    short_help="Accept a server that was retired.",
    epilog="Example:\n\n\b\n  bascule agent accept-server",
)
@state_option
@control_option
def accept_server(state: Path, control: Path | None) -> None:
    """Accept the server although its record was moved elsewhere before.

    An agent takes nothing from a server whose installation number is lower than one that it was
    told before: that server has the record from before a move to another database. Use this when
    a backup from before the move is the record again. The agent must be running. This is reported.
    """
    told = tell_agent(control_at(control, state), {"command": "acceptServer"})
    if told["number"] is None:
        raise Conflict(
            "Nothing was changed: the agent does not refuse the server that it last heard from.",
            advice="If it has none yet, wait until it is connected: bascule agent status",
        )
    show(f"The server with installation number {told['number']} is accepted.")
