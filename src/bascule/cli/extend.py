"""``bascule extend``: move the end of what is open."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from bascule.cli.choose import choose
from bascule.cli.connect import connect
from bascule.cli.find import find_machine, find_request, live_requests, my_only_request, port_words
from bascule.cli.parameters import MACHINE, SPAN
from bascule.cli.printing import emit_json, output_option, say
from bascule.cli.show import request_json, until_words, way_in_lines
from bascule.cli.spans import parse_until
from bascule.cli.waiting import unknown_if_lost
from bascule.client import access
from bascule.client.access import AccessRequest
from bascule.client.policies import get_machine_rules
from bascule.domain.ids import ResourceId

if TYPE_CHECKING:
    from bascule.client.connection import Connection


@click.command(
    epilog="""\b
Examples:
  bascule extend
  bascule extend --for 2h
  bascule extend 3f2a91c0 --until 17:30
  bascule extend --machine web-1"""
)
@click.argument("request", required=False)
@click.option("--machine", type=MACHINE, help="Extend your only live request on this machine.")
@click.option(
    "--for",
    "span",
    type=SPAN,
    metavar="DURATION",
    help="How long from now. Default: 1h, or the policy's maximum if that is shorter.",
)
@click.option("--until", metavar="TIME", default=None, help="Instead of --for, the end: 17:30, ...")
@output_option
def extend(
    request: str | None, machine: str | None, span: timedelta | None, until: str | None, output: str
) -> None:
    """Extend access that is open, counted from now.

    REQUEST is an id or its first characters, as 'bascule status' shows them. Default: your
    only live request. An extension is decided like a new request, up to the policy's maximum.
    An end before the current one is refused; to end access early, revoke it.
    """
    if span is not None and until is not None:
        raise click.UsageError("Give --for or --until, not both.")
    with connect() as connection:
        wanted = _wanted(connection, request, machine)
        ends_at = parse_until(until, connection.now(), "--until") if until is not None else None
        if span is None and ends_at is None:
            span = _default_span(connection, wanted)
        with unknown_if_lost("extended"):
            answer = access.extend(connection, wanted.id, span, ends_at)
        if output == "json":
            emit_json(request_json(answer))
            return
        for host, port in answer.ports():
            if port.is_live:
                say(
                    f"{host.id.name} port {port_words(port.number, port.protocol)} is {port.state} "
                    f"until {until_words(port.ends_at, connection.now())}"
                )
                for line in way_in_lines(host, port) if port.public else ():
                    say(line)


def _wanted(connection: Connection, request: str | None, machine: str | None) -> AccessRequest:
    if request is not None:
        return find_request(connection, request)
    on = find_machine(connection, machine).id if machine is not None else None
    mine = live_requests(connection, on, is_mine=True)
    return my_only_request([each for each in mine if not each.is_pending], "extend")


def _default_span(connection: Connection, request: AccessRequest) -> timedelta:
    """The least default of its machines: one end is set for all of them."""
    policy = ResourceId.parse(request.policy_id).name
    return min(
        choose(
            get_machine_rules(connection, host.id),
            [port.number for port in host.ports if port.is_live],
            policy,
        ).default_span
        for host in request.machines
    )
