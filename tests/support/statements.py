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
from typing import Any
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.engine import Engine

from bascule.store import prepared

_SCANS = re.compile(r"^SCAN (\w+)(.*)")
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

    def scanned(self, database: Path) -> set[str]:
        """Tables of which one of them reads all rows, by what SQLite plans to do."""
        found: set[str] = set()
        with closing(sqlite3.connect(database)) as connection:
            for text, parameters in self.run:
                plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", _first(parameters))
                found |= {match[1] for row in plan if (match := _SCANS.match(str(row[3])))}
        return found - {_NO_TABLE}

    def plan(self, database: Path, words: str) -> str:
        """What SQLite plans for those that hold these words."""
        lines: list[str] = []
        with closing(sqlite3.connect(database)) as connection:
            for text, parameters in self.run:
                if words in " ".join(text.split()):
                    plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", _first(parameters))
                    lines += [str(row[3]) for row in plan]
        return "\n".join(lines)


def _first(parameters: Any) -> Any:  # reason: a driver's parameters
    """One row of them."""
    is_many = isinstance(parameters, list) and isinstance((*parameters, None)[0], list | tuple)
    return parameters[0] if is_many else parameters


@contextmanager
def statements() -> Iterator[Statements]:
    """All that any connection of this process runs meanwhile."""
    seen = Statements()

    def note(_c: object, _cursor: object, text: str, parameters: Any, *_: object) -> None:
        seen.run.append((text, parameters))

    def noted(driver: sqlite3.Connection, text: str, values: Any, *, is_many: bool) -> Any:
        seen.run.append((text, values))
        return on_driver(driver, text, values, is_many=is_many)

    on_driver = prepared.on_driver
    event.listen(Engine, "before_cursor_execute", note)
    with patch.object(prepared, "on_driver", noted):
        try:
            yield seen
        finally:
            event.remove(Engine, "before_cursor_execute", note)
