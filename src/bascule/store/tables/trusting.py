"""Which change of trust each agent has taken."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from bascule.store.columns import Key
from bascule.store.tables.metadata import metadata

trusting = Table(
    "trusting",
    metadata,
    Column("point_uid", Key, primary_key=True),
    Column("public_key", String, nullable=False),  # of the agent that said so
    Column("number", BigInteger, nullable=False),
)
