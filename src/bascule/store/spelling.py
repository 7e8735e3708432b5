"""What SQLite and PostgreSQL write differently in SQL, and SQLAlchemy does not know of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, LargeBinary, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

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


def each_of(values: Sequence[str], name: str | None = None) -> ColumnElement[str]:
    """A column of these values; ``name`` is its table's; None: any."""
    listed = bindparam(None, json.dumps(list(values)), String)
    found: ColumnElement[str] = _EachOf(listed).table_valued("value", name=name).c.value
    return found


def raw_of(column: ColumnElement[Any]) -> ColumnElement[bytes]:
    return _RawOf(column)


def can_look_into(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return _CanLookInto(column)
