"""How many events of each sort there were a day: what the chart of the activity log shows.

Kept by the sealer for what it seals, so that nobody's request waits for it: a count is of
sealed events alone, and those that are not sealed yet are few and counted one by one.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from bascule.store.columns import Key
from bascule.store.tables.metadata import metadata

event_counts = Table(
    "event_counts",
    metadata,
    # Of everything when both are empty; else of a subscription or group, or of a principal.
    Column("scope_key", Key, primary_key=True),
    Column("principal_id", Key, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # since 1970, UTC
    Column("kind", String, primary_key=True),  # as in events
    Column("events", BigInteger, nullable=False),
    Index(None, "day"),  # what retention takes away
)
