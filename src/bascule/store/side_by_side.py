"""Several queries in one statement, where they are always wanted together.

Their columns stand side by side, and each row is of one query: what the others would say is null. A
``UNION ALL`` of them is read in one go, where a join would repeat the rows of one for each of another.
Rows come in no order.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Label, Select, cast, literal_column, null, union_all


class SideBySide:
    """``statement``, and what makes a row of one query again of each of its rows."""

    def __init__(self, *queries: Select[Any]) -> None:
        columns = [query.selected_columns.items() for query in queries]
        parts = []
        for place, query in enumerate(queries):
            row: list[Label[Any]] = [literal_column(str(place)).label("query")]
            for other, names in enumerate(columns):
                row += [
                    # PostgreSQL asks a null what type it is of.
                    (column if other == place else cast(null(), column.type)).label(
                        f"of_{other}_{name}"
                    )
                    for name, column in names
                ]
            parts.append(query.with_only_columns(*row, maintain_column_froms=True))
        self.statement = union_all(*parts)
        self._queries: list[tuple[slice, Callable[[Sequence[Any]], Any]]] = []
        begin = 1
        for names in columns:
            end = begin + len(names)
            made = namedtuple("Row", [name for name, _ in names])  # type: ignore[misc]  # noqa: PYI024  # reason: its fields are known at run time
            self._queries.append((slice(begin, end), partial(tuple.__new__, made)))
            begin = end

    def apart(self, row: Sequence[Any]) -> tuple[int, Any]:
        """Which query a row is of, and the row as that query has it."""
        part, make = self._queries[row[0]]
        return row[0], make(row[part])
