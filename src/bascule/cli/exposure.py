"""``bascule exposure``: what can be reached by whom, now or at a moment; port-hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from bascule.cli.connect import connect
from bascule.cli.find import find_machine, port_words
from bascule.cli.machine_words import elsewhere_words, past_us_json, past_us_table, shadow_words
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.spans import parse_since, show_instant, show_minute
from bascule.client import exposure as wire
from bascule.client.machines import list_machines
from bascule.domain.times import format_utc

if TYPE_CHECKING:  # its libraries are slow to load
    from bascule.client.connection import Connection

_HIDDEN = "somebody"  # let in, and not told to you


@click.command(
    epilog="""\b
Examples:
  bascule exposure
  bascule exposure web-1 --at 2h
  bascule exposure --at 2030-01-31T17:30 --since 30d -o json"""
)
@click.argument("machine", type=MACHINE, required=False)
@click.option(
    "--at",
    metavar="DURATION|TIME",
    default=None,
    help="A past moment: 2h for two hours ago, or an instant.",
)
@click.option(
    "--since",
    metavar="DURATION|TIME",
    default=None,
    help="Start of the port-hours. Default: 7 days ago.",
)
@output_option
def exposure(machine: str | None, at: str | None, since: str | None, output: str) -> None:
    """Show which ports can be reached by whom, as read back from the hosts' firewalls.

    Also shows machines without closed ports, where everything that the host admits can be
    reached, and port-hours closed and open. With MACHINE: each of its ports.
    """
    with connect() as connection:
        now = connection.now()
        asked = wire.Asked(
            parse_since(at, now, "--at") if at else None,
            parse_since(since, now, "--since") if since else None,
        )
        if machine is None:
            _show_all(connection, asked, now, output)
        else:
            found = find_machine(connection, machine)
            _show_one(wire.get_exposure(connection, found.id, asked), asked, now, output)


def _show_all(connection: Connection, asked: wire.Asked, now: datetime, output: str) -> None:
    reached = wire.list_exposures(connection, asked, wire.OPEN)
    bare = wire.list_exposures(connection, asked, wire.NOTHING_CLOSED)
    hours = wire.get_port_hours(connection, asked)
    machines = list_machines(connection) if asked.at is None else []  # of the past it is not known
    if output == "json":
        emit_json(
            {
                "at": format_utc(asked.at or now),
                "open": [each.data for each in reached],
                "nothingClosed": [each.data for each in bare],
                "notCalledClosed": past_us_json(machines),
                "portHours": hours.data,
            }
        )
        return
    if asked.at is not None and asked.at < hours.known_since:
        note(f"There is no data from before {show_instant(hours.known_since, now)}.")
    past_us = past_us_table(machines)
    _print_openings(reached, now, has_others=bool(past_us))
    if past_us:
        say("")
        click.echo(past_us, nl=False)
    if bare:
        say("")
        rows = [[each.id.name, _why_bare(each), _way_to_close(each)] for each in bare]
        print_table(["NOTHING CLOSED", "REACHABLE", "TO CLOSE IT"], rows)
    say("")
    since = max(hours.since, hours.known_since)
    say(_hours_line(hours.closed, hours.open, since, hours.until, now))


def _print_openings(machines: Sequence[wire.Exposure], now: datetime, *, has_others: bool) -> None:
    rows = [
        [machine.id.name, port_words(port.number, port.protocol), *_opening_row(opening, now)]
        for machine in machines
        for port in machine.ports
        for opening in port.openings
    ]
    if rows:
        print_table(["OPEN", "PORT", "FROM", "FOR", "SINCE", "UNTIL", "WHY"], rows)
    elif has_others:
        say("Bascule has opened no closed port for anybody. Others may be let in past it:")
    else:
        say("No closed port is open for anybody.")
    ended = [
        [
            machine.id.name,
            port_words(port.number, port.protocol),
            *_opening_row(opening, now, is_ended=True)[:4],
        ]
        for machine in machines
        for port in machine.ports
        for opening in port.ended
    ]
    if ended:
        say("")
        print_table(["ENDED, NOT CONFIRMED", "PORT", "FROM", "FOR", "SINCE", "ENDED"], ended)


def _opening_row(opening: wire.Opening, now: datetime, *, is_ended: bool = False) -> list[str]:
    until = show_minute(opening.ends_at, now) if opening.ends_at else "not known"
    return [
        ", ".join(opening.sources) or "not known",
        opening.requestor or _HIDDEN,
        show_minute(opening.opened_at, now),
        until if opening.is_confirmed or is_ended else f"{until}, not confirmed",
        opening.justification,
    ]


def _way_to_close(machine: wire.Exposure) -> str:
    """A policy, or where one is there an agent, or a look at the agent that does not enforce it."""
    name = machine.id.name
    if not any(port.should_be_closed for port in machine.ports):
        return f"bascule policy set {name}"
    return f"bascule machine {'show' if machine.has_agent else 'enrol'} {name}"


def _why_bare(machine: wire.Exposure) -> str:
    if not machine.has_agent:
        return "everything that the host admits; no agent"
    return "everything that the host admits"


def _show_one(found: wire.Exposure, asked: wire.Asked, now: datetime, output: str) -> None:
    if output == "json":
        emit_json(found.data)
        return
    if found.not_confirmed_since is not None:
        who = " and ".join(found.silent_gateways) or "Its agent"
        have = "have" if len(found.silent_gateways) > 1 else "has"
        note(f"{who} {have} been silent since {show_instant(found.not_confirmed_since, now)}.")
    if found.not_enforced_since is not None:
        since = show_instant(found.not_enforced_since, now)
        note(
            f"Its agent has not been able to enforce anything since {since}; this is the state "
            f"before that."
        )
    if found.closed_at and not found.is_nothing_closed:
        note(elsewhere_words(found.closed_at))
    if found.is_nothing_closed:
        say(f"No port of {found.id.name} is closed. Reachable: {_why_bare(found)}.")
    rows = [
        [port_words(port.number, port.protocol), _state(port, found), _since(port, now), *cells]
        for port in found.ports
        for cells in ([_opening_row(each, now) for each in port.openings] or [[""] * 5])
    ]
    if rows:
        print_table(["PORT", "STATE", "SINCE", "FROM", "FOR", "OPENED", "UNTIL", "WHY"], rows)
    share = _hours_words(found.hours_closed, found.hours_open)
    say(f"port-hours {share}{' then' if asked.at else ''}")


def _state(port: wire.Port, found: wire.Exposure) -> str:
    if port.is_closed and port.shadow:
        return shadow_words(port.shadow, port.reached_at)
    if port.is_closed:
        where = f" at {' and '.join(found.closed_at)}" if found.closed_at else ""
        return f"open for somebody{where}" if port.openings else f"closed{where}"
    return "not closed, should be" if port.should_be_closed else "not closed"


def _since(port: wire.Port, now: datetime) -> str:
    return show_minute(port.since, now) if port.since else ""


def _hours_line(
    closed: float, opened: float, since: datetime, until: datetime, now: datetime
) -> str:
    words = _hours_words(closed, opened)
    return f"Port-hours {show_minute(since, now)} to {show_minute(until, now)}: {words}."


def _hours_words(closed: float, opened: float) -> str:
    whole = closed + opened
    share = f" (open {opened / whole:.1%} of the time)" if whole else ""
    return f"{_hours(closed)} closed, {_hours(opened)} open{share}"


def _hours(hours: float) -> str:
    """A little is not nothing."""
    return "less than 0.1" if 0 < hours < 0.05 else f"{hours:.1f}"
