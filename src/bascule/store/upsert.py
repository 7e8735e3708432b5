"""``INSERT ... ON CONFLICT``, which SQLAlchemy has for each database by itself.

SQLite and PostgreSQL spell it alike, so it is written out.
"""

from __future__ import annotations

from sqlalchemy import Table, TextClause, bindparam, text


def insert_or_add(table: Table, *sums: str) -> TextClause:
    """Insert a row; where its primary key is there already, add to these columns instead."""
    added = (f"{name} = {table.name}.{name} + excluded.{name}" for name in sums)
    return _insert(table, f"UPDATE SET {', '.join(added)}")


def insert_or_set(table: Table, *names: str) -> TextClause:
    """The same, to set these columns instead."""
    return _insert(table, f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}")


def insert_once(table: Table) -> TextClause:
    """Insert a row, unless its primary key is there already: then no row is touched."""
    return _insert(table, "NOTHING")


def _insert(table: Table, otherwise: str) -> TextClause:
    names = [column.name for column in table.columns]
    key = ", ".join(column.name for column in table.primary_key.columns)
    said = (
        f"INSERT INTO {table.name} ({', '.join(names)}) "  # noqa: S608  # reason: names of ours
        f"VALUES ({', '.join(f':{name}' for name in names)}) "
        f"ON CONFLICT ({key}) DO {otherwise}"
    )
    return text(said).bindparams(*(bindparam(each.name, type_=each.type) for each in table.columns))
