"""Statements that run again and again: compiled once, and run by the driver itself.

SQLAlchemy prepares parameters, execution and result at each run, which costs several times what
the database does. A statement object that runs a second time is a constant of a module. Its text, the
order of its parameters and the conversions of its values are kept here as long as the object lives.
SQLAlchemy makes all of them, so that none is written twice. No value and no row is kept.
What is not here: statements that are made for one call, which SQLAlchemy runs; and errors (``rows``).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import ClauseElement, Dialect, Executable, Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import ReturnsRows
from sqlalchemy.types import TupleType

Given = Mapping[str, Any]
Convert = Callable[[Any], Any]
Make = Callable[[Sequence[Any]], Any]

MOST_FORMS = 128  # of one statement: by the names that it was given and the lengths of its lists


@dataclass(frozen=True, slots=True)
class Form:
    """A statement as the driver takes it."""

    text: str
    own: Given  # values that the statement itself brings
    places: Sequence[tuple[str, int, Convert | None]]  # name; place in a list, -1: it is no list
    make: Make  # a row, of its values
    read: Sequence[tuple[int, Convert]]  # columns to convert

    def values(self, given: Given) -> list[Any]:
        found = {**self.own, **given} if self.own else given
        values: list[Any] = []
        for name, place, convert in self.places:
            value = found[name] if place < 0 else found[name][place]
            values.append(value if convert is None else convert(value))
        return values

    def row(self, raw: Sequence[Any]) -> Any:  # noqa: ANN401  # reason: a row
        """Its columns by name; raises what a conversion does."""
        if not self.read:
            return self.make(raw)
        values = list(raw)
        for place, convert in self.read:
            values[place] = convert(values[place])
        return self.make(values)


@dataclass(slots=True)
class _Kept:
    """What is known of one statement. A reference to the statement here would keep it for ever."""

    forms: dict[tuple[Any, ...], Form]
    lists: tuple[str, ...] = ()  # its parameters that are lists
    is_ours: bool = True  # False: SQLAlchemy must run it


class Forms:
    """The forms of statements for one database."""

    def __init__(self, dialect: Dialect) -> None:
        """``dialect`` writes parameters in the order of the text, without names."""
        self._dialect = dialect
        self._kept: WeakKeyDictionary[Executable, _Kept] = WeakKeyDictionary()

    def of(self, statement: Executable, given: Given, *, is_many: bool = False) -> Form | None:
        """How the driver runs it with these parameters; None: SQLAlchemy is to run it."""
        known = self._kept.get(statement)
        if known is None:
            self._kept[statement] = _Kept({})
            return None
        if not known.is_ours:
            return None
        found = known.forms.get(_shape(known, given, is_many=is_many))
        return found or _compile(self._dialect, known, statement, given, is_many=is_many)


def run(driver: Any, form: Form, given: Given | Sequence[Given]) -> Any:  # noqa: ANN401  # reason: a driver's
    """``given``: the parameters, or those of many rows."""
    if isinstance(given, Mapping):
        return on_driver(driver, form.text, form.values(given), is_many=False)
    return on_driver(driver, form.text, [form.values(each) for each in given], is_many=True)


def on_driver(driver: Any, text: str, values: list[Any], *, is_many: bool) -> Any:  # noqa: ANN401  # reason: a driver's
    if not is_many:
        return driver.execute(text, values)
    return driver.executemany(text, values) or driver  # PEP 249 leaves open what it returns


def _shape(known: _Kept, given: Given, *, is_many: bool) -> tuple[Any, ...]:
    """What else the text depends on: which parameters there are, and how long lists are."""
    return (is_many, *given, *(len(given[name]) for name in known.lists if name in given))


def _compile(
    dialect: Dialect, known: _Kept, statement: Executable, given: Given, *, is_many: bool
) -> Form | None:
    compiled = cast("ClauseElement", statement).compile(
        dialect=dialect,
        column_keys=list(given) if isinstance(statement, Insert | Update) else None,
        for_executemany=is_many,
    )
    columns = _columns(dialect, statement)
    if columns is None or not isinstance(compiled, SQLCompiler) or not _is_plain(compiled):
        known.is_ours = False
        return None
    whole = compiled.construct_params(given)
    expanded = compiled.construct_expanded_state(whole)
    known.lists = tuple(expanded.parameter_expansion)
    sources = {
        part: (name, place)
        for name, parts in expanded.parameter_expansion.items()
        for place, part in enumerate(parts)
    }
    converters = {
        name: bound.type.dialect_impl(dialect).bind_processor(dialect)
        for name, bound in compiled.binds.items()
    }
    wanted = [sources.get(each, (each, -1)) for each in expanded.positiontup or ()]
    form = Form(
        expanded.statement,
        {name: value for name, value in whole.items() if name not in given},
        [(name, place, converters[name]) for name, place in wanted],
        *columns,
    )
    if len(known.forms) >= MOST_FORMS:
        known.forms.clear()
    known.forms[_shape(known, given, is_many=is_many)] = form
    return form


def _is_plain(compiled: SQLCompiler) -> bool:
    """Is nothing about it left for SQLAlchemy to do at each run?"""
    later = compiled.literal_execute_params or compiled.escaped_bind_names
    made = compiled.insert_prefetch or compiled.update_prefetch  # values that Python makes
    pairs = any(isinstance(each.type, TupleType) for each in compiled.post_compile_params)
    return not (later or made or pairs)


def _columns(
    dialect: Dialect, statement: Executable
) -> tuple[Make, Sequence[tuple[int, Convert]]] | None:
    """What makes a row, and the columns to convert; None: their names cannot be a tuple's."""
    if not isinstance(statement, ReturnsRows):
        return None
    columns = statement.exported_columns.items()
    try:
        row = namedtuple("Row", [name for name, _ in columns])  # type: ignore[misc]  # noqa: PYI024  # reason: its fields are known at run time
    except ValueError:
        return None
    read = [
        (place, convert)
        for place, (_, column) in enumerate(columns)
        if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
    ]
    return partial(tuple.__new__, row), read
