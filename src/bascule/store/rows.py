"""How a statement is run: by SQLAlchemy the first time, then by the driver itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Executable,
    Insert,
    Row,
    Select,
    Table,
    Update,
    and_,
    bindparam,
)

from bascule.domain.event import Event
from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix
from bascule.errors import BasculeError
from bascule.store.engine import Engine, driver_of, engine_of
from bascule.store.prepared import Form, run

T = TypeVar("T")

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

# What a row raises that says what none of ours does: somebody wrote it by hand.
UNREADABLE = (BasculeError, ValueError, TypeError, AttributeError, OverflowError)
_SLICE = 500  # values of one IN (...): far below every database's bound on parameters


def raise_translated(engine: Engine, error: Exception, doing: str) -> NoReturn:
    """Raise ours instead of a database's own exception; others go on as they are."""
    ours = engine.translate(error, doing)
    if ours is error:
        raise error
    raise ours from error


class Rows:
    """Statements on one connection, for as long as its unit of work lasts."""

    __slots__ = ("_connection", "_driver", "_engine", "_stamp", "_unwritten")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._engine = engine_of(connection)
        self._driver = self._engine.one_by_one(driver_of(connection))
        self._stamp = ""  # of access, once it was read here
        self._unwritten: list[Event] = []  # recorded; written before the next read, or at the end

    def _write_recorded(self) -> None:
        """Write them; ``record.RecordWrites`` does, and nobody else records."""

    def _form(self, statement: Executable, parameters: Parameters) -> Form | None:
        forms = self._engine.forms
        if parameters is None or isinstance(parameters, Mapping):
            return forms.of(statement, parameters or {})
        return forms.of(statement, parameters[0], is_many=True) if parameters else None

    def _all(self, statement: Executable, parameters: Parameters = None) -> Sequence[Row[Any]]:
        if self._unwritten:
            self._write_recorded()
        return self._beside_record(statement, parameters)

    def _beside_record(
        self, statement: Executable, parameters: Parameters = None
    ) -> Sequence[Row[Any]]:
        """``_all``, for a statement that reads nothing of the record, among changes."""
        try:
            form = self._form(statement, parameters)
            if form is None:
                return self._connection.execute(statement, parameters).all()
            found = run(self._driver, form, parameters or {})
            return [form.row(raw) for raw in found.fetchall()]
        except self._engine.failures as error:
            raise_translated(self._engine, error, "read")

    def _readable(
        self, statement: Executable, parameters: Parameters, read: Callable[[Row[Any]], T]
    ) -> tuple[list[T], list[Exception]]:
        """What ``read`` makes of the rows, and what is wrong with each of which it makes nothing.

        Row by row: fetched together, one column that cannot be read would fail them all.
        """
        made: list[T] = []
        wrong: list[Exception] = []
        if self._unwritten:
            self._write_recorded()
        try:
            form = self._form(statement, parameters)
            found: Any = (
                self._connection.execute(statement, parameters)
                if form is None
                else run(self._driver, form, parameters or {})
            )
            while True:
                try:
                    if (row := found.fetchone()) is None:
                        return made, wrong
                    made.append(read(row if form is None else form.row(row)))
                except UNREADABLE as error:
                    wrong.append(error)
        except self._engine.failures as error:
            raise_translated(self._engine, error, "read")

    def _first(self, statement: Executable, parameters: Parameters = None) -> Row[Any] | None:
        rows = self._all(statement, parameters)
        return rows[0] if rows else None

    def _first_of(
        self, parts: Iterable[Select[Any]], key: Column[str], limit: int
    ) -> Sequence[Row[Any]]:
        """The first rows, by a unique key, of several queries together, each row once."""
        rows: dict[str, Row[Any]] = {}
        for part in parts:
            for row in self._all(part.order_by(key).limit(limit)):
                rows[getattr(row, key.name)] = row
        return [rows[each] for each in sorted(rows)[:limit]]

    def _run(self, statement: Executable, parameters: Parameters = None) -> int:
        """Run a statement that writes and return how many rows it touched."""
        try:
            form = self._form(statement, parameters)
            if form is None:
                return self._connection.execute(statement, parameters).rowcount
            return int(run(self._driver, form, parameters or {}).rowcount)
        except self._engine.failures as error:
            raise_translated(self._engine, error, "written")

    def _put(self, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Write one row whole: update it when it is there, else add it.

        Two statements, because an upsert is spelt otherwise on each database.
        """
        change, add = _put_statements(table, tuple(key), tuple(values))
        here = {f"here_{name}": value for name, value in key.items()}
        if not self._run(change, {**here, **values}):
            self._run(add, {**key, **values})


@lru_cache(maxsize=256)
def _put_statements(
    table: Table, key: tuple[str, ...], names: tuple[str, ...]
) -> tuple[Update, Insert]:
    """Built once: making a statement costs more than running it, and leaves reference cycles."""
    here = and_(
        *(table.c[name] == bindparam(f"here_{name}", type_=table.c[name].type) for name in key)
    )
    return table.update().where(here).values({n: bindparam(n) for n in names}), table.insert()


def slices(values: Sequence[T]) -> Sequence[Sequence[T]]:
    """Cut a long list so that each piece fits into one statement."""
    return [values[start : start + _SLICE] for start in range(0, len(values), _SLICE)]


@lru_cache(maxsize=8192)
def resource_id(text: str) -> ResourceId:
    """A stored id; they are few and read often."""
    return ResourceId.parse(text)


@lru_cache(maxsize=8192)
def address_prefix(text: str) -> AddressPrefix:
    return AddressPrefix.parse(text)


def prefixes(texts: Sequence[str]) -> tuple[AddressPrefix, ...]:
    return tuple(address_prefix(text) for text in texts)
