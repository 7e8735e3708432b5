"""``bascule status``: what is open now, for whom, until when; and what needs a look."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from bascule.cli.connect import connect
from bascule.cli.find import find_machine, port_words, requestor_words, short_id, summary
from bascule.cli.history import HISTORY, print_history
from bascule.cli.machine_words import few_ports, guarded_words, past_us_json, past_us_table
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, emit_json_line, note, output_option, render_table
from bascule.cli.show import request_json, way_in_lines
from bascule.cli.spans import show_instant, show_minute, show_span
from bascule.client.access import AccessRequest, list_requests
from bascule.client.machines import OFFLINE, ONLINE, Machine, list_machines
from bascule.client.roles import EndingCredential, ending_owner_credentials
from bascule.domain.lifecycle import ENDED_NOT_CONFIRMED, GrantState, RequestState
from bascule.domain.times import format_utc
from bascule.errors import NotFound, ServerUnreachable, Unavailable

if TYPE_CHECKING:
    from bascule.client.connection import Connection

TICK_SECONDS = 1.0  # the countdown moves
ASK_EVERY = 2  # ticks
_CLEAR = "\x1b[H\x1b[J"


@dataclass(frozen=True, slots=True)
class Picture:
    """What was so at one moment."""

    requests: list[AccessRequest]
    machines: list[Machine]
    ending: tuple[EndingCredential, ...] = ()  # of owners, within 14 days
    is_mine: bool = False  # one's own requests alone were asked for
    trouble: str = ""  # why this picture is an old one; empty while it is fresh


@click.command(
    epilog="""\b
Examples:
  bascule status
  bascule status --watch
  bascule status --refused --mine
  bascule status --history --limit 100
  bascule status --mine --machine web-1 -o json"""
)
@click.option("--machine", type=MACHINE, help="Only this machine.")
@click.option("--mine", is_flag=True, help="Only your own requests.")
@click.option("--watch", is_flag=True, help="Keep running and updating; Ctrl-C ends it.")
@click.option("--history", is_flag=True, help="List your own requests, those that are over too.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=None,
    help="With --history: maximum number of requests. Default: 20.",
)
@click.option("--refused", is_flag=True, help="List requests that were refused, and why.")
@output_option
def status(
    machine: str | None,
    mine: bool,
    watch: bool,
    history: bool,
    limit: int | None,
    refused: bool,
    output: str,
) -> None:
    """Show what is open now, for whom, and until when.

    Also shows closed ports that no policy names, machines where nothing is enforced, agents
    that are away, and owners' credentials that expire soon.
    """
    if refused + watch + history > 1:
        raise click.UsageError("Give only one of --refused, --history and --watch.")
    if limit is not None and not history:
        raise click.UsageError("--limit is for --history.")
    with connect() as connection:
        wanted = find_machine(connection, machine) if machine is not None else None
        if history:
            print_history(connection, wanted, limit or HISTORY, output)
            return
        if refused:
            _print_refused(connection, wanted, is_mine=mine, output=output)
            return
        picture = _look(connection, wanted, is_mine=mine)
        if wanted is None and not mine and not watch:
            picture = replace(picture, ending=_ending(connection))
        if not watch:
            _print(picture, connection.now(), output)
            return
        _watch(connection, wanted, picture, is_mine=mine, output=output)


def _print_refused(
    connection: Connection, wanted: Machine | None, *, is_mine: bool, output: str
) -> None:
    on = wanted.id if wanted is not None else None
    found = list_requests(connection, is_mine=is_mine, machine=on, state=RequestState.REFUSED)
    if output == "json":
        emit_json([{**request_json(each), "reasons": list(each.reasons)} for each in found])
        return
    rows = [
        [
            show_minute(each.started_at, connection.now()),
            each.requestor,
            summary(each),
            "; ".join(each.reasons),
            each.id,
        ]
        for each in found
    ]
    if not rows:
        note("There are no refused requests that you may see.")
        return
    heads = ["REFUSED", "FOR", "ASKED FOR", "WHY", "REQUEST"]
    click.echo(render_table(heads, rows), nl=False)


def _watch(
    connection: Connection, wanted: Machine | None, picture: Picture, *, is_mine: bool, output: str
) -> None:
    """Until Ctrl-C; a server that is away for a while leaves the old picture, marked as such."""
    tick = 0
    while True:
        if output == "json":
            if tick % ASK_EVERY == 0:
                emit_json_line(_json(picture, connection.now()))
        else:
            text = _render(picture, connection.now())
            click.echo(f"{_CLEAR if sys.stdout.isatty() else ''}{text}", nl=False)
        sys.stdout.flush()
        time.sleep(TICK_SECONDS)
        tick += 1
        if tick % ASK_EVERY == 0:
            try:
                picture = _look(connection, wanted, is_mine=is_mine)
            except (ServerUnreachable, Unavailable) as error:
                picture = replace(picture, trouble=error.message)


def _look(connection: Connection, wanted: Machine | None, *, is_mine: bool) -> Picture:
    on = wanted.id if wanted is not None else None
    requests = list_requests(connection, is_live=True, is_mine=is_mine, machine=on)
    machines = [each for each in list_machines(connection) if on is None or each.id == on]
    return Picture(requests, machines, is_mine=is_mine)


def _ending(connection: Connection) -> tuple[EndingCredential, ...]:
    """Nothing where the server is older and does not tell."""
    try:
        return tuple(ending_owner_credentials(connection))
    except NotFound:
        return ()


def _print(picture: Picture, now: datetime, output: str) -> None:
    if output == "json":
        emit_json(_json(picture, now))
    else:
        click.echo(_render(picture, now), nl=False)


def _render(picture: Picture, now: datetime) -> str:
    parts = [_open_part(picture, now), _scheduled_part(picture, now)]
    parts += [_waiting_part(picture, now), _ways_part(picture)]
    parts.append(_unanswered_part(picture))
    parts.append(_ended_part(picture, now))
    parts.append(past_us_table(picture.machines))
    parts.append(_unnamed_part(picture))
    parts.append(_claimed_part(picture))
    parts.append(_away_part(picture, now))
    parts.append(_ending_part(picture, now))
    if picture.trouble:
        parts.insert(0, f"Last known state; {picture.trouble}\n")
    return "\n".join(part for part in parts if part)


def _ended_part(picture: Picture, now: datetime) -> str:
    """What is over at an agent that is silent: it is not counted as open any more (EDGES E9)."""
    rows = [
        [
            machine.id.name,
            port_words(port.number, port.protocol),
            ", ".join(port.sources),
            requestor_words(request),
            show_minute(port.ends_at, now),
            short_id(request),
        ]
        for request in picture.requests
        for machine, port in request.ports()
        if port.state == ENDED_NOT_CONFIRMED
    ]
    heads = ["ENDED, NOT CONFIRMED", "PORT", "FROM", "FOR", "ENDED", "REQUEST"]
    return render_table(heads, rows) if rows else ""


def _open_part(picture: Picture, now: datetime) -> str:
    """One row a port; the state has a column only when one is not simply open."""
    live = [
        (request, machine, port)
        for request in picture.requests
        for machine, port in request.ports()
        if port.row.may_admit
    ]
    if not live:
        if picture.is_mine:
            return "You have no open requests.\n"
        return "There are no open requests that you may see. For all open ports: bascule exposure\n"
    is_all_open = all(port.state == GrantState.OPEN for _, _, port in live)
    heads = ["OPEN", "PORT", "FROM", "FOR", "UNTIL", "LEFT", "REQUEST"]
    rows = [
        [
            machine.id.name,
            port_words(port.number, port.protocol),
            ", ".join(port.sources),
            requestor_words(request),
            show_minute(port.ends_at, now),
            show_span(port.ends_at - now),
            short_id(request),
        ]
        for request, machine, port in live
    ]
    if is_all_open:
        return render_table(heads, rows)
    rows = [[*row, port.state] for row, (_, _, port) in zip(rows, live, strict=True)]
    return render_table(["ASKED FOR", *heads[1:], "STATE"], rows)


def _waiting_part(picture: Picture, now: datetime) -> str:
    """What waits for approval; it opens nothing yet."""
    waiting = [each for each in picture.requests if each.is_waiting]
    if not waiting:
        return ""
    from bascule.cli.approval_words import list_rows  # noqa: PLC0415  # reason: most installations have none

    heads = ["WAITING SINCE", "FOR", "ASKED FOR", "LENGTH", "WHY", "STATE", "REQUEST"]
    return render_table(heads, list_rows(waiting, now))


def _scheduled_part(picture: Picture, now: datetime) -> str:
    """What opens later by itself."""
    found = sorted(
        (
            (each.starts_at, each)
            for each in picture.requests
            if each.is_scheduled and each.starts_at
        ),
        key=lambda pair: (pair[0], pair[1].id),
    )
    rows = [
        [
            show_minute(starts_at, now),
            show_span(starts_at - now),
            each.requestor,
            summary(each),
            each.justification,
            short_id(each),
        ]
        for starts_at, each in found
    ]
    return (
        render_table(["OPENS AT", "IN", "FOR", "ASKED FOR", "WHY", "REQUEST"], rows) if rows else ""
    )


def _ways_part(picture: Picture) -> str:
    """By which public address and port of a gateway each port is reached, with the ready line."""
    rows = [
        [
            machine.id.name,
            port_words(port.number, port.protocol),
            f"{port.public[0].address} port {port.public[0].number}",
            " ".join(line.strip() for line in way_in_lines(machine, port)),
        ]
        for request in picture.requests
        for machine, port in request.ports()
        if port.public and port.row.may_admit
    ]
    return render_table(["TO CONNECT", "PORT", "AT", "WITH"], rows) if rows else ""


def _unanswered_part(picture: Picture) -> str:
    rows = [
        [
            machine.id.name,
            port_words(port.number, port.protocol),
            each.gateway,
            each.why,
        ]
        for request in picture.requests
        for machine, port in request.ports()
        for each in port.unanswered
    ]
    return render_table(["NO ANSWER", "PORT", "THROUGH", "WHY"], rows) if rows else ""


def _unnamed_part(picture: Picture) -> str:
    rows = [
        [each.name, port_words(port.number, port.protocol), f"bascule machine release {each.name}"]
        for each in picture.machines
        for port in each.closed_ports
        if not port.is_in_policy
    ]
    return render_table(["CLOSED, IN NO POLICY", "PORT", "TO OPEN IT"], rows) if rows else ""


def _claimed_part(picture: Picture) -> str:
    rows = [
        [each.name, few_ports(each.claimed_ports), f"bascule machine show {each.name}"]
        for each in picture.machines
        if each.claimed_ports
    ]
    heads = ["CLOSED ONLY ACCORDING TO ITS AGENT", "PORTS", "TO TAKE OR RELEASE THEM"]
    return render_table(heads, rows) if rows else ""


def _away_part(picture: Picture, now: datetime) -> str:
    """Where no agent ever was nothing is closed, and where one can enforce nothing nobody knows; one
    that is away has left things as they were.
    """
    unguarded: list[list[str]] = []
    away: list[list[str]] = []
    for each in filter(_needs_look, picture.machines):
        (away if _is_out_of_reach(each) else unguarded).append(
            [each.name, guarded_words(each, now)]
        )
    parts = []
    if unguarded:
        parts.append(render_table(["NOT ENFORCED", "AGENT"], unguarded))
    if away:
        parts.append(render_table(["LAST KNOWN STATE, CHANGES WAIT", "AGENT"], away))
    return "\n".join(parts)


def _ending_part(picture: Picture, now: datetime) -> str:
    rows = [
        [
            each.name,
            show_instant(each.ends_at, now) if each.ends_at else "",
            f"bascule sp add-secret {each.principal_id}",
        ]
        for each in picture.ending
    ]
    heads = ["OWNER'S CREDENTIAL ENDS", "AT", "TO ADD ANOTHER"]
    return render_table(heads, rows) if rows else ""


def _is_out_of_reach(machine: Machine) -> bool:
    """It enforces what it was told last, and can be told nothing more now."""
    point = machine.point
    return point is not None and point.is_enforcing and (point.state == OFFLINE or point.is_too_old)


def _needs_look(machine: Machine) -> bool:
    return (
        _needs_agent(machine)
        or _is_out_of_reach(machine)
        or (machine.point is not None and not machine.point.is_enforcing)
    )


def _needs_agent(machine: Machine) -> bool:
    """An agent that is away; or none although something is to be kept closed."""
    if machine.point is None:
        return bool(machine.closed_ports)
    return machine.point.state != ONLINE


def _json(picture: Picture, now: datetime) -> dict[str, object]:
    return {
        "at": format_utc(now),
        "open": [request_json(each) for each in picture.requests if not each.is_pending],
        "scheduled": [request_json(each) for each in picture.requests if each.is_scheduled],
        "waiting": [request_json(each) for each in picture.requests if each.is_waiting],
        "closedInNoPolicy": [
            {"machine": str(each.id), "number": port.number, "protocol": port.protocol}
            for each in picture.machines
            for port in each.closed_ports
            if not port.is_in_policy
        ],
        "notCalledClosed": past_us_json(picture.machines),
        "claimedClosed": [
            {"machine": str(each.id), "number": port.number, "protocol": port.protocol}
            for each in picture.machines
            for port in each.claimed_ports
        ],
        "agentsAway": [
            {
                "machine": str(each.id),
                "state": each.point.state if each.point else "none",
                "lastContactAt": format_utc(each.point.last_contact_at)
                if each.point and each.point.last_contact_at
                else None,
            }
            for each in picture.machines
            if _needs_agent(each)
        ],
        "agentsTooOld": [
            {"machine": str(each.id), "agentVersion": each.point.agent_version}
            for each in picture.machines
            if each.point and each.point.is_too_old
        ],
        "notEnforced": [
            {"machine": str(each.id), "since": format_utc(each.point.not_enforced_since)}
            for each in picture.machines
            if each.point and each.point.not_enforced_since
        ],
        "ownerCredentialsEnding": [
            {
                "principal": each.name,
                "principalId": each.principal_id,
                "keyId": each.key_id,
                "endsAt": format_utc(each.ends_at) if each.ends_at else None,
            }
            for each in picture.ending
        ],
        **({"trouble": picture.trouble} if picture.trouble else {}),
    }
