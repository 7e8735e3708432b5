"""Security plans of scopes, and what machines' enforcement points were last read back to hold."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, String, Table

from bascule.store.columns import Instant, Json, Key
from bascule.store.tables.metadata import metadata

plans = Table(
    "plans",
    metadata,
    Column("scope_key", Key, primary_key=True),
    Column("scope", String, nullable=False),
    Column("tier", String, nullable=False),
    Column("is_enforced", Boolean, nullable=False),
    Column("set_at", Instant, nullable=False),
)

held_rules = Table(
    "held_rules",
    metadata,
    Column("machine_uid", Key, ForeignKey("machines.uid", ondelete="CASCADE"), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("since", Instant, nullable=False),
    Column("closed", Json, nullable=False),
    Column("local", Json, nullable=False),
)
