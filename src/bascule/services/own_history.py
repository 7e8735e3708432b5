"""What callers may read of the record without a right to everybody's: what they did themselves.

An event is one's own if one caused it. What it tells beside its own record is left out where it
speaks of another's access, or of gateways: who lost a right would still read there how things
are now. What became of one's own requests the requests tell, which are always one's own to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bascule.interfaces.record import EventFilter, EventReads
from bascule.services.activity import LogReads, LogRow, rows_of


class OwnEventReads(LogReads, EventReads, Protocol):
    """The record, and what its events tell of."""


def own_events(
    reader: OwnEventReads, principal_id: str, asked: EventFilter, after: int, limit: int, most: int
) -> tuple[Sequence[LogRow], int]:
    """As ``events_page``, of events that this principal caused, whatever person ``asked`` names."""
    wanted = replace(asked, principal_id=principal_id, caller="")
    found, beyond = reader.events_page(wanted, after, limit, most)
    rows = rows_of(reader, found)
    named = sorted({row.about.request_id for row in rows if row.about and row.about.request_id})
    requests = reader.requests_of(named)
    own = {each.id for each in requests.values() if each.requestor_id == principal_id}
    return [
        replace(
            row,
            about=row.about if row.about and row.about.request_id in own else None,
            gateways={},
        )
        for row in rows
    ], beyond
