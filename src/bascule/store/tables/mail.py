"""Where people want mail, and of what."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

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
    Column("ending", Boolean, nullable=False),
    Column("previous", String, nullable=False),
    Column("previous_until", Instant),
)

# Of which grants the requestor was told that they end soon; it counts for that end alone.
warned_grants = Table(
    "warned_grants",
    metadata,
    Column("grant_id", Key, ForeignKey("grants.id", ondelete="CASCADE"), primary_key=True),
    Column("ends_at", Instant, nullable=False),
)

# Of which scheduled requests it was told that they start soon.
warned_starts = Table(
    "warned_starts",
    metadata,
    Column("request_id", Key, ForeignKey("requests.id", ondelete="CASCADE"), primary_key=True),
)

# Addresses that people gave and did not confirm yet.
mail_unconfirmed = Table(
    "mail_unconfirmed",
    metadata,
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    Column("address", String, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("code_hash", String, nullable=False),  # empty: it was not sent yet
    Column("tries", Integer, nullable=False),
)

# Codes that were asked for within a day, which bounds how many there may be.
mail_codes_asked = Table(
    "mail_codes_asked",
    metadata,
    Column("id", Key, primary_key=True),
    Column("user_id", Key, nullable=False),
    Column("address", Key, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "user_id", "at"),
    Index(None, "address", "at"),
    Index(None, "at"),
)
