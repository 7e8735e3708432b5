"""What lists of machines filter and order by, kept beside each machine.

One narrow row a machine, so that a list of a hundred thousand is read in one sweep at worst.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

listed_machines = Table(
    "listed_machines",
    metadata,
    Column("machine_uid", Key, ForeignKey("machines.uid", ondelete="CASCADE"), primary_key=True),
    Column("id_key", Key, nullable=False, unique=True),
    Column("name_key", Key, nullable=False),
    Column("group_key", Key, nullable=False),
    Column("os_type", String, nullable=False),
    Column("traits", Integer, nullable=False),  # domain.classify.Traits.code without the plan's bit
    Column("is_shut", Boolean, nullable=False),
    Column("is_silent", Boolean, nullable=False),
    Column("is_behind", Boolean, nullable=False),
    Column("recent_requests", Integer, nullable=False),
    Column("last_access_at", Instant, nullable=False),  # 1970: never
    Column("last_user_id", Key, nullable=False),
    Column("last_user", String, nullable=False),
    Column("last_user_key", Key, nullable=False),  # folded, to be ordered by
    Index(None, "name_key", "id_key"),
    Index(None, "last_access_at", "id_key"),
    Index(None, "recent_requests", "id_key"),
    Index(None, "last_user_key", "id_key"),
    Index(None, "group_key", "traits"),
)

# Written out, not bound: an index over a part is used only where its own words are met.
IS_SILENT = listed_machines.c.is_silent.is_(True)

Index(
    "ix_listed_machines_silent",
    listed_machines.c.id_key,
    sqlite_where=IS_SILENT,
    postgresql_where=IS_SILENT,
)

# Requests from that instant on are counted in ``recent_requests``.
recent_window = Table(
    "recent_window",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("begins_at", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
