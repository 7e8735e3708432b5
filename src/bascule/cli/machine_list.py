"""``bascule machine list``: all machines, those with a tag, those whose agents are behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import click

from bascule.cli.connect import connect
from bascule.cli.machine_words import closed_words, guarded_words, machine_json, state_words
from bascule.cli.printing import emit_json, note, output_option, print_table
from bascule.client import machines as inventory
from bascule.client.machines import Machine
from bascule.domain.classify import has_tag
from bascule.spreadsheet import csv_line

_Column = Callable[[Machine, datetime], str]
_COLUMNS: Mapping[str, _Column] = {
    "MACHINE": lambda each, _: each.name,
    "ADDRESSES": lambda each, _: " ".join(each.addresses),
    "OS": lambda each, _: each.os_type,
    "STATE": lambda each, _: state_words(each),
    "AGENT": guarded_words,
    "CLOSED": lambda each, _: closed_words(each),
}
_CSV: Mapping[str, _Column] = {
    "machine": lambda each, _: each.name,
    "resourceGroup": lambda each, _: each.id.resource_group,
    "addresses": lambda each, _: " ".join(each.addresses),
    "osType": lambda each, _: each.os_type,
    "location": lambda each, _: each.location,
    "state": lambda each, _: each.state,
    "agentState": lambda each, _: each.point.state if each.point else "",
    "agentVersion": lambda each, _: each.point.agent_version if each.point else "",
    "isVersionBehind": lambda each, _: "true" if is_behind(each) else "false",
    "closedPorts": lambda each, _: " ".join(
        f"{port.number}/{port.protocol.lower()}" for port in each.closed_ports
    ),
    "tags": lambda each, _: "; ".join(f"{name}={value}" for name, value in each.tags.items()),
    "id": lambda each, _: str(each.id),
}


@click.command(
    "list",
    epilog="""\b
Examples:
  bascule machine list
  bascule machine list --tag env=prod
  bascule machine list --behind
  bascule machine list --csv > machines.csv""",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Only machines with this tag; repeatable: all of them must be there.",
)
@click.option("--behind", is_flag=True, help="Only machines whose agent is older than the server.")
@click.option("--csv", "is_csv", is_flag=True, help="Comma-separated values (RFC 4180).")
@output_option
def list_command(tags: tuple[str, ...], behind: bool, is_csv: bool, output: str) -> None:
    """List the machines with their agents and closed ports."""
    if is_csv and output == "json":
        raise click.UsageError("Give --csv or -o json, not both.")
    with connect() as connection:
        every = inventory.list_machines(connection)
        now = connection.now()
    known = [each for each in every if all(has_tag(each.tags, tag) for tag in tags)]
    if behind:
        known = [each for each in known if is_behind(each)]
    if output == "json":
        emit_json([machine_json(each) for each in known])
        return
    if is_csv:
        click.echo(csv_line(list(_CSV)), nl=False)
        for each in known:
            click.echo(csv_line([column(each, now) for column in _CSV.values()]), nl=False)
        return
    if not known:
        note(_none_words(every, tags, behind))
        return
    if behind:
        _tell_behind(known)
        return
    _tell(known, now)


def is_behind(machine: Machine) -> bool:
    """Is its agent older than the server?"""
    return machine.point is not None and machine.point.is_version_behind


def _none_words(every: Sequence[Machine], tags: Sequence[str], behind: bool) -> str:
    if not every:
        return (
            "There is no machine that you may see. To see a machine you need a role for it. To "
            "add one: bascule machine add NAME --address ADDRESS"
        )
    if tags:
        agents = " and an agent older than the server" if behind else ""
        return f"No machine that you may see has the tag {' and '.join(tags)}{agents}."
    return "No agent of a machine that you may see is older than the server."


def _tell(known: Sequence[Machine], now: datetime) -> None:
    columns = dict(_COLUMNS)
    if any(each.tags for each in known):
        columns["TAGS"] = lambda each, _: " ".join(
            f"{name}={value}" for name, value in each.tags.items()
        )
    if len({each.id.resource_group.casefold() for each in known}) > 1:
        columns["GROUP"] = lambda each, _: each.id.resource_group
    print_table(list(columns), [[each(row, now) for each in columns.values()] for row in known])


def _tell_behind(known: Sequence[Machine]) -> None:
    rows = [
        [each.name, each.point.agent_version, each.point.server_version]
        for each in known
        if each.point is not None
    ]
    print_table(["MACHINE", "AGENT", "SERVER"], rows)
    note(
        "The server upgrades no host. On each host, as root, with the package from the server's version: "
        "apt-get install --only-upgrade bascule-agent. Ports stay closed meanwhile."
    )
