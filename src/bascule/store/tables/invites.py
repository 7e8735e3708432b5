"""Invitations of replicas that were not used. Empty with SQLite."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

replica_invites = Table(
    "replica_invites",
    metadata,
    Column("id", Key, primary_key=True),
    Column("sealed", String, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
