"""``bascule machine knocks``: who has been knocking at closed ports, by source or by hour."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import click

from bascule.cli.connect import connect
from bascule.cli.find import find_machine, port_words
from bascule.cli.machine_words import counted_words
from bascule.cli.parameters import MACHINE, SpanType
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.spans import show_instant, show_minute, show_span
from bascule.client.knocks import BlockedAttempts, blocked_attempts
from bascule.client.machines import Machine
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput

LONGEST_OF_ALL = timedelta(days=7)
_HOUR = timedelta(hours=1)
_WIDTH = 40  # characters of the longest bar


@click.command(
    epilog="""\b
Examples:
  bascule machine knocks web-1
  bascule machine knocks web-1 --since 7d --by-hour
  bascule machine knocks -o json          at all machines that you may see"""
)
@click.argument("name", type=MACHINE, required=False)
@click.option(
    "--since",
    type=SpanType(_HOUR, timedelta(days=30)),
    default=timedelta(days=1),
    metavar="DURATION",
    help="How far back, in whole hours; at most 30d, for all machines 7d. Default: 24h.",
)
@click.option(
    "--top", type=click.IntRange(1, 1000), default=10, help="Maximum number of rows. Default: 10."
)
@click.option("--by-hour", is_flag=True, help="List hours instead of sources.")
@output_option
def knocks(name: str | None, since: timedelta, top: int, by_hour: bool, output: str) -> None:
    """Show blocked attempts at closed ports.

    Each dropped packet is one attempt: a client that gets no answer sends several.
    """
    if name is None and since > LONGEST_OF_ALL:
        raise InvalidInput(
            "For all machines at most seven days can be shown; for more, name one machine.",
            target="--since",
        )
    with connect() as connection:
        machine = find_machine(connection, name) if name is not None else None
        asked = None if machine is None else machine.id
        found = blocked_attempts(connection, asked, math.ceil(since / _HOUR), top)
        now = connection.now()
    if output == "json":
        emit_json(_json(machine, found))
        return
    where = "all machines that you may see" if machine is None else machine.name
    counted = "" if machine is None else counted_words(machine.point, now)
    if not found.attempts:
        note(f"No blocked attempts at {where} in the last {show_span(since)}{counted}.")
        return
    say(f"{where}: {_attempts(found.attempts)} blocked in the last {show_span(since)}{counted}")
    say("")
    if by_hour:
        print_table(["HOUR", "ATTEMPTS", ""], _hour_rows(found, now))
        return
    print_table(["SOURCE", "ATTEMPTS", "PORTS", "LAST"], _source_rows(found, now))
    rest = found.attempts - sum(each.attempts for each in found.sources)
    if rest > 0:
        note(f"and {_attempts(rest)} from other sources")


def _attempts(count: int) -> str:
    return f"{count} attempt{'' if count == 1 else 's'}"


def _source_rows(found: BlockedAttempts, now: datetime) -> list[list[object]]:
    return [
        [
            each.address,
            each.attempts,
            ", ".join(port_words(number, protocol) for number, protocol in each.ports),
            show_instant(each.last_at, now),
        ]
        for each in found.sources
    ]


def _hour_rows(found: BlockedAttempts, now: datetime) -> list[list[object]]:
    most = max(each.attempts for each in found.hours)
    return [
        [
            show_minute(each.since, now),
            each.attempts,
            "#" * math.ceil(_WIDTH * each.attempts / most),
        ]
        for each in found.hours
    ]


def _json(machine: Machine | None, found: BlockedAttempts) -> dict[str, object]:
    point = None if machine is None else machine.point
    counted_at = None if point is None else point.counted_at
    return {
        "machine": None if machine is None else str(machine.id),
        "countedAt": None if counted_at is None else format_utc(counted_at),
        "since": format_utc(found.since),
        "until": format_utc(found.until),
        "attempts": found.attempts,
        "hours": [
            {"since": format_utc(each.since), "attempts": each.attempts} for each in found.hours
        ],
        "sources": [
            {
                "address": each.address,
                "attempts": each.attempts,
                "lastAt": format_utc(each.last_at),
                "ports": [{"number": n, "protocol": p} for n, p in each.ports],
            }
            for each in found.sources
        ],
    }
