"""Make a new database: every table of ``store.tables``, and the rows that each database has.

What is not here: upgrades of databases that exist (``upgrade``).
"""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, insert
from sqlalchemy.schema import CreateIndex, CreateTable

from bascule.domain.lifecycle import GRANT_TRANSITIONS, REQUEST_TRANSITIONS
from bascule.store import tables as t
from bascule.store.marks import make_mark
from bascule.store.tables import access


def fill(connection: Connection) -> None:
    """Fill an empty database, in the caller's transaction, and mark it with this program's revision."""
    create_tables(connection)
    create_indexes(connection)
    for table, moves in (
        (t.grant_transitions, GRANT_TRANSITIONS),
        (t.request_transitions, REQUEST_TRANSITIONS),
    ):
        rows = [{"from_state": str(old), "to_state": str(new)} for old, new in moves]
        connection.execute(insert(table), rows)
    connection.execute(insert(access.access_stamp).values(id=1, stamp=secrets.token_hex(16)))
    make_mark(connection)


def create_tables(connection: Connection) -> None:
    """Every table, without its indexes and rows."""
    for table in t.metadata.sorted_tables:
        connection.execute(CreateTable(table))


def create_indexes(connection: Connection) -> None:
    """Of each table its indexes in one order, by their names from the last one.

    Of two indexes that promise as much, SQLite reads by the one that was made later. ``create_all``
    makes them in the order of a set, which is another one in each process.
    """
    for table in t.metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda each: str(each.name), reverse=True):
            connection.execute(CreateIndex(index))
