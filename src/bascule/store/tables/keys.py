"""The installation's keys, sealed by a key that is in no database. Empty with SQLite, where they are
files alone.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

sealed_keys = Table(
    "sealed_keys",
    metadata,
    Column("name", Key, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("sealed", String, nullable=False),
    Column("made_at", Instant, nullable=False),
)
