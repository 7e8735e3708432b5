"""Runs of ``bascule ssh --close``, each with the request whose access it uses."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

runs = Table(
    "runs",
    metadata,
    Column("request_id", Key, ForeignKey("requests.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Key, primary_key=True),
    Column("principal_id", Key, nullable=False),
    Column("until", Instant, index=True),  # null: its request waits for approval
)
