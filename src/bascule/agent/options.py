"""What the commands on a host share: their options, and how they print."""

from __future__ import annotations

from pathlib import Path

import click

from bascule.client.host_agent import DEFAULT_STATE, find_control
from bascule.domain.plain import clean

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_STATE,
    show_default=True,
    help="The agent's state directory, with its key.",
)
guard_option = click.option(
    "--guard",
    type=click.Path(path_type=Path, readable=False),
    default=Path("/etc/bascule/guard.toml"),
    show_default=True,
    help="This host's limits on what any server may open.",
)
control_option = click.option(
    "--control",
    type=click.Path(path_type=Path, readable=False),
    default=None,
    help="The agent's control socket. Default: in the state directory, or /run/bascule.",
)


def control_at(control: Path | None, state: Path) -> Path:
    """Where the agent that a command is for listens."""
    return control if control is not None else find_control(state)


def show(line: str) -> None:
    """On a terminal of root's; ids and reasons in it may be of a server that lies."""
    click.echo(clean(line))
