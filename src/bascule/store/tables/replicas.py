"""Servers that share the database. One that is alone, as on SQLite, has no row."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from bascule.store.columns import Instant, Json, Key
from bascule.store.tables.metadata import metadata

replicas = Table(
    "replicas",
    metadata,
    Column("uid", Key, primary_key=True),
    Column("host", String, nullable=False),
    Column("endpoint", String, nullable=False),
    Column("version", String, nullable=False),
    Column("revision", String, nullable=False),  # the newest that its program knows
    Column("started_at", Instant, nullable=False),  # both by the database's clock
    Column("seen_at", Instant, nullable=False),
    Column("stopped_at", Instant, nullable=True),  # likewise; empty: it did not stop cleanly
    Column("ports", Json, nullable=False),  # on which it listens, in order
    Column("addresses", Json, nullable=False),  # of its host, in order
)
