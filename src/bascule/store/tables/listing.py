"""What lists of machines filter and order by, kept beside each machine.

One narrow row a machine, so that a list of a hundred thousand is read in one sweep at worst.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table

from bascule.interfaces.listing import KEPT, ListKind, ListOrder
from bascule.store.columns import Instant, Key
from bascule.store.tables.metadata import metadata

_TYPES: Mapping[ListKind, Any] = {
    ListKind.TEXT: String,
    ListKind.NUMBER: Integer,
    ListKind.INSTANT: Instant,  # 1970: never
}


def _kept_columns() -> Iterator[Column[Any]]:
    """What lists are ordered by, with a folded copy of each text."""
    for each in KEPT:
        yield Column(each.kept, _TYPES[each.kind], nullable=False)
        if each.ordered_by != each.kept:
            yield Column(each.ordered_by, Key, nullable=False)


listed_machines = Table(
    "listed_machines",
    metadata,
    Column("machine_uid", Key, ForeignKey("machines.uid", ondelete="CASCADE"), primary_key=True),
    Column("id_key", Key, nullable=False, unique=True),
    Column("name_key", Key, nullable=False),
    Column("group_key", Key, nullable=False),
    Column("os_type", String, nullable=False),
    Column("tags_key", String, nullable=False),  # domain.classify.tags_key
    Column("traits", Integer, nullable=False),  # domain.classify.Traits.code without the plan's bit
    Column("is_closed", Boolean, nullable=False),
    Column("is_silent", Boolean, nullable=False),
    Column("is_behind", Boolean, nullable=False),
    Column("shadow", String, nullable=False),  # domain.weaknesses.Shadow; empty: none past us
    Column("last_user_id", Key, nullable=False),
    *_kept_columns(),
    *(Index(None, each.ordered_by, "id_key") for each in ListOrder),
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
