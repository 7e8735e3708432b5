"""``bascule status --history``: one's own requests and what became of them; needs no right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.find import summary
from bascule.cli.printing import emit_json, note, render_table
from bascule.cli.show import request_json
from bascule.cli.spans import show_minute
from bascule.client.access import own_requests

if TYPE_CHECKING:
    from bascule.client.connection import Connection
    from bascule.client.machines import Machine

HISTORY = 20  # requests, unless more are asked for


def print_history(connection: Connection, wanted: Machine | None, limit: int, output: str) -> None:
    found = own_requests(connection, limit, wanted.id if wanted is not None else None)
    if output == "json":
        emit_json([{**request_json(each), "reasons": list(each.reasons)} for each in found])
        return
    if not found:
        note("You have requested nothing yet. To request access: bascule request MACHINE")
        return
    now = connection.now()
    rows = [
        [
            show_minute(each.started_at, now),
            summary(each),
            each.state,
            show_minute(each.ends_at, now) if each.ends_at else "",
            each.justification or "; ".join(each.reasons),
            each.id,
        ]
        for each in found
    ]
    heads = ["REQUESTED", "WHAT", "STATE", "UNTIL", "WHY", "REQUEST"]
    click.echo(render_table(heads, rows), nl=False)
    if len(found) == limit:
        note(
            f"The newest {limit} are shown. For more: bascule status --history --limit {10 * limit}"
        )
