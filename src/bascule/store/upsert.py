"""``INSERT ... ON CONFLICT``, which SQLAlchemy has for each database by itself.

SQLite and PostgreSQL spell it alike. Where another one is compiled for, its ``insert`` is named here.
"""

from __future__ import annotations

from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import Insert, insert


def insert_or_add(table: Table, *sums: str) -> Insert:
    """Insert a row; where its primary key is there already, add to these columns instead."""
    new = insert(table)
    return new.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: table.c[name] + new.excluded[name] for name in sums},
    )
