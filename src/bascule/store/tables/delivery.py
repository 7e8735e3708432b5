"""Sinks: what their owner set, what signs their calls, and how far they have got.

Three tables, because they are written by different acts: progress with every delivery,
secrets when they are made, and neither with the settings.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table

from bascule.store.columns import Instant, Json, Key
from bascule.store.tables.metadata import metadata

sinks = Table(
    "sinks",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name_key", Key, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("target", String, nullable=False),
    Column("form", String, nullable=False),
    Column("kinds", Json, nullable=False),
    Column("level", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("ca_certificates", String, nullable=False),
    Column("created_at", Instant, nullable=False),
)

sink_secrets = Table(
    "sink_secrets",
    metadata,
    Column("sink_id", Key, ForeignKey(sinks.c.id, ondelete="CASCADE"), primary_key=True),
    Column("current", String, nullable=False),
    Column("previous", String, nullable=False),
    Column("previous_until", Instant),
)

sink_progress = Table(
    "sink_progress",
    metadata,
    Column("sink_id", Key, ForeignKey(sinks.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("delivered_position", BigInteger, nullable=False),
    Column("delivered_at", Instant),
    Column("failures", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("alone_until", BigInteger, nullable=False),
    Column("next_try_at", Instant),
    Column("last_error", String, nullable=False),
    Column("last_error_at", Instant),
)
