"""``bascule machine behind`` and its reverse: which gateways guard a machine, and where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.find import find_machine
from bascule.cli.lockout import tell_of_gateways
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.client import fleet
from bascule.domain.net import parse_address
from bascule.domain.weaknesses import OUTSIDE_NETWORKS
from bascule.errors import Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:  # its libraries are slow to load
    from bascule.client.connection import Connection
    from bascule.client.machines import Machine


@click.command(
    epilog="""\b
Examples:
  bascule machine behind gw-1 app-1
  bascule machine behind gw-1 db-1 --address 10.1.0.20
  bascule machine behind gw-2 app-1 --parallel
  bascule machine behind gw-1 sql-1 --trust-route
  bascule machine behind gw-1 app-1 app-2 -o json"""
)
@click.argument("gateway", type=MACHINE)
@click.argument("names", type=MACHINE, nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Where the gateway forwards to the machine: one IPv4 and one IPv6 address at most; "
    "repeatable, for one NAME. Default: the machine's addresses.",
)
@click.option(
    "--parallel/--series",
    "is_parallel",
    default=None,
    help="One of the gateways that are bound in parallel is enough to open a port, or this one always "
    "has to. Default: unchanged; a new one is in series.",
)
@click.option(
    "--trust-route/--check-route",
    "trusts_route",
    default=None,
    help="Take it that answers of the machine come back through this gateway, or have its own agent "
    "check. Default: unchanged; of a new one it is checked.",
)
@output_option
def behind(
    gateway: str,
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    is_parallel: bool | None,
    trusts_route: bool | None,
    output: str,
) -> None:
    """Have GATEWAY's agent guard machines behind it.

    GATEWAY is a Linux router with an agent, which forwards to the machines. A machine may also have
    an agent of its own: a port is then open only when both have opened it. Open access to the
    machines ends. An address that a machine had there before stays closed until it is released.

    With --parallel, GATEWAY is an alternative to the machine's other gateways that are bound so. One
    that does not answer in time is named and withdrawn. The machine's own agent always has to open the
    port too.

    With --trust-route, requests are not refused because the machine's own agent sees answers leave by
    another way: for a router of the machine that leads back to GATEWAY. This alone ends no access.
    """
    checked = [str(parse_address(each, "--address")) for each in addresses]
    if checked and len(names) > 1:
        raise InvalidInput("--address is for one machine at a time.", target="--address")
    told = []
    with connect() as connection:
        point = find_machine(connection, gateway)
        machines = [find_machine(connection, name) for name in names]
        if any(each.uid == point.uid for each in machines):
            raise InvalidInput(
                f"{point.name} cannot be behind itself: its own agent guards it.",
                target="NAME",
                advice="Name the machines behind it.",
            )
        wanted = [(each, checked or _own(each)) for each in machines]
        for each, where in wanted:
            is_new = _bind(
                connection, point, each, where, is_parallel=is_parallel, trusts_route=trusts_route
            )
            if each.closed_ports:
                tell_of_gateways(each, [point.name])
            told.append({"machine": str(each.id), "addresses": where, "bound": is_new})
            if output != "json":
                at = " and ".join(where)
                say(
                    (
                        f"{each.name} is behind {point.name}, at {at}"
                        if is_new
                        else f"{each.name} stays behind {point.name}; it is at {at} there"
                    )
                    + _order_words(is_parallel)
                    + _trust_words(trusts_route)
                )
                _tell_of_networks(find_machine(connection, str(each.id)))
    if output == "json":
        emit_json({"gateway": str(point.id), "machines": told})
        return
    shown = machines[0].name
    note(f"Only what passes {point.name} is judged there. To see it: bascule machine show {shown}")


def _tell_of_networks(machine: Machine) -> None:
    """Say at once what would refuse each request."""
    for said in machine.point.weaknesses if machine.point is not None else ():
        if said.code == OUTSIDE_NETWORKS.code:
            note(said.text)


def _order_words(is_parallel: bool | None) -> str:
    """What was asked for of its order; nothing where it stays as it is."""
    return "" if is_parallel is None else f", in {'parallel' if is_parallel else 'series'}"


def _trust_words(trusts_route: bool | None) -> str:
    if trusts_route is None:
        return ""
    return ", and its route is trusted" if trusts_route else ", and its route is checked"


def _bind(
    connection: Connection,
    point: Machine,
    machine: Machine,
    where: Sequence[str],
    *,
    is_parallel: bool | None,
    trusts_route: bool | None,
) -> bool:
    try:
        return fleet.bind(
            connection,
            machine.id,
            point.uid,
            where,
            is_parallel=is_parallel,
            trusts_route=trusts_route,
        )
    except NotFound as error:
        raise NotFound(
            f"{point.name} has no agent of its own, so it can guard no other machine.",
            advice=f"Enrol it: bascule machine enrol {point.name}.",
        ) from error


def _own(machine: Machine) -> list[str]:
    """Its addresses, where there is one of each version at most."""
    parsed = [parse_address(each, "address") for each in machine.addresses]
    if not parsed:
        raise InvalidInput(
            f"{machine.name} has no address, so it is not known where the gateway forwards to it.",
            target="--address",
            advice="Say where: --address ADDRESS.",
        )
    if len({each.version for each in parsed}) != len(parsed):
        raise InvalidInput(
            f"{machine.name} has several addresses of one IP version.",
            target="--address",
            advice="Say to which of them the gateway forwards: --address ADDRESS.",
        )
    return [str(each) for each in parsed]


@click.command(
    "not-behind",
    epilog="""\b
Examples:
  bascule machine not-behind gw-1 app-1
  bascule machine not-behind gw-1 app-1 --yes""",
)
@click.argument("gateway", type=MACHINE)
@click.argument("name", type=MACHINE)
@yes_option
def not_behind(gateway: str, name: str, is_sure: bool) -> None:
    """Have GATEWAY guard a machine no longer.

    Open access to the machine ends. Ports that GATEWAY keeps closed for it stay closed there. To
    open them, release them first.
    """
    with connect() as connection:
        point, found = find_machine(connection, gateway), find_machine(connection, name)
        if not is_sure:
            confirm(
                f"All access to {found.name} ends. Ports that {point.name} keeps closed for it stay "
                "closed there, and cannot be requested through it any more.",
                is_sure=False,
            )
        is_gone = fleet.unbind(connection, found.id, point.uid)
    say(f"{found.name} is {'no longer' if is_gone else 'not'} behind {point.name}")


@click.command(
    "release-at",
    epilog="""\b
Examples:
  bascule machine release-at gw-1 app-1
  bascule machine release-at gw-1 app-1 10.1.0.10 --yes
  bascule machine release-at gw-1 app-1 -o json --yes""",
)
@click.argument("gateway", type=MACHINE)
@click.argument("name", type=MACHINE)
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@yes_option
@output_option
def release_address(
    gateway: str, name: str, addresses: tuple[str, ...], is_sure: bool, output: str
) -> None:
    """Open ports where a machine was before, behind GATEWAY.

    ADDRESS is one of its former addresses there. Default: all of them.

    After a machine's address changed, its ports stay closed at the former one. Whoever has that
    address now is then reached through GATEWAY by everybody. Asks for confirmation.
    """
    checked = [str(parse_address(each, "ADDRESS")) for each in addresses]
    with connect() as connection:
        point, found = find_machine(connection, gateway), find_machine(connection, name)
        opens = checked or _former(connection, found, point)
        if opens:
            words = f"{point.name} lets everybody through to {', '.join(opens)}."
            confirm(words, is_sure=is_sure)
        released = fleet.release_addresses(connection, found.id, point.uid, checked)
    if output == "json":
        emit_json({"released": list(released)})
    elif released:
        say(f"Released at {point.name}: {', '.join(released)}")
    else:
        note(f"{found.name} has no former address at {point.name}.")


def several_words(connection: Connection, machine: Machine) -> str:
    """What its own agent and its gateways each do with a closed port; empty where it has not both, or
    where the caller may not read its points.
    """
    if machine.point is None or not machine.point.has_gateways or machine.closed_at:
        return ""
    try:
        points = fleet.points_of(connection, machine.id)
    except Forbidden:
        return ""
    behind = [each for each in points if each.uid != machine.uid]
    names = {each.uid: each.gateway.name if each.gateway else each.uid for each in behind}
    beside = " or ".join(sorted(names[each.uid] for each in behind if each.is_parallel))
    series = sorted(names[each.uid] for each in behind if not each.is_parallel)
    passed = " and ".join([*series, *([beside] if beside else [])])
    return (
        f"The agent of {machine.name} closes the ports for all that arrives there, and "
        f"{' and '.join(sorted(names.values()))} for what passes there. A port is open only when "
        f"{machine.name} and {passed} have opened it."
    )


def _former(connection: Connection, found: Machine, point: Machine) -> list[str]:
    points = fleet.points_of(connection, found.id)
    return [former for each in points if each.uid == point.uid for former in each.former]
