"""``bascule request``: open a port of a machine, wait until it really is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from bascule.cli.choose import choose
from bascule.cli.connect import connect
from bascule.cli.find import find_machine, short_id
from bascule.cli.parameters import MACHINE, MY_ADDRESS, PORT_NUMBER, SPAN, SourceType
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.cli.reason import reason_for, span_for, tell_emergency
from bascule.cli.show import opened_lines, request_json, unopened
from bascule.cli.spans import parse_until
from bascule.cli.waiting import (
    OPEN_SECONDS,
    Working,
    may_still_open,
    tell_patience,
    wait_until_open,
)
from bascule.client.access import AccessRequest, PortRequest, ask, get_request
from bascule.client.policies import get_machine_rules
from bascule.clocks import SystemClock

if TYPE_CHECKING:
    from bascule.client.connection import Connection


@click.command(
    epilog="""\b
Examples:
  bascule request web-1
  bascule request web-1 -p 22 -p 5432 --for 30m --why "ticket 4711"
  bascule request web-1 --until 17:30 --from 198.51.100.0/24
  bascule request web-1 --no-wait -o json
  bascule request web-1 --emergency --why "the database is down\""""
)
@click.argument("machine", type=MACHINE)
@click.option(
    "-p",
    "--port",
    "ports",
    type=PORT_NUMBER,
    multiple=True,
    metavar="PORT",
    help="Port to open; repeatable. Default: the only one offered.",
)
@click.option(
    "--for",
    "span",
    type=SPAN,
    metavar="DURATION",
    help="How long: 90s, 30m, 1h30m, 1d. Default: 1h, or the policy's maximum if that is shorter.",
)
@click.option(
    "--until",
    metavar="TIME",
    default=None,
    help="Instead of --for, the end: 17:30, 2030-01-31T17:30, 2030-01-31T17:30:00Z.",
)
@click.option(
    "--from",
    "source",
    type=SourceType(takes_me=True),
    default=MY_ADDRESS,
    show_default=True,
    metavar="me|ADDRESS|CIDR",
    help="Source to open the port for.",
)
@click.option(
    "--why",
    default="",
    metavar="TEXT",
    help="The reason; it is recorded. Default: BASCULE_WHY; otherwise you are asked if a policy "
    "requires one.",
)
@click.option(
    "--policy",
    "policy_name",
    default="",
    metavar="NAME",
    help="Policy to use. Default: the one that allows the longest duration.",
)
@click.option(
    "--emergency",
    "is_emergency",
    is_flag=True,
    help="Without approval, for at most an hour, with the role Bascule Emergency Access, a second factor "
    "shown in the last 15 minutes, and --why. Owners are told at once; somebody else reviews it.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait until the port is open.")
@output_option
def request(
    machine: str,
    ports: tuple[int, ...],
    span: timedelta | None,
    until: str | None,
    source: str,
    why: str,
    policy_name: str,
    is_emergency: bool,
    no_wait: bool,
    output: str,
) -> None:
    """Open a port of MACHINE for your address, for a limited time.

    Waits until the machine's firewall has opened the port, then prints the end and how to
    connect. A request that is not open within a minute fails, and does not open later. The port
    closes by itself at the end.

    If the policy wants somebody's approval, the request waits, and so does this command; Ctrl-C ends only
    the command. Exit codes: 8 denied, 9 lapsed or withdrawn.
    """
    ends_at = _end(span, until)
    with connect() as connection:
        found = find_machine(connection, machine)
        rules = get_machine_rules(connection, found.id)
        choice = choose(rules, ports, policy_name)
        if span is None and ends_at is None:
            span = span_for(choice, is_emergency=is_emergency)
        from_where = None if source == MY_ADDRESS else source
        asked = [PortRequest(number, span, ends_at, from_where) for number in choice.ports]
        why = reason_for(choice, found.name, why, must=is_emergency)
        if rules.patience is not None:
            tell_patience(rules.patience)
        request_id, is_waiting = ask(
            connection, choice.policy_id, found.id, asked, why, is_emergency=is_emergency
        )
        tell_emergency(is_emergency=is_emergency)
        if is_waiting:
            if no_wait:
                _print_waiting(connection, request_id, output)
                return
            from bascule.cli.until_decided import until_decided  # noqa: PLC0415  # reason: most requests wait for nobody

            until_decided(connection, request_id)
        with may_still_open(request_id):
            answer = (get_request if no_wait else _wait)(connection, request_id)
        if output == "json":
            emit_json(request_json(answer))
        failure = unopened(answer, timedelta(seconds=OPEN_SECONDS))
        if failure is not None and not no_wait:
            raise failure
        if output == "json":
            return
        if failure is not None:
            say(f"request {request_id}")
            note(f"Requested ({short_id(answer)}). Check with bascule status whether it is open.")
            return
        for line in opened_lines(answer, connection.now()):
            say(line)


def _print_waiting(connection: Connection, request_id: str, output: str) -> None:
    from bascule.cli.approval_words import waiting_lines  # noqa: PLC0415  # reason: as above
    from bascule.cli.approvals import described  # noqa: PLC0415  # reason: as above

    answer = get_request(connection, request_id)
    if output == "json":
        emit_json(described(answer))
        return
    say(f"request {request_id}")
    for line in waiting_lines(answer, connection.now()):
        note(line)


def _wait(connection: Connection, request_id: str) -> AccessRequest:
    with Working("waiting until the firewall has it open"):
        return wait_until_open(connection, request_id)


def _end(span: timedelta | None, until: str | None) -> datetime | None:
    if until is None:
        return None
    if span is not None:
        raise click.UsageError("Give --for or --until, not both.")
    return parse_until(until, SystemClock().now(), "--until")
