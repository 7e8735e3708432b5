"""Which connection of each point is the newest, over all servers. Empty where there is one server."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table

from bascule.store.columns import Key
from bascule.store.tables.metadata import metadata

point_lines = Table(
    "point_lines",
    metadata,
    Column("point_uid", Key, primary_key=True),
    Column("number", BigInteger, nullable=False),  # grows with each claim of any point
    Index(None, "number"),
)
