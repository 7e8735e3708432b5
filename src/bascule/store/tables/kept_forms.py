"""Forms that wait for their user, who has one at most."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from bascule.store.columns import Instant, Key
from bascule.store.tables.access import users
from bascule.store.tables.metadata import metadata

kept_forms = Table(
    "kept_forms",
    metadata,
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    Column("ticket_hash", Key, nullable=False, unique=True),
    Column("path", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("kept_at", Instant, nullable=False),
    Index(None, "kept_at"),
)
