"""``bascule ssh-config``: lines by which plain ``ssh web-1`` asks for access by itself.

Source: ssh_config(5), Match. The command of an ``exec`` is run for each ssh to that name;
when it fails, the block does not hold and ssh ends without having a host to go to. Names
are literal and checked (EDGES A18): no token like %h reaches a shell. ``host`` is the
name after the block before has set an address, so that a second family is looked at only
when the first did not hold.

Where a gateway leads to a machine, its public address and port are known only when access is
granted. ``exec`` writes them to a file that the next line includes: ssh reads a file where its
``Include`` stands, after the ``exec`` before it has ended, and takes the first value of each option.
Without the file, because nothing leads there, the machine's own address below holds.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from bascule.cli.asking import ssh_port
from bascule.cli.connect import connect
from bascule.cli.find import find_machine
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import note
from bascule.cli.show import SSH_PORT
from bascule.cli.ssh_prepare import door_file
from bascule.client.machines import Machine, list_machines
from bascule.client.policies import MachineRules, list_policies
from bascule.domain.ids import is_name
from bascule.domain.net import Address, parse_address
from bascule.errors import BasculeError, ConfigurationError, InvalidInput

_PLAIN = re.compile(r"[^*?\[\]%$\"\\\x00-\x1f]+")
_HEAD = """\
# Made by 'bascule ssh-config'. Put it where ssh reads it:
#   bascule ssh-config > ~/.ssh/bascule.conf
# and this line at the top of ~/.ssh/config:
#   Include bascule.conf
# From then on 'ssh web-1' requests access when needed, waits until the port is open,
# and connects. If a policy requires a reason, you are asked for it; without a terminal
# use BASCULE_WHY: BASCULE_WHY="ticket 4711" scp file web-1:
# Generate it again when a machine is added or its own address changes.
"""


@click.command(
    "ssh-config",
    epilog="""\b
Examples:
  bascule ssh-config > ~/.ssh/bascule.conf        then Include it in yours
  bascule ssh-config web-1 > ~/.ssh/bascule.conf  only for web-1
  ssh web-1                                       requests, waits, connects""",
)
@click.argument("machines", nargs=-1, type=MACHINE)
def ssh_config(machines: tuple[str, ...]) -> None:
    """Print ssh_config lines that make plain ssh request access by itself.

    Default: all machines that a policy covers.
    """
    with connect() as connection:
        named = {each.machine_id: each for each in list_policies(connection)}
        chosen = (
            [find_machine(connection, each) for each in machines]
            if machines
            else [each for each in list_machines(connection) if each.id in named]
        )
    program = this_program()
    click.echo(_HEAD)
    names = [each.name.casefold() for each in chosen]
    for machine in chosen:
        if names.count(machine.name.casefold()) > 1:
            note(f"left out: {machine.id}: another machine has the same name")
            continue
        try:
            block = "\n".join(_blocks(machine, named.get(machine.id), program))
        except BasculeError as error:
            note(f"left out: {machine.name}: {error.message}")
            continue
        click.echo(block + "\n")


def _blocks(machine: Machine, rules: MachineRules | None, program: str) -> Iterator[str]:
    """The lines for one machine: a block a family, or why there is none."""
    name = machine.name
    if not is_name(name):
        raise InvalidInput("its name cannot be used in an ssh_config")
    if rules is None:
        raise InvalidInput("no policy covers it")
    port = ssh_port(rules)
    first: dict[int, Address] = {}
    for text in machine.addresses:
        parsed = parse_address(text)
        first.setdefault(parsed.version, parsed)
    if not first and not machine.closed_at:  # a gateway may lead to one without an address
        raise InvalidInput(f"it has no address (bascule machine add {name} --address ADDRESS)")
    ways: list[tuple[int, Address | None]] = [*first.items()] or [(0, None)]
    for place, (version, address) in enumerate(ways):
        criteria = f"originalhost {name}" + (f" host {name}" if place else "")
        words = [f"{program} ssh-prepare {name}"]
        words += [f"-p {port}"] if port != SSH_PORT else []
        words += [f"--family {version}"] if len(first) > 1 else []
        words += ["--live-only"] if place else []
        yield f'Match {criteria} exec "{" ".join(words)}"'
        yield f'    Include "{_plain(door_file(name))}"'
        if address is not None:
            yield f"    HostName {address}"
        yield f"    HostKeyAlias {name}"
        if port != SSH_PORT:
            yield f"    Port {port}"


def _plain(path: Path) -> Path:
    """Its letters mean themselves to ssh: no pattern, token, variable or quote is among them."""
    if not _PLAIN.fullmatch(str(path)):
        raise ConfigurationError(f"The path {path} cannot be used in an ssh_config.")
    return path


def this_program() -> str:
    """How ssh's shell is to start us: an absolute path, with the configuration in use."""
    started = Path(sys.argv[0])
    found = started if started.name == "bascule" and started.exists() else None
    path = str(found.resolve() if found else shutil.which("bascule") or "")
    if not path:
        raise ConfigurationError(
            "The bascule program was not found, so ssh could not start it.",
            advice="Put it on your PATH.",
        )
    configured = os.environ.get("BASCULE_CONFIG")
    words = [path]
    if configured:
        words = ["env", f"BASCULE_CONFIG={Path(configured).absolute()}", path]
    command = shlex.join(words)
    if '"' in command or "\n" in command:
        raise ConfigurationError(f"The path {path} cannot be used in an ssh_config.")
    return command.replace("%", "%%")  # ssh_config(5), TOKENS
