"""``bascule activity``: the record, newest first; for people, spreadsheets and programs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import click

from bascule.cli.connect import connect
from bascule.cli.find import SHORT_ID, find_machine
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import (
    emit_json,
    emit_json_line,
    note,
    output_option,
    print_table,
    say,
)
from bascule.cli.spans import parse_since, show_dated, show_instant
from bascule.client.audit import AuditEvent, Wanted, counts, events
from bascule.client.record import checkpoints
from bascule.domain.event import grouped
from bascule.domain.facts.fields import Holds
from bascule.domain.facts.kinds import FACTS, fields_of
from bascule.domain.ids import is_guid
from bascule.domain.times import format_utc, parse_instant, with_instants
from bascule.errors import Forbidden, InvalidInput, NotFound, ServerUnreachable, Unavailable
from bascule.spreadsheet import Told, csv_event, csv_head, detail, without_ids

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection

DEFAULT_LIMIT = 50
FOLLOW_LIMIT = 10  # events shown before the new ones
FOLLOW_SECONDS = 1.0
LONGEST_WHY = 120  # characters of a justification in a table; all of it in -o json and --csv
_SAID = (Holds.PORT, Holds.SOURCES, Holds.END, Holds.REQUEST, Holds.JUSTIFICATION)  # of access


@click.command(
    epilog="""\b
Examples:
  bascule activity
  bascule activity --machine web-1 --since 7d
  bascule activity --by anna --follow
  bascule activity --mine --since 7d
  bascule activity --by-day --since 30d
  bascule activity --since 2030-01-01 --until 2030-02-01 --csv > january.csv
  bascule activity --kind AccessDenied -o json"""
)
@click.option("--machine", type=MACHINE, help="Only events about this machine.")
@click.option(
    "--resource", default="", metavar="ID", help="Only events about this ARM id or below it."
)
@click.option(
    "--since",
    metavar="DURATION|TIME",
    default=None,
    help="Only since then: 7d, 2h, or 2030-01-31T17:30.",
)
@click.option(
    "--until", metavar="DURATION|TIME", default=None, help="Only before this time; same formats."
)
@click.option(
    "--by", "caller", default="", metavar="NAME|ID", help="Only events caused by this principal."
)
@click.option("--mine", is_flag=True, help="Only what you did yourself; you need no right for it.")
@click.option("--correlation", default="", metavar="ID", help="Only events of one call.")
@click.option(
    "--kind",
    default="",
    metavar="KIND",
    help="Only one kind of event: GrantOpened, AccessDenied, PolicyChanged, ...",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=None,
    help=f"Maximum number of events. Default: {DEFAULT_LIMIT} in a table, otherwise all.",
)
@click.option(
    "--follow", is_flag=True, help="Keep printing new events, oldest first; Ctrl-C ends it."
)
@click.option(
    "--by-day",
    is_flag=True,
    help="Count events by day (UTC) and outcome; by hour for up to two days.",
)
@click.option("--by-request", is_flag=True, help="Group the events of each request.")
@click.option("--csv", "is_csv", is_flag=True, help="Comma-separated values (RFC 4180).")
@output_option
def activity(
    machine: str | None,
    resource: str,
    since: str | None,
    until: str | None,
    caller: str,
    mine: bool,
    correlation: str,
    kind: str,
    limit: int | None,
    follow: bool,
    by_day: bool,
    by_request: bool,
    is_csv: bool,
    output: str,
) -> None:
    """Show the audit record: who did what, from where, when; newest first."""
    if is_csv and output == "json":
        raise click.UsageError("Give --csv or -o json, not both.")
    if machine is not None and resource:
        raise click.UsageError("Give --machine or --resource, not both.")
    if mine and (caller or by_day):
        raise click.UsageError("Give --mine, --by or --by-day, not two of them.")
    if by_day and (follow or is_csv or kind or correlation or limit is not None):
        raise click.UsageError(
            "--by-day can be combined only with --machine, --resource, --by, --since and --until."
        )
    if by_request and (by_day or follow or is_csv):
        raise click.UsageError(
            "--by-request works with a table or -o json; remove the other option."
        )
    _check_kind(kind)
    form = "csv" if is_csv else output
    with connect() as connection:
        wanted = Wanted(
            str(find_machine(connection, machine).id) if machine is not None else resource,
            parse_since(since, connection.now(), "--since") if since is not None else None,
            parse_since(until, connection.now(), "--until") if until is not None else None,
            kind,
            caller,
            correlation,
            is_own=mine,
        )
        if by_day:
            _print_counts(connection, wanted, output)
        elif follow:
            _follow(connection, wanted, limit or FOLLOW_LIMIT, form)
        elif is_csv:
            _print_csv(itertools.islice(events(connection, wanted, 1000), limit))
        else:
            _print(connection, wanted, limit, form, by_request=by_request)


def _print_counts(connection: Connection, wanted: Wanted, output: str) -> None:
    """A row a day or hour, a column an outcome."""
    found = counts(connection, wanted)
    if output == "json":
        emit_json(found.shown)
        return
    if not found.counted:
        note("No events match.")
        return
    begins = sorted({begin for begin, _ in found.counted})
    statuses = sorted({status for _, status in found.counted})
    print_table(
        ["HOUR (UTC)" if found.is_by_hour else "DAY (UTC)", "EVENTS", *map(str.upper, statuses)],
        [
            [
                f"{begin:%Y-%m-%d %H:00}" if found.is_by_hour else f"{begin:%Y-%m-%d}",
                str(sum(found.counted.get((begin, status), 0) for status in statuses)),
                *(str(found.counted.get((begin, status), 0)) for status in statuses),
            ]
            for begin in begins
        ],
    )


def _check_kind(kind: str) -> None:
    """A mistyped one would be answered with nothing, as if nothing had happened."""
    known = sorted(FACTS)
    if kind and kind not in known:
        raise InvalidInput(
            f"{kind[:60]!r} is not a kind of event.",
            target="--kind",
            advice=f"The kinds are {', '.join(known)}.",
        )


def _print_csv(found: Iterator[AuditEvent]) -> None:
    """Line by line as they come: a record of years need not fit into memory."""
    click.echo(csv_head(), nl=False)
    for each in found:
        click.echo(_csv(each), nl=False)


def _print(
    connection: Connection, wanted: Wanted, limit: int | None, form: str, *, by_request: bool
) -> None:
    if limit is None and form == "table":
        limit = DEFAULT_LIMIT
    found = events(connection, wanted, min(limit or 1000, 1000))
    chosen = list(itertools.islice(found, None if limit is None else limit + 1))
    now = connection.now()
    has_more = limit is not None and len(chosen) > limit
    chosen = chosen[:limit]
    if by_request:
        chosen = grouped(chosen, lambda each: each.about.request_id)
    if form == "json":
        emit_json([_json(each) for each in chosen])
    elif not chosen:
        note("No events match.")
    else:
        print_table(
            ["WHEN", "WHAT", "BY", "RESOURCE", "DETAIL"], [_cells(each, now) for each in chosen]
        )
    sealed = _sealed(connection, now) if form == "table" else ""
    if sealed:
        note(sealed)
    if has_more:
        note(f"There are more events: use --limit {(limit or 0) * 10} or --since.")


def _follow(connection: Connection, wanted: Wanted, limit: int, form: str) -> None:
    """The last ones, then each as it comes; a server that is away is waited for."""
    show = _shower(connection, form)
    if form == "csv":
        click.echo(csv_head(), nl=False)
    newest = list(itertools.islice(events(connection, wanted, limit), limit))
    last, is_away = 0, False
    while True:
        for each in reversed(newest):
            show(each)
            last = each.sequence
        time.sleep(FOLLOW_SECONDS)
        try:
            newest = _newer(connection, wanted, last)
            is_away = False
        except (ServerUnreachable, Unavailable) as error:
            newest = []
            if not is_away:
                note(f"{error.message} Retrying.")
            is_away = True


def _newer(connection: Connection, wanted: Wanted, last: int) -> list[AuditEvent]:
    found = events(connection, wanted, 100)
    return list(itertools.takewhile(lambda each: each.sequence > last, found))


def _shower(connection: Connection, form: str) -> Callable[[AuditEvent], None]:
    if form == "csv":
        return lambda each: click.echo(_csv(each), nl=False)
    if form == "json":
        return lambda each: emit_json_line(_json(each))
    return lambda each: say("  ".join(_cells(each, connection.now())))


def _cells(each: AuditEvent, now: datetime) -> list[str]:
    return [
        show_instant(each.at, now),
        each.kind if each.kind in FACTS else f"{each.kind} (unknown: update bascule)",
        _actor(each),
        " ".join(each.about.machines) or _named(each.data, each.resource_id.rpartition("/")[2]),
        _about(each, now),
    ]


def _actor(each: AuditEvent) -> str:
    """An agent that enrols has a token and no name yet."""
    if not each.actor:
        return "(not signed in)"
    return f"{each.actor} (agent)" if each.actor_kind == "Agent" else each.actor


def _named(data: Mapping[str, object], last: str) -> str:
    """The name beside an id; of a role assignment, which has none, that of its principal."""
    if not is_guid(last):
        return last
    names = [name.removesuffix("_id") for name, given in data.items() if given == last]
    found = (data.get(name) for name in (*names, "service_principal", "principal"))
    return str(next(filter(None, found), last))


def _about(each: AuditEvent, now: datetime) -> str:
    """owner · 22/tcp from 10.0.0.7 until 21:45:00 +00:00 · reason · what else there is."""
    about = each.about
    access = " ".join(about.ports)
    if about.sources:
        access += f" from {' '.join(about.sources)}"
    if about.ends_at is not None:
        access += f" until {show_instant(about.ends_at, now)}"
    request = f"request {about.request_id[:SHORT_ID]}" if about.request_id else ""
    left_out = fields_of(each.kind, *_SAID) if access else []
    rest = {name: given for name, given in each.data.items() if name not in left_out}
    why = about.justification
    if len(why) > LONGEST_WHY:
        why = f"{why[: LONGEST_WHY - 3]}..."
    said = (about.requestor, access, why, request, _detail(each.kind, rest, now, each.gateways))
    return " · ".join(filter(None, said))


def _sealed(connection: Connection, now: datetime) -> str:
    """How far the record is signed; empty when the server cannot say, or not to us."""
    try:
        newest = next(checkpoints(connection, 1), None)
    except (NotFound, Forbidden):  # a server of before; a right that reading events does not give
        return ""
    if newest is None:
        return ""
    signed_at = show_instant(parse_instant(str(newest.get("at"))), now)
    return (
        f"Chained and signed up to event {newest.get('position')}, {signed_at}. "
        "To verify: bascule audit verify."
    )


def _detail(
    kind: str, data: Mapping[str, object], now: datetime, gateways: Mapping[str, str]
) -> str:
    """For people: instants are local, ids short, and absent where the name is there."""

    def value(name: str, text: str) -> str:
        if is_guid(text) and name == "request_id":
            return text[:SHORT_ID]
        try:
            return show_instant(parse_instant(text), now)
        except InvalidInput:
            return with_instants(text, show_dated)

    return detail(kind, without_ids(data), value, gateways=gateways)


def _csv(each: AuditEvent) -> str:
    about = each.about
    told = Told(
        each.operation, each.status, about.machines, about.ports, about.sources, each.gateways
    )
    return csv_event(each.record(), each.position, each.hash, told)


def _json(each: AuditEvent) -> dict[str, object]:
    return {
        "sequence": each.sequence,
        "id": each.id,
        "at": format_utc(each.at),
        "kind": each.kind,
        "actor": {
            "name": each.actor,
            "principalId": each.actor_id,
            "kind": each.actor_kind,
            "address": each.actor_address,
            "client": each.client,
        },
        "resourceId": each.resource_id,
        "correlationId": each.correlation_id,
        "data": dict(each.data),
        "position": each.position or None,
        "hash": each.hash or None,
        "operation": each.operation or None,
        "status": each.status or None,
        "about": dict(each.about.shown) or None,
        "gateways": dict(each.gateways),
    }
