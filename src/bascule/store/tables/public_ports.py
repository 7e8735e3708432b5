"""Public ports of gateways, and the machines' ports for which they stand or stood last.

The primary key is what keeps one from standing for two. No row refers to a machine or a point: it is
held back after either is gone (EDGES G2).
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

public_ports = Table(
    "public_ports",
    metadata,
    Column("point_uid", Key, primary_key=True),
    Column("protocol", String, primary_key=True),
    Column("address", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("machine_uid", Key, nullable=False),
    Column("machine_port", Integer, nullable=False),  # over the same protocol
    Column("released_at", Instant),  # null: it stands for it
    CheckConstraint("number BETWEEN 1 AND 65535", name="port_number"),
    CheckConstraint("machine_port BETWEEN 1 AND 65535", name="machine_port_number"),
    Index(None, "machine_uid"),
)
