"""Copy a whole database into an empty one, of either engine, and compare them table by table.

The target is made in one transaction, with tables, rows, numbers and revision: until it is
committed there is nothing. A row is copied as it lies there. What is not here: where databases are,
which of them has the record, and the chain (``bootstrap.moving``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, text

from bascule.errors import BasculeError, ConfigurationError
from bascule.store import migrations
from bascule.store.engine import engine_of
from bascule.store.marks import make_mark
from bascule.store.new import create_indexes, create_tables
from bascule.store.revisions import revision_of
from bascule.store.transaction import SqlReader
from bascule.store.whole import (
    OnRows,
    Sum,
    copy_table,
    count_rows,
    go_on_from,
    highest_given,
    numbered,
    sum_of,
    tables,
)

if TYPE_CHECKING:
    from bascule.interfaces.inventory import Installation

Progress = Callable[[str, int], OnRows]  # of a part, and how many rows it has


def prepare(target: Connection, name: str, of: Installation) -> None:
    """Empty the target, in the caller's transaction. It must be empty already, or have an unfinished
    copy of this installation; otherwise raise ConfigurationError and leave it as it is.
    """
    found = revision_of(target, name)
    if found is None:
        return
    known = SqlReader(target).installation() if found == migrations.REVISION else None
    if known is None or known.tenant_id != of.tenant_id or not known.is_arriving:
        if known is None:
            whose = "tables of Bascule already"
        elif known.tenant_id != of.tenant_id:
            whose = "the record of another installation"
        else:
            whose = f"a{' retired' if known.moved_to else ''} record of this installation already"
        raise ConfigurationError(
            f"The database {name} has {whose}. It was left as it is.",
            advice="Give an empty database.",
        )
    for table in reversed([*tables()]):
        target.execute(text(f'DROP TABLE IF EXISTS "{table.name}"'))
    target.execute(text("DROP TABLE alembic_version"))


def copy_all(source: Connection, target: Connection, say: Progress) -> Mapping[Table, Sum]:
    """Fill the empty target, in the caller's transaction; what was read of each table."""
    create_tables(target)
    read: dict[Table, Sum] = {}
    for table in tables():
        total = count_rows(source, table)
        try:
            read[table] = copy_table(source, target, table, say(table.name, total))
        except engine_of(target).failures as error:
            raise _not_taken(table, error) from error
        except engine_of(source).failures as error:
            raise _not_taken(table, error) from error
        column = numbered(table)
        if column is not None:
            go_on_from(target, table, column, highest_given(source, table, column))
    create_indexes(target)
    make_mark(target)
    return read


def compare(target: Connection, read: Mapping[Table, Sum], say: Progress) -> None:
    """Raise ConfigurationError unless each table has what was read of the source."""
    for table, expected in read.items():
        there = sum_of(target, table, say(table.name, expected.rows))
        if there != expected:
            raise ConfigurationError(
                f"The copy of the table {table.name} is not what was read: {there.rows} rows, "
                f"digest {there.digest[:16]}, instead of {expected.rows}, {expected.digest[:16]}. "
                f"Nothing was changed.",
                advice="Report this as a bug.",
            )


def _not_taken(table: Table, error: Exception) -> BasculeError:
    said = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
    return ConfigurationError(
        f"The table {table.name} cannot be copied: {said}. Nothing was changed.",
        advice="Check the database: bascule admin database check --data DATA",
    )
