"""``bascule lab up|info|exec|shell|stop|start|down``.

What is not here: how it is done (``lifecycle``, ``launch``, ``info``).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from bascule.interfaces.driver import HostParts
from bascule.lab.topology import DEFAULT_LAB, MOST_REPLICAS, SERVER_PORT, Shape

if TYPE_CHECKING:
    from bascule.lab.state import LabState

_NAME = click.option(
    "--name", default=DEFAULT_LAB, show_default=True, metavar="LAB", help="Which lab."
)
_REST = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(
    epilog="""\b
Examples:
  bascule lab up --detach
  bascule lab exec client -- bascule ssh web-1
  bascule lab down"""
)
def lab() -> None:
    """Try Bascule on a small real network on this machine.

    It has a server, a client, a stranger, two machines with sshd and an agent, and a gateway with
    two more machines behind it, each in its own network namespace. Needs root, or user namespaces.
    """


@lab.command(
    epilog="""\b
Examples:
  bascule lab up
  bascule lab up --detach --name second --port 9443
  bascule lab up --detach --replicas 3 --postgresql"""
)
@_NAME
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=SERVER_PORT,
    show_default=True,
    help="Port on 127.0.0.1 of this machine for the lab's server.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, MOST_REPLICAS),
    default=1,
    show_default=True,
    help="Number of servers, behind a balancer; more than one needs --postgresql.",
)
@click.option(
    "--postgresql",
    is_flag=True,
    help="Keep the record in a PostgreSQL of the lab's own; installs Debian's package if missing.",
)
@click.option("--detach", is_flag=True, help="Return when the lab is up, and leave it running.")
@click.pass_obj
def up(
    parts: HostParts, name: str, port: int, replicas: int, postgresql: bool, detach: bool
) -> None:
    """Start a lab and print what to try. Without --detach, Ctrl-C stops it."""
    from bascule.lab import lifecycle

    if replicas > 1 and not postgresql:
        raise click.UsageError(
            "--replicas needs --postgresql: a file of SQLite belongs to one server alone."
        )
    launched = lifecycle.launch(
        name,
        port,
        Shape(replicas, postgresql),
        parts.firewall().needs.tools,
        is_tied=not detach,
        tell=_tell,
    )
    if launched is None:
        lifecycle.wait_until_running(name, _tell)
        click.echo(f"The lab {name} is running already.\n")
        click.echo(_guide(name))
        return
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        lifecycle.follow(launched, _tell)
        click.echo("\n" + _guide(name, is_held=not detach))
        if detach:
            return
        click.echo("\nCtrl-C here stops it.")
        code = lifecycle.hold(launched)
        click.echo(f"The lab {name} was stopped.", err=True)
        sys.exit(code)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave half of it
        click.echo(f"\nstopping the lab {name}", err=True)
        lifecycle.let_go(launched)
        lifecycle.take_down(name)


@lab.command(
    epilog="""\b
Examples:
  bascule lab info
  bascule lab info -o json"""
)
@_NAME
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output format; json is for programs.",
)
def info(name: str, output: str) -> None:
    """Show the lab's addresses, process ids and credentials."""
    from bascule.lab.info import render_table

    found = _info(name)
    click.echo(json.dumps(found, indent=2) if output == "json" else render_table(found))


@lab.command(
    name="exec",
    context_settings=_REST,
    epilog="""\b
Examples:
  bascule lab exec client -- bascule request web-1 --for 5m
  bascule lab exec web-1 -- nft list table inet bascule""",
)
@_NAME
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def exec_command(name: str, host: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on a HOST of the lab, and return its exit code."""
    if command[0] == "--":  # the parser stops at HOST and leaves it to us
        command = command[1:]
    if not command:
        raise click.UsageError("give a command to run: bascule lab exec HOST -- COMMAND")
    _become(name, host, command, {})


@lab.command(
    epilog="""\b
Example:
  bascule lab shell client"""
)
@_NAME
@click.argument("host")
def shell(name: str, host: str) -> None:
    """Open a shell on a HOST of the lab."""
    prompt = {"PS1": rf"[{host}.{name} \w]\$ "}
    if shutil.which("bash"):  # without its rc files, which would set another prompt
        _become(name, host, ("bash", "--norc", "--noprofile", "-i"), prompt)
    _become(name, host, ("sh", "-i"), {"PS1": f"[{host}.{name}]$ "})


@lab.command(
    epilog="""\b
Examples:
  bascule lab stop server-2
  bascule lab stop database --kill"""
)
@_NAME
@click.argument("program")
@click.option("--kill", is_flag=True, help="With SIGKILL, as in a crash.")
def stop(name: str, program: str, kill: bool) -> None:
    """Stop a PROGRAM of the lab until `bascule lab start`.

    A program is server, server-1, balancer, database, web-1/agent or web-1/sshd. A program
    that ends by itself is restarted after a second.
    """
    from bascule.lab import stopping
    from bascule.lab.folder import lab_folder

    stopping.stop(lab_folder(name), _state(name), program, is_killed=kill)
    click.echo(f"{program} is stopped; to start it: bascule lab start {program}")


@lab.command(
    epilog="""\b
Example:
  bascule lab start server-2"""
)
@_NAME
@click.argument("program")
def start(name: str, program: str) -> None:
    """Start a PROGRAM that `bascule lab stop` stopped."""
    from bascule.lab import stopping
    from bascule.lab.folder import lab_folder

    pid = stopping.start(lab_folder(name), _state(name), program)
    click.echo(f"{program} runs as process {pid}")


@lab.command(
    epilog="""\b
Example:
  bascule lab down"""
)
@_NAME
def down(name: str) -> None:
    """Stop a lab and remove everything that it made. Succeeds if there is none."""
    from bascule.lab import lifecycle

    done = lifecycle.take_down(name)
    click.echo(f"The lab {name} is down." if done else f"There is no lab {name}.")


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _state(name: str) -> LabState:
    from bascule.lab.lifecycle import running_state

    return running_state(name)


def _info(name: str) -> dict[str, object]:
    from bascule.lab.folder import lab_folder
    from bascule.lab.info import current_state, lab_info
    from bascule.lab.person import current_person

    topology = _state(name).topology
    state = current_state(name, topology)
    return lab_info(state, topology, lab_folder(name), current_person())


def _guide(name: str, *, is_held: bool = False) -> str:
    from bascule.lab.environment import bascule_command
    from bascule.lab.guide import render_guide

    own = bascule_command()[0]
    found = shutil.which("bascule")
    is_on_path = found is not None and os.path.realpath(found) == os.path.realpath(own)
    return render_guide(_info(name), "bascule" if is_on_path else own, is_held=is_held)


def _become(name: str, host: str, command: tuple[str, ...], extra: dict[str, str]) -> NoReturn:
    from bascule.lab.launch import become_command
    from bascule.lab.lifecycle import running_state
    from bascule.lab.person import current_person

    sys.exit(become_command(running_state(name), current_person(), host, command, extra))
