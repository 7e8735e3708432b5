"""The link by which a fresh installation gets its first person: one row, or none."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

set_up_link = Table(
    "set_up_link",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("hash", Key, nullable=False),
    Column("made_at", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
