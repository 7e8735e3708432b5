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
from bascule.cli.starts import check_reach, own_source, parse_start, tell_reach
from bascule.cli.waiting import (
    OPEN_SECONDS,
    Working,
    may_still_open,
    tell_patience,
    unknown_if_lost,
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
  bascule request web-1 --at 23:00 --for 2h --from 198.51.100.7
  bascule request web-1 --for 30m --up-to 4h
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
@click.option(
    "--at",
    "start",
    metavar="TIME",
    default=None,
    help="When to open it: 23:00, 2030-01-31T23:00. Does not wait for it.",
)
@click.option(
    "--up-to",
    type=SPAN,
    metavar="DURATION",
    help="Where approval is needed: extensions up to this are approved with it.",
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
    start: str | None,
    up_to: timedelta | None,
    no_wait: bool,
    output: str,
) -> None:
    """Open a port of MACHINE for your address, for a limited time.

    Waits until the machine's firewall has opened the port, then prints the end and how to
    connect. A request that is not open within a minute fails, and does not open later. The port
    closes by itself at the end.

    If the policy wants somebody's approval, the request waits, and so does this command; Ctrl-C ends only
    the command. Exit codes: 8 denied, 9 lapsed or withdrawn.

    With --at it opens at that time: a duration counts from then, and your address of now is the source
    unless you give another one. It is judged again then. A start is at most 30 days ahead.
    """
    starts_at = parse_start(start, SystemClock().now()) if start is not None else None
    ends_at = _end(span, until, starts_at)
    check_reach(span, up_to)
    with connect() as connection:
        found = find_machine(connection, machine)
        rules = get_machine_rules(connection, found.id)
        choice = choose(rules, ports, policy_name)
        if span is None and ends_at is None:
            default = span_for(choice, is_emergency=is_emergency)
            span = min(default, up_to or default)
        from_where = _source(connection, source, is_later=starts_at is not None)
        asked = [PortRequest(number, span, ends_at, from_where, up_to) for number in choice.ports]
        why = reason_for(choice, found.name, why, must=is_emergency)
        if rules.patience is not None and starts_at is None:
            tell_patience(rules.patience)
        with unknown_if_lost("requested"):
            request_id, is_pending = ask(
                *(connection, choice.policy_id, found.id, asked, why, starts_at),
                is_emergency=is_emergency,
            )
        tell_emergency(is_emergency=is_emergency)
        if is_pending:
            if no_wait or starts_at is not None:
                with may_still_open(request_id):
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
        tell_reach(answer, span, up_to)
        if output == "json":
            return
        if failure is not None:
            say(f"request {request_id}")
            note(f"Requested ({short_id(answer)}). Check with bascule status whether it is open.")
            return
        for line in opened_lines(answer, connection.now()):
            say(line)


def _source(connection: Connection, source: str, *, is_later: bool) -> str | None:
    """None: the address that the call comes from."""
    if source != MY_ADDRESS:
        return source
    return own_source(connection) if is_later else None


def _print_waiting(connection: Connection, request_id: str, output: str) -> None:
    from bascule.cli.approval_words import scheduled_lines, waiting_lines  # noqa: PLC0415  # reason: as above
    from bascule.cli.approvals import described  # noqa: PLC0415  # reason: as above

    answer = get_request(connection, request_id)
    if output == "json":
        emit_json(described(answer))
        return
    say(f"request {request_id}")
    is_scheduled = answer.is_scheduled
    lines = scheduled_lines(answer) if is_scheduled else waiting_lines(answer, connection.now())
    for line in lines:
        note(line)


def _wait(connection: Connection, request_id: str) -> AccessRequest:
    with Working("waiting until the firewall has it open"):
        return wait_until_open(connection, request_id)


def _end(span: timedelta | None, until: str | None, starts_at: datetime | None) -> datetime | None:
    if until is None:
        return None
    if span is not None:
        raise click.UsageError("Give --for or --until, not both.")
    return parse_until(until, starts_at or SystemClock().now(), "--until")
