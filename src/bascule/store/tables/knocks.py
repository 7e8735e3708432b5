"""Blocked attempts by scope, hour, source and port.

No foreign key to a machine: a scope is also a resource group's or subscription's key. One row
of a scope and hour has no source, protocol or number: what others tried. All that was tried
in an hour is kept beside them, so that a picture of a day adds up 24 numbers.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

knocks = Table(
    "knocks",
    metadata,
    Column("scope", Key, primary_key=True),
    Column("hour", Instant, primary_key=True, autoincrement=False),
    Column("source", Key, primary_key=True),
    Column("protocol", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("attempts", BigInteger, nullable=False),
    Column("last_at", Instant, nullable=False),
    CheckConstraint("number BETWEEN 0 AND 65535", name="port_number"),
    Index(None, "hour", "scope"),
    sqlite_with_rowid=False,
)

knock_hours = Table(
    "knock_hours",
    metadata,
    Column("scope", Key, primary_key=True),
    Column("hour", Instant, primary_key=True, autoincrement=False),
    Column("attempts", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
