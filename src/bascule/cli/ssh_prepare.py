"""What ``ssh`` runs, by the lines of ``bascule ssh-config``, before it connects."""

from __future__ import annotations

from pathlib import Path

import click

from bascule.cli.connect import connect
from bascule.cli.find import find_located
from bascule.cli.parameters import PORT_NUMBER
from bascule.cli.profile import token_path
from bascule.cli.reach import Wish, reach
from bascule.cli.show import SSH_PORT
from bascule.client.private_file import write_private
from bascule.domain.ids import parse_name
from bascule.domain.ways_in import Door
from bascule.errors import BasculeError, ConfigurationError


@click.command("ssh-prepare", hidden=True)
@click.argument("machine")
@click.option("-p", "--port", type=PORT_NUMBER, default=None)
@click.option("--family", type=click.Choice(["4", "6"]), default=None)
@click.option("--live-only", is_flag=True)
def ssh_prepare(machine: str, port: int | None, family: str | None, live_only: bool) -> int:
    """Make sure of access before ssh connects; used by the lines of ssh-config.

    Ends with 0 when the machine can be reached over that family. A family that was not
    granted is a quiet no: the next block is for the other one.
    """
    with connect() as connection:
        found = find_located(connection, machine)
        wish = Wish(port=port, is_live_only=live_only)
        try:
            way = reach(connection, found, wish).door
        except BasculeError as error:
            if live_only:
                return error.exit_code  # the first block has said it
            raise
    if family is not None and int(family) != way.address.version:
        return 1
    is_own = str(way.address) in found.addresses and way.number == (port or SSH_PORT)
    _leave_door(found.name, None if is_own else way)
    return 0


def _leave_door(name: str, way: Door | None) -> None:
    """For ssh to include: the public address and port; None: nothing leads there."""
    file = door_file(name)
    lines = f"HostName {way.address}\nPort {way.number}\n" if way is not None else ""
    try:
        if not lines:
            file.unlink(missing_ok=True)
        elif not file.is_file() or file.read_bytes() != lines.encode():
            write_private(file, lines)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}.",
            advice="ssh reads there which address and port lead to the machine. Free space, or make its "
            "folder writable for this account.",
        ) from None


def door_file(name: str) -> Path:
    """Where it stands, of a machine of that checked name."""
    return token_path().parent / "ssh" / parse_name(name, "Machine")
