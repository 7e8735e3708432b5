"""Which server holds which duty. With one server over SQLite there are no rows."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

duties = Table(
    "duties",
    metadata,
    Column("name", Key, primary_key=True),
    Column("holder", String, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("until", Instant, nullable=False),
)
