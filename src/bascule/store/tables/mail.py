"""Where people want mail, and of what."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.access import users
from bascule.store.tables.metadata import metadata

mail_choices = Table(
    "mail_choices",
    metadata,
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    Column("address", String, nullable=False),
    Column("language", String, nullable=False),
    Column("asked", Boolean, nullable=False),
    Column("own", Boolean, nullable=False),
    Column("previous", String, nullable=False),
    Column("previous_until", Instant),
)
