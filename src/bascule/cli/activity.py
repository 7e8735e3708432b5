"""``bascule activity``: the record, newest first; for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import click

from bascule.cli.clean import clean
from bascule.cli.connect import connect
from bascule.cli.find import SHORT_ID, find_machine
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, note, output_option, print_table
from bascule.cli.spans import parse_since, show_instant
from bascule.client.audit import AuditEvent, events
from bascule.client.record import checkpoints
from bascule.domain.ids import is_guid
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import InvalidInput, NotFound

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection

DEFAULT_LIMIT = 50
_HEADS = ("at", "kind", "actor", "actorAddress", "resourceId", "correlationId", "detail")
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for a formula (OWASP, CSV injection)
_LEFT_OUT = frozenset(  # said by the other columns, or too long for one
    {"machine", "machines", "policy", "uid", "grant_id", "rules", "previous_rules"}
)


@click.command(
    epilog="""\b
Examples:
  bascule activity
  bascule activity --machine web-1 --since 7d
  bascule activity --since 2030-01-01 --csv > january.csv
  bascule activity --kind AccessDenied -o json"""
)
@click.option("--machine", type=MACHINE, help="What concerns that machine.")
@click.option("--since", metavar="DURATION|TIME", default=None, help="7d, 2h, or 2030-01-31T17:30.")
@click.option(
    "--kind",
    default="",
    metavar="KIND",
    help="One kind of event: GrantOpened, AccessDenied, PolicyChanged, ...",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=None,
    help=f"At most that many. Default: {DEFAULT_LIMIT} in a table, else all.",
)
@click.option("--csv", "is_csv", is_flag=True, help="Comma-separated values (RFC 4180).")
@output_option
def activity(
    machine: str | None,
    since: str | None,
    kind: str,
    limit: int | None,
    is_csv: bool,
    output: str,
) -> None:
    """Show the record: who did what, from where, when; newest first."""
    if is_csv and output == "json":
        raise click.UsageError("Give --csv or -o json, not both.")
    if kind and not (kind.isascii() and kind.isalpha()):
        raise InvalidInput(f"{kind[:60]!r} is no kind of event.", target="--kind")
    if limit is None and output == "table" and not is_csv:
        limit = DEFAULT_LIMIT
    with connect() as connection:
        on = find_machine(connection, machine).id if machine is not None else None
        begun = parse_since(since, connection.now(), "--since") if since is not None else None
        page = min(limit or 1000, 1000)
        found = events(connection, on, begun, kind, page)
        chosen = list(itertools.islice(found, None if limit is None else limit + 1))
        now = connection.now()
        sealed = _sealed(connection, now) if output == "table" and not is_csv else ""
    has_more = limit is not None and len(chosen) > limit
    chosen = chosen[:limit]
    if output == "json":
        emit_json([_json(each) for each in chosen])
    elif is_csv:
        click.echo(render_csv(chosen), nl=False)
    elif not chosen:
        note("Nothing is on record for that.")
    else:
        print_table(
            ["WHEN", "WHAT", "BY", "ON", "DETAIL"],
            [
                [
                    show_instant(each.at, now),
                    each.kind,
                    each.actor,
                    each.resource_id.rpartition("/")[2],
                    detail(each.data, now),
                ]
                for each in chosen
            ],
        )
    if sealed:
        note(sealed)
    if has_more:
        note(f"There is more: --limit {(limit or 0) * 10}, or --since.")


def _sealed(connection: Connection, now: datetime) -> str:
    """How far the record is signed; empty when the server cannot say."""
    try:
        newest = next(checkpoints(connection, 1), None)
    except NotFound:  # a server of before
        return ""
    if newest is None:
        return ""
    signed_at = show_instant(parse_instant(str(newest.get("at"))), now)
    return (
        f"Chained and signed up to event {newest.get('position')}, {signed_at}. "
        "Prove it: bascule audit verify."
    )


def detail(data: Mapping[str, object], now: datetime | None = None) -> str:
    """What an event says beyond its kind and its resource, in a few words.

    With ``now`` instants are local and ids short, for people.
    """
    return ", ".join(
        f"{name.replace('_', ' ')}: {_value(name, value, now)}"
        for name, value in data.items()
        if name not in _LEFT_OUT and value not in ("", [], False, None)
    )


def _value(name: str, value: object, now: datetime | None) -> str:
    if isinstance(value, list):
        return " ".join(_value(name, each, now) for each in value)
    text = str(value)
    if text.startswith("/subscriptions/"):
        return text.rpartition("/")[2]
    if now is None:
        return text
    if is_guid(text) and name == "request_id":
        return text[:SHORT_ID]
    try:
        return show_instant(parse_instant(text), now)
    except InvalidInput:
        return text


def render_csv(rows: Iterable[AuditEvent]) -> str:
    """A head and a line an event; no cell can be a formula."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_HEADS)
    for each in rows:
        cells = (
            format_utc(each.at),
            each.kind,
            each.actor,
            each.actor_address,
            each.resource_id,
            each.correlation_id,
            detail(each.data),
        )
        writer.writerow([_cell(clean(cell)) for cell in cells])
    return file.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


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
        },
        "resourceId": each.resource_id,
        "correlationId": each.correlation_id,
        "data": dict(each.data),
    }
