"""``bascule machine``: the machines, their agents, and ports that no policy names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.find import find_machine, new_machine_id, port_words
from bascule.cli.knocks import knocks
from bascule.cli.machine_behind import behind, not_behind, release_address
from bascule.cli.machine_changes import changes_json, changes_words
from bascule.cli.machine_list import list_command
from bascule.cli.machine_managed import managed_by
from bascule.cli.machine_tags import tag
from bascule.cli.machine_words import (
    detail_lines,
    kept_closed,
    machine_json,
    point_json,
    point_lines,
    port_list,
)
from bascule.cli.parameters import MACHINE, SPAN, Port, ports_option
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.profile import load_profile
from bascule.cli.released import tell_released
from bascule.cli.rules_table import rule_rows
from bascule.cli.spans import show_instant
from bascule.client import machines as inventory
from bascule.client.access import list_requests
from bascule.client.fleet import Point, believe_point, points_of
from bascule.client.fleet import enrol as make_enrolment
from bascule.client.policies import get_machine_rules, release_ports, take_ports
from bascule.domain.classify import MANAGED_TAG, UNMANAGED
from bascule.domain.net import parse_address
from bascule.domain.times import format_utc
from bascule.errors import Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:  # its libraries are slow to load
    from bascule.client.connection import Connection
    from bascule.client.machines import Machine
    from bascule.domain.ids import ResourceId

OS_TYPES = {"linux": "Linux", "windows": "Windows"}


@click.group(
    epilog="""\b
Examples:
  bascule machine add web-1 --address 203.0.113.5 --address 2001:db8::5
  bascule machine enrol web-1
  bascule machine list"""
)
def machine() -> None:
    """Machines and their agents."""


machine.add_command(knocks)
machine.add_command(behind)
machine.add_command(not_behind)
machine.add_command(managed_by)
machine.add_command(release_address)
machine.add_command(list_command)
machine.add_command(tag)


@machine.command(epilog="\b\nExamples:\n  bascule machine show web-1")
@click.argument("name", type=MACHINE)
@output_option
def show(name: str, output: str) -> None:
    """Show one machine with its agent, closed ports and policies."""
    with connect() as connection:
        found = find_machine(connection, name)
        rules = get_machine_rules(connection, found.id)
        points = _points(connection, found)
        now = connection.now()
    if output == "json":
        emit_json({**machine_json(found), "points": [point_json(each) for each in points]})
        return
    for line in (*detail_lines(found, now), *point_lines(points, found.uid)):
        say(line)
    if rules.policies:
        say("")
        print_table(*rule_rows([rules], with_machine=False))
    else:
        say(f"policies   none; set one: bascule policy set {found.name}")


def _points(connection: Connection, found: Machine) -> tuple[Point, ...]:
    """Told apart where there are several. Who may not see them sees them as one."""
    if found.point is None or not found.point.has_gateways:
        return ()
    try:
        return points_of(connection, found.id)
    except Forbidden:
        return ()


@machine.command(
    epilog="""\b
Examples:
  bascule machine add web-1 --address 203.0.113.5
  bascule machine add win-1 --os windows --address 203.0.113.9
  bascule machine add old-1 --inventory-only"""
)
@click.argument("name", type=MACHINE)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Its IPv4 or IPv6 address; repeatable. Replaces all previous addresses.",
)
@click.option(
    "--os", "os_name", type=click.Choice(list(OS_TYPES)), help="Operating system. Default: linux."
)
@click.option("--location", default=None, help="Location. Default: the server's first location.")
@click.option("--group", default=None, help="Resource group. Default: the one given at login.")
@click.option(
    "--inventory-only/--managed",
    "is_inventory",
    default=None,
    help="Only list it, or manage its ports. Default: unchanged; a new machine is managed.",
)
@output_option
def add(
    name: str,
    addresses: tuple[str, ...],
    os_name: str | None,
    location: str | None,
    group: str | None,
    is_inventory: bool | None,
    output: str,
) -> None:
    """Add a machine, or change the given settings of an existing one.

    This closes no port: that needs a policy and the machine's agent.
    """
    checked = [str(parse_address(each, "--address")) for each in addresses]
    profile = load_profile()
    with connect(profile) as connection:
        wanted = new_machine_id(connection, name, group or profile.resource_group)
        before = _existing(connection, wanted, is_needed=is_inventory is not None)
        found, is_new = inventory.put_machine(
            connection,
            wanted,
            checked or None,
            OS_TYPES[os_name] if os_name else None,
            location,
            None if is_inventory is None else _tags(before, is_inventory=is_inventory),
        )
    if output == "json":
        changed = None if is_new or before is None else changes_json(before, found)
        emit_json({**machine_json(found), "added": is_new, "changed": changed})
        return
    at = f"at {' and '.join(found.addresses)}" if found.addresses else "without an address"
    if is_new or before is None:
        say(f"{found.name} {'added' if is_new else 'changed'}, {at}")
    else:
        changes = changes_words(before, found) or f"nothing changed; it is {at}"
        say(f"{found.name} exists; {changes}")
    if is_new and not is_inventory:
        note(
            f"Next: bascule machine enrol {found.name} (its agent), bascule policy set "
            f"{found.name} -p 22 (closed ports)"
        )


def _existing(connection: Connection, wanted: ResourceId, *, is_needed: bool) -> Machine | None:
    """None: there is none; or the caller may not read it, which raises Forbidden if needed."""
    try:
        return inventory.get_machine(connection, wanted)
    except NotFound:
        return None
    except Forbidden:
        if is_needed:
            raise
        return None


def _tags(before: Machine | None, *, is_inventory: bool) -> dict[str, str]:
    """The machine's tags, with the one that says whether it is managed."""
    tags = {} if before is None else dict(before.tags)
    tags.pop(MANAGED_TAG, None)
    return {**tags, MANAGED_TAG: UNMANAGED} if is_inventory else tags


@machine.command(
    epilog="\b\nExamples:\n  bascule machine remove web-1\n  bascule machine remove web-1 --yes"
)
@click.argument("name", type=MACHINE)
@yes_option
def remove(name: str, is_sure: bool) -> None:
    """Remove a machine from the inventory and from its policies.

    Its grants end at once. No port opens: its agent is refused from then on, ends every
    opening and keeps the ports closed until it is uninstalled on the host.
    """
    with connect() as connection:
        found = find_machine(connection, name)
        if not is_sure:
            confirm(_removal_words(connection, found), is_sure=False)
        inventory.delete_machine(connection, found.id)
    say(f"{found.name} removed")
    if kept := kept_closed(found):
        note(f"Still closed on the host: {kept}. To open: run bascule agent uninstall there")
    elif found.point is not None and found.point.is_uninstalled:
        note("Root had uninstalled its agent, so Bascule keeps no port of that host closed.")


def _removal_words(connection: Connection, found: Machine) -> str:
    """What removing it ends, and what stays closed."""
    live = sum(
        port.is_live
        for each in list_requests(connection, is_live=True, is_mine=False, machine=found.id)
        for host, port in each.ports()
        if host.id == found.id
    )
    words = [
        f"{found.name} is removed from the inventory and its policies, and all access to it ends."
    ]
    if live:
        words.append(f"{live} open {'port closes' if live == 1 else 'ports close'} at once.")
    if kept_closed(found):
        words.append(
            "Ports that its agent keeps closed stay closed until the agent is uninstalled on the "
            "host."
        )
    return " ".join(words)


@machine.command(
    epilog="""\b
Examples:
  bascule machine enrol web-1
  bascule machine enrol web-1 --replace --valid 5m
  bascule machine enrol web-1 --through-proxy"""
)
@click.argument("name", type=MACHINE)
@click.option(
    "--replace",
    is_flag=True,
    help="Replace the enrolled agent, whether it runs or not.",
)
@click.option(
    "--valid",
    type=SPAN,
    default=timedelta(minutes=15),
    metavar="DURATION",
    help="How long the token is valid, at most 15m. Default: 15m.",
)
@click.option(
    "--through-proxy",
    is_flag=True,
    help="For an agent that reaches the server through a proxy that ends TLS (serve --proxy). It trusts "
    "the proxy's certificate by the host's store, and the server by a key in the token.",
)
@output_option
def enrol(name: str, replace: bool, valid: timedelta, through_proxy: bool, output: str) -> None:
    """Make a one-time token for an agent.

    Prints the token and the command to run on the host.
    """
    minutes, rest = divmod(int(valid.total_seconds()), 60)
    if rest or not 1 <= minutes <= 15:
        raise InvalidInput("--valid takes whole minutes, from 1m to 15m.", target="--valid")
    with connect() as connection:
        found = find_machine(connection, name)
        made = make_enrolment(
            connection, found.id, replaces=replace, valid_minutes=minutes, is_through=through_proxy
        )
        now = connection.now()
    if output == "json":
        emit_json(
            {
                "machine": str(found.id),
                "machineUid": made.machine_uid,
                "token": made.token,
                "expiresAt": format_utc(made.expires_at) if made.expires_at else None,
                "caFingerprint": made.ca_fingerprint,
                "command": made.command,
                "installCommand": made.install,
                "bareHostCommand": made.bare or None,
            }
        )
        return
    if through_proxy:
        note("The server's URL below is the proxy's if that has another: replace it then.")
    until = f" until {show_instant(made.expires_at, now)}" if made.expires_at else ""
    if made.bare:
        note(f"On {found.name}, a Debian without Bascule, paste this as root:")
        say(f"  {made.bare}")
    note(f"On {found.name}{' with Bascule installed' if made.bare else ''}, as root:")
    say(f"  {made.install}")
    note("or in the foreground, without a service:")
    say(f"  {made.command}")
    note(f"It asks for this token, which works once{until}:")
    say(f"  {made.token}")


@machine.command(
    epilog="""\b
Examples:
  bascule machine take web-1 -p 8080"""
)
@click.argument("name", type=MACHINE)
@ports_option(is_required=True)
@output_option
def take(name: str, ports: tuple[Port, ...], output: str) -> None:
    """Keep ports closed that only the agent reports as closed."""
    with connect() as connection:
        found = find_machine(connection, name)
        taken = take_ports(connection, found.id, [(p.number, p.protocol) for p in ports])
    if output == "json":
        emit_json({"taken": [{"number": n, "protocol": p} for n, p in taken]})
        return
    named = ", ".join(port_words(n, p) for n, p in taken)
    say(f"Now closed on {found.name}, in no policy: {named}.")


@machine.command(epilog="\b\nExamples:\n  bascule machine believe web-1")
@click.argument("name", type=MACHINE)
def believe(name: str) -> None:
    """Trust an agent's reports again.

    An agent loses this trust when it is ahead of its server twice within an hour, or reports too
    much. Check the host first: the agent's key may have been stolen. If so, enrol it anew instead:
    bascule machine enrol NAME --replace.
    """
    with connect() as connection:
        found = find_machine(connection, name)
        is_changed = believe_point(connection, found.id)
    say(
        f"Reports of the agent of {found.name} are trusted again."
        if is_changed
        else f"Reports of the agent of {found.name} were trusted already."
    )


@machine.command(
    epilog="""\b
Examples:
  bascule machine release web-1 -p 8080
  bascule machine release web-1               all that no policy names
  bascule machine release web-1 -p 8080 --yes"""
)
@click.argument("name", type=MACHINE)
@ports_option("all closed ports that no policy names")
@yes_option
@output_option
def release(name: str, ports: tuple[Port, ...], is_sure: bool, output: str) -> None:
    """Open closed ports that no policy names any more.

    The ports are then open for everybody. Asks for confirmation.
    """
    with connect() as connection:
        found = find_machine(connection, name)
        opens = _released_words(found, ports)
        if opens:
            confirm(f"{found.name} opens {opens} for everybody.", is_sure=is_sure)
        released = release_ports(connection, found.id, [(p.number, p.protocol) for p in ports])
        if output == "json":
            emit_json({"released": [{"number": n, "protocol": p} for n, p in released]})
            return
        tell_released(connection, found, released)
    if not released:
        note(f"{found.name} has no closed port outside its policies.")


def _released_words(found: Machine, ports: tuple[Port, ...]) -> str:
    """The ports that a release opens, of those that are asked for; empty for none."""
    if ports:
        return ", ".join(port_words(port.number, port.protocol) for port in ports)
    return port_list([port for port in found.closed_ports if not port.is_in_policy])
