"""``bascule agent open`` and ``close``: what root opens on this host without the server."""

from __future__ import annotations

from pathlib import Path

import click

from bascule.agent.options import control_at, control_option, guard_option, show, state_option
from bascule.domain.net import AddressPrefix, PortKey
from bascule.domain.times import parse_duration
from bascule.errors import InvalidInput
from bascule.interfaces.driver import HostParts

machine_option = click.option(
    "--machine",
    "-m",
    default="",
    metavar="NAME|UID|ADDRESS",
    help="On a gateway: a machine behind it. Default: this host.",
)


@click.command(name="open", short_help="Open a port of this host for a limited time.")
@click.option("-p", "--port", required=True, help="22, 22/tcp or 53/udp; a number alone is TCP.")
@click.option("--for", "duration", default="15m", show_default=True, help="How long: 90s, 15m, 2h.")
@click.option(
    "--from", "source", default="", help="Address or prefix. Default: the peer of your ssh session."
)
@machine_option
@state_option
@control_option
@guard_option
@click.pass_obj
def open_command(
    parts: HostParts,
    port: str,
    duration: str,
    source: str,
    machine: str,
    state: Path,
    control: Path | None,
    guard: Path,
) -> None:
    """Open a port of this host for a limited time, without the server.

    On a gateway, --machine names a machine behind it whose port is meant. Use this when the server
    is away; it works even if the agent is dead. The opening is recorded and reported, and ends by
    itself like every other opening.
    """
    from datetime import timedelta

    from bascule.agent.by_root import Order
    from bascule.agent.opening import Place, open_here
    from bascule.client.ssh_peer import ssh_peer

    key = _port(port)
    peer = ssh_peer()
    if not source and peer is None:
        raise InvalidInput(
            "You are not in an ssh session. Give the source address: --from ADDRESS.",
            target="--from",
        )
    prefix = AddressPrefix.parse(source or str(peer))
    order = Order(key, (prefix,), timedelta(seconds=_span(duration)), machine)
    opened = open_here(parts, Place(state, control_at(control, state), guard), order)
    named = f"{key} of {opened.place}" if opened.place else str(key)
    if opened.is_closed:
        show(f"Port {named} is open for {prefix}, for {duration}. It closes by itself.")
    else:
        show(
            f"Bascule does not keep port {named} closed here, so nothing was opened. If the port is "
            f"closed within {duration}, {prefix} keeps access until then."
        )


@click.command(name="close")
@click.option("-p", "--port", required=True, help="22, 22/tcp or 53/udp; a number alone is TCP.")
@click.option(
    "--from", "source", default="", help="The source that it was opened for. Default: all."
)
@machine_option
@state_option
@control_option
@guard_option
@click.pass_obj
def close_command(
    parts: HostParts,
    port: str,
    source: str,
    machine: str,
    state: Path,
    control: Path | None,
    guard: Path,
) -> None:
    """Close early what 'bascule agent open' opened.

    It ends no access that the server gave: for that use bascule revoke.
    """
    from bascule.agent.opening import Place, close_here

    sources = (AddressPrefix.parse(source),) if source else ()
    place = Place(state, control_at(control, state), guard)
    closed = close_here(parts, place, _port(port), sources, machine)
    for each in closed:
        show(f"Closed {each}.")
    if not closed:
        show(f"Root has not opened port {_port(port)} there; nothing was closed.")


def _port(text: str) -> PortKey:
    from bascule.agent.guard_file import parse_ports

    return next(iter(parse_ports(text if "/" in text else f"{text}/tcp")))


def _span(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``2h``, ``1d`` or an ISO 8601 duration."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text and text[-1] in units and text[:-1].isascii() and text[:-1].isdigit():
        seconds = float(int(text[:-1]) * units[text[-1]])
    else:
        seconds = parse_duration(text).total_seconds()
    if not 1 <= seconds <= 86400:
        raise InvalidInput("An opening lasts from 1 second to 1 day.", target="--for")
    return seconds
