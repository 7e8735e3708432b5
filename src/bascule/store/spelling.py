"""What SQLite and PostgreSQL write differently in SQL, and SQLAlchemy does not know of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, LargeBinary, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from bascule.store.columns import Instant

# PostgreSQL keeps these escapes and makes no text of them: NUL, and half of a surrogate pair.
_NO_TEXT = r"\\u0000|\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]"


class _EachOf(FunctionElement[str]):
    """The strings of a list, one a row: one value of the statement, however many they are."""

    name = "each_of"
    inherit_cache = True


class _RawOf(FunctionElement[bytes]):
    """A column of JSON as the bytes that lie there, whatever they are."""

    name = "raw_of"
    type = LargeBinary()
    inherit_cache = True


class _CanLookInto(FunctionElement[bool]):
    """Can parts of this JSON be asked for? To ask for one that cannot be said fails a statement."""

    name = "can_look_into"
    type = Boolean()
    inherit_cache = True


class _DatabaseNow(FunctionElement[datetime]):
    """The clock of the database's machine, which all that use it share."""

    name = "database_now"
    type = Instant()
    inherit_cache = True


class _IsBeforeAllRunning(FunctionElement[bool]):
    """Was this row of the record written before all transactions that are still running?"""

    name = "is_before_all_running"
    type = Boolean()
    inherit_cache = True


@compiles(_IsBeforeAllRunning, "sqlite")
def _is_before_all_running_sqlite(*_: Any, **__: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    return "1"  # there is one writer


@compiles(_IsBeforeAllRunning, "postgresql")
def _is_before_all_running_postgresql(*_: Any, **__: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    """Running for this snapshot, and not known to be of another database of the cluster.

    A row's ``xmin`` has 32 bits that wrap around; the halves of the circle are before and after.
    """
    return (
        "(SELECT coalesce(bool_and((((id::text::bigint & 4294967295) - events.xmin::text::bigint)"
        " & 4294967295) BETWEEN 1 AND 2147483647), true)"
        " FROM pg_snapshot_xip(pg_current_snapshot()) AS running (id)"
        " WHERE NOT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity AS other"
        " ON other.pid = pg_locks.pid WHERE locktype = 'transactionid' AND granted"
        " AND mode = 'ExclusiveLock' AND transactionid = id::xid AND other.datid <>"
        " (SELECT oid FROM pg_database WHERE datname = current_database())))"
    )


@compiles(_EachOf, "sqlite")
def _each_of_sqlite(element: _EachOf, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    return f"json_each({compiler.process(element.clauses, **more)})"


@compiles(_EachOf, "postgresql")
def _each_of_postgresql(element: _EachOf, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **more)} AS JSON))"


@compiles(_RawOf, "sqlite")
def _raw_of_sqlite(element: _RawOf, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    return f"CAST({compiler.process(element.clauses, **more)} AS BLOB)"


@compiles(_RawOf, "postgresql")
def _raw_of_postgresql(element: _RawOf, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    return f"convert_to(CAST({compiler.process(element.clauses, **more)} AS TEXT), 'UTF8')"


@compiles(_CanLookInto, "sqlite")
def _can_look_into_sqlite(element: _CanLookInto, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    return f"json_valid({compiler.process(element.clauses, **more)}) = 1"


@compiles(_CanLookInto, "postgresql")
def _can_look_into_postgresql(element: _CanLookInto, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401  # reason: SQLAlchemy's
    return f"CAST({compiler.process(element.clauses, **more)} AS TEXT) !~* '{_NO_TEXT}'"


@compiles(_DatabaseNow, "sqlite")
def _database_now_sqlite(element: _DatabaseNow, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401, ARG001  # reason: SQLAlchemy's
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


@compiles(_DatabaseNow, "postgresql")
def _database_now_postgresql(element: _DatabaseNow, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401, ARG001  # reason: SQLAlchemy's
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


def database_now() -> ColumnElement[datetime]:
    """Now, by the database's clock, to the millisecond at least."""
    return _DatabaseNow()


def each_of(values: Sequence[str], name: str | None = None) -> ColumnElement[str]:
    """A column of these values; ``name`` is its table's; None: any."""
    listed = bindparam(None, json.dumps(list(values)), String)
    found: ColumnElement[str] = _EachOf(listed).table_valued("value", name=name).c.value
    return found


def raw_of(column: ColumnElement[Any]) -> ColumnElement[bytes]:
    return _RawOf(column)


def can_look_into(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return _CanLookInto(column)


def is_before_all_running() -> ColumnElement[bool]:
    """Of a row of ``events``."""
    return _IsBeforeAllRunning()
