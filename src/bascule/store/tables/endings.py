"""What people were told of certificates and secrets that end."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

told_endings = Table(
    "told_endings",
    metadata,
    Column("id", Key, primary_key=True),
    Column("ends_at", Instant, primary_key=True),
    Column("days", Integer, nullable=False),
)
