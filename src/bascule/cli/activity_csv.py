"""Events as comma-separated values: columns that stay, and cells that no spreadsheet runs.

RFC 4180, UTF-8, a head. The columns are documented in docs/activity.md and only ever gain
ones at the end (Azure's own are not published). A cell that a spreadsheet would take for a
formula gets an apostrophe before it (OWASP, CSV injection); control characters are out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from bascule.cli.clean import clean
from bascule.client.audit import AuditEvent
from bascule.domain.times import format_utc

COLUMNS = (
    "at",
    "kind",
    "actor",
    "actorKind",
    "actorId",
    "actorAddress",
    "resourceId",
    "correlationId",
    "justification",
    "detail",
    "id",
    "position",
    "hash",
    "client",
)
# Full-width forms too: some spreadsheets read them as the plain ones.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_head() -> str:
    return _line(COLUMNS)


def csv_row(event: AuditEvent, detail: Callable[[Mapping[str, object]], str]) -> str:
    """One line, its end included; ``detail`` puts an event's own fields into words."""
    data = dict(event.data)
    justification = data.pop("justification", "")
    return _line(
        (
            format_utc(event.at),
            event.kind,
            event.actor,
            event.actor_kind,
            event.actor_id,
            event.actor_address,
            event.resource_id,
            event.correlation_id,
            str(justification),
            detail(data),
            event.id,
            str(event.position or ""),
            event.hash,
            event.client,
        )
    )


def _line(cells: tuple[str, ...]) -> str:
    file = io.StringIO()
    csv.writer(file).writerow([_cell(clean(cell)) for cell in cells])
    return file.getvalue()


def _cell(text: str) -> str:
    """A tab or line end before the sign is a blank by now, which spreadsheets may drop."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
