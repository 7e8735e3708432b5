"""Which statements calls run, apart from those that begin and end transactions.

Counted where SQLAlchemy or the store hands a statement to the driver: one that is run with many rows of
parameters is one. What the store says to the driver itself (BEGIN, SAVEPOINT, COMMIT) is none.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.engine import Engine

from bascule.store import prepared

_SCANS = re.compile(r"^SCAN (\w+)(.*)")
_READS = re.compile(r"Seq Scan on (\w+)")
_NO_TABLE = "CONSTANT"  # SCAN CONSTANT ROW


class Statements:
    """In the order in which they ran."""

    def __init__(self) -> None:
        self.run: list[tuple[str, Any]] = []

    def __len__(self) -> int:
        return len(self.run)

    def __str__(self) -> str:
        lines = (" ".join(text.split()) for text, _ in self.run)
        return "\n".join(f"{place:3} {line}" for place, line in enumerate(lines, 1))

    def scanned(self, place: Planner) -> set[str]:
        """Tables of which one of them reads all rows, by what the database plans to do."""
        return {each for text, given in self.run for each in place.scanned(text, given)}

    def plan(self, place: Planner, words: str) -> str:
        """What the database plans for those that hold these words."""
        found = [each for each in self.run if words in " ".join(each[0].split())]
        return "\n".join(line for text, given in found for line in place.plan(text, given))


class Planner(Protocol):
    """A database beside the store that uses it."""

    def do(self, statement: str) -> None: ...

    def plan(self, text: str, given: Any) -> list[str]: ...

    def scanned(self, text: str, given: Any) -> set[str]: ...


class OnSqlite:
    def __init__(self, database: Path) -> None:
        self._database = database

    def do(self, statement: str) -> None:
        with closing(sqlite3.connect(self._database)) as connection, connection:
            connection.execute(statement)

    def plan(self, text: str, given: Any) -> list[str]:
        with closing(sqlite3.connect(self._database)) as connection:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", _first(given))
            return [str(row[3]) for row in rows]

    def scanned(self, text: str, given: Any) -> set[str]:
        found = {match[1] for line in self.plan(text, given) if (match := _SCANS.match(line))}
        return found - {_NO_TABLE}


class OnPostgresql:
    """It reads all rows of a small table, where no index is as quick: those do not count."""

    LARGE = 1000  # rows

    def __init__(self, address: str) -> None:
        import psycopg  # reason: not where only SQLite is

        self._connection = psycopg.connect(address, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def do(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def plan(self, text: str, given: Any) -> list[str]:
        rows = self._connection.execute(f"EXPLAIN {text}".encode(), _first(given))
        return [str(row[0]) for row in rows]

    def scanned(self, text: str, given: Any) -> set[str]:
        found = {match[1] for line in self.plan(text, given) if (match := _READS.search(line))}
        return {each for each in found if self._rows(each) > self.LARGE}

    def _rows(self, table: str) -> int:
        counted = "SELECT reltuples FROM pg_class WHERE oid = %s::regclass"  # at the last ANALYZE
        (rows,) = self._connection.execute(counted, [table]).fetchall()
        return int(rows[0])


def _first(parameters: Any) -> Any:  # reason: a driver's parameters
    """One row of them."""
    is_many = isinstance(parameters, list) and isinstance(
        (*parameters, None)[0], list | tuple | dict
    )
    return parameters[0] if is_many else parameters


@contextmanager
def statements() -> Iterator[Statements]:
    """All that any connection of this process runs meanwhile."""
    seen = Statements()

    def note(_c: object, _cursor: object, text: str, parameters: Any, *_: object) -> None:
        seen.run.append((text, parameters))

    def noted(driver: Any, text: str, values: Any, *, is_many: bool) -> Any:
        seen.run.append((text, values))
        return on_driver(driver, text, values, is_many=is_many)

    on_driver = prepared.on_driver
    event.listen(Engine, "before_cursor_execute", note)
    with patch.object(prepared, "on_driver", noted):
        try:
            yield seen
        finally:
            event.remove(Engine, "before_cursor_execute", note)
