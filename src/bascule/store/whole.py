"""A whole database, table by table: its rows as both engines have them, and sums to compare.

A row is a tuple of int, float, bool, str and None, JSON as the text that lies there. The sum of a
table does not depend on the order of its rows, so nothing is sorted and nothing is held in memory.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    Table,
    TypeDecorator,
    func,
    select,
    text,
)

from bascule.store import tables as t
from bascule.store.engine import driver_of

if TYPE_CHECKING:
    from psycopg import Connection as PsycopgConnection

Row = tuple[Any, ...]
OnRows = Callable[[int], None]  # how many of the table are done
BATCH = 5000  # rows that are held in memory
_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class Sum:
    """What a table holds: equal for equal rows, whichever database they are in."""

    rows: int = 0
    digest: str = f"{0:064x}"


class _Summing:
    def __init__(self) -> None:
        self._rows = self._total = 0

    def take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._rows += 1
            self._total += int.from_bytes(hashlib.sha256(repr(row).encode()).digest())

    def result(self) -> Sum:
        return Sum(self._rows, f"{self._total % _MODULUS:064x}")


def count_rows(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def sum_of(connection: Connection, table: Table, on_rows: OnRows = lambda _: None) -> Sum:
    """Read a table whole."""
    summing, done = _Summing(), 0
    for batch in batches_of(connection, table):
        summing.take(batch)
        done += len(batch)
        on_rows(done)
    return summing.result()


def copy_table(source: Connection, target: Connection, table: Table, on_rows: OnRows) -> Sum:
    """Write the rows of one into the empty table of the other; the sum of what was read."""
    summing, done = _Summing(), 0

    def read() -> Iterator[list[Row]]:
        nonlocal done
        for batch in batches_of(source, table):
            summing.take(batch)
            yield batch
            done += len(batch)
            on_rows(done)

    _write = _write_postgresql if _is_postgresql(target) else _write_sqlite
    _write(target, table, read())
    return summing.result()


def batches_of(connection: Connection, table: Table) -> Iterator[list[Row]]:
    read = _read_postgresql if _is_postgresql(connection) else _read_sqlite
    rows = read(connection, table)
    while batch := list(itertools.islice(rows, BATCH)):
        yield batch


def numbered(table: Table) -> Column[int] | None:
    """The column to which the database gives numbers; None: it gives none."""
    return table.autoincrement_column


def highest_given(connection: Connection, table: Table, column: Column[int]) -> int:
    """The highest number that was ever given, as far as the database knows; 0: none."""
    there = connection.execute(select(func.max(column))).scalar_one() or 0
    if _is_postgresql(connection):
        name = _sequence_of(connection, table, column)
        row = connection.execute(text(f"SELECT last_value, is_called FROM {name}")).one()  # noqa: S608  # reason: a name of ours
        return max(there, row.last_value if row.is_called else 0)
    found = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    kept = connection.execute(found, {"name": table.name}).scalar_one_or_none()
    return max(there, kept or 0)


def next_given(connection: Connection, table: Table, column: Column[int]) -> int:
    """The number that the next row gets; a row that is there may have it only by damage."""
    if _is_postgresql(connection):
        name = _sequence_of(connection, table, column)
        row = connection.execute(text(f"SELECT last_value, is_called FROM {name}")).one()  # noqa: S608  # reason: a name of ours
        return int(row.last_value) + bool(row.is_called)
    return highest_given(connection, table, column) + 1


def go_on_from(connection: Connection, table: Table, column: Column[int], highest: int) -> None:
    """Have the next number be above this one."""
    if _is_postgresql(connection):
        name = _sequence_of(connection, table, column)
        connection.execute(
            text("SELECT setval(CAST(:name AS regclass), :value, :is_called)"),
            {"name": name, "value": max(highest, 1), "is_called": highest > 0},
        )
    elif table.dialect_options["sqlite"]["autoincrement"]:
        values = {"name": table.name, "value": highest}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :value)"), values)


def tables() -> list[Table]:
    """Each after those that it refers to."""
    return list(t.metadata.sorted_tables)


def _sequence_of(connection: Connection, table: Table, column: Column[int]) -> str:
    asked = text("SELECT pg_get_serial_sequence(:table, :column)")
    found = connection.execute(asked, {"table": f'"{table.name}"', "column": column.name})
    return str(found.scalar_one())


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _kind(column: Column[Any]) -> type:
    kept: Any = column.type
    while isinstance(kept, TypeDecorator):
        kept = kept.impl_instance
    for wide, kind in ((JSON, dict), (Boolean, bool), (Float, float)):
        if isinstance(kept, wide):
            return kind
    return int if isinstance(kept, Integer | BigInteger) else str


def _names(table: Table, json: str) -> str:
    """Its columns; ``json`` is how JSON becomes the text that lies there."""
    return ", ".join(
        json.format(f'"{column.name}"') if _kind(column) is dict else f'"{column.name}"'
        for column in table.columns
    )


def _read_sqlite(connection: Connection, table: Table) -> Iterator[Row]:
    names = _names(table, "CAST({} AS TEXT)")
    found = driver_of(connection).execute(f'SELECT {names} FROM "{table.name}"')  # noqa: S608  # reason: names of ours
    truths = [at for at, column in enumerate(table.columns) if _kind(column) is bool]
    for row in found:
        if truths:
            changed = list(row)
            for at in truths:
                changed[at] = {0: False, 1: True}.get(row[at], row[at])
            yield tuple(changed)
        else:
            yield row


def _read_postgresql(connection: Connection, table: Table) -> Iterator[Row]:
    names = _names(table, "CAST({} AS TEXT)")
    types = {int: "int8", bool: "bool", float: "float8", str: "text", dict: "text"}
    asked = f'COPY (SELECT {names} FROM "{table.name}") TO STDOUT'  # noqa: S608  # reason: names of ours
    with _psycopg(connection).cursor() as cursor, cursor.copy(asked.encode()) as copy:
        copy.set_types([types[_kind(column)] for column in table.columns])
        yield from copy.rows()


def _write_sqlite(connection: Connection, table: Table, batches: Iterable[list[Row]]) -> None:
    marks = ", ".join("?" * len(table.columns))
    driver: Any = driver_of(connection)
    for batch in batches:
        driver.executemany(
            f'INSERT INTO "{table.name}" ({_names(table, "{}")}) VALUES ({marks})',  # noqa: S608  # reason: names of ours
            batch,
        )


def _write_postgresql(connection: Connection, table: Table, batches: Iterable[list[Row]]) -> None:
    asked = f'COPY "{table.name}" ({_names(table, "{}")}) FROM STDIN'
    with _psycopg(connection).cursor() as cursor, cursor.copy(asked.encode()) as copy:
        for batch in batches:
            for row in batch:
                copy.write_row(row)


def _psycopg(connection: Connection) -> PsycopgConnection:
    return cast("PsycopgConnection", driver_of(connection))
