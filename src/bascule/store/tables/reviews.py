"""Reviews of emergency access: what somebody else found."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

reviews = Table(
    "reviews",
    metadata,
    Column("request_id", Key, ForeignKey("requests.id", ondelete="CASCADE"), primary_key=True),
    Column("principal_id", Key, nullable=False),
    Column("name", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("note", String, nullable=False),
)
