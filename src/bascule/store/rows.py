"""How a statement is run, and which of our errors its failure becomes.

No exception of SQLAlchemy or of a driver leaves the store: a refused row is a Conflict, a
database that cannot be used is Unavailable, text or a number that no column can hold is
InvalidInput. A statement that is itself wrong is a bug of ours and stays as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

import structlog
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
from sqlalchemy.exc import DBAPIError

from bascule.domain.event import Event
from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix
from bascule.errors import BasculeError, Conflict, InvalidInput, Unavailable
from bascule.store.connections import driver_of
from bascule.store.prepared import Form, form_of, run

log = structlog.get_logger("bascule.store")

T = TypeVar("T")

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

FAILURES = (DBAPIError, sqlite3.Error, UnicodeEncodeError, OverflowError)
# What a row raises that says what none of ours does: somebody wrote it by hand.
_UNREADABLE = (BasculeError, ValueError, TypeError, AttributeError, OverflowError)
_SLICE = 500  # values of one IN (...): far below every database's bound on parameters
_NOTHING_CHANGED = "Nothing was changed."
# By the beginning of SQLite's name for the failure: what it is, and what to do.
_CAUSES: Mapping[str, tuple[str, str]] = {
    "SQLITE_FULL": ("the disk is full", f"{_NOTHING_CHANGED} Free some space and try again."),
    "SQLITE_READONLY": (
        "it is read-only",
        f"{_NOTHING_CHANGED} Let the server's account write to the file and its folder.",
    ),
    "SQLITE_CANTOPEN": (
        "its file cannot be opened",
        f"{_NOTHING_CHANGED} Check that the folder exists and its permissions.",
    ),
    "SQLITE_BUSY": (
        "another process holds it",
        f"{_NOTHING_CHANGED} Try again. If this persists, end the other process.",
    ),
    "SQLITE_LOCKED": ("another process holds it", f"{_NOTHING_CHANGED} Try again."),
    "SQLITE_CORRUPT": ("its file is damaged", "Restore the last backup."),
    "SQLITE_NOTADB": ("its file is not a database", "Restore the last backup."),
}
_IS_THERE = (
    "Such a {} already exists.",
    "Read the existing one; it may come from your own earlier call.",
)
# By SQLite's name for the rule that was broken; {} is what the row is.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "SQLITE_CONSTRAINT_PRIMARYKEY": _IS_THERE,
    "SQLITE_CONSTRAINT_UNIQUE": _IS_THERE,
    "SQLITE_CONSTRAINT_FOREIGNKEY": (
        "Something that this refers to does not exist, or does not allow the change.",
        "It was changed in the meantime. Read it again and decide again.",
    ),
}
_OTHER_REFUSAL = (
    "A value of this {} cannot be stored.",
    "Correct it. The server's log says which rule it violates.",
)
_THINGS: Mapping[str, str] = {  # tables, as people call a row of theirs
    "agents": "agent",
    "bindings": "binding to an enforcement point",
    "checkpoints": "checkpoint",
    "closed_ports": "closed port",
    "credentials": "credential",
    "enrolments": "enrolment token",
    "event_seals": "place in the record",
    "grants": "grant",
    "machines": "machine",
    "policies": "policy",
    "requests": "request",
    "resource_groups": "resource group",
    "sinks": "sink",
}
_UNKNOWN_CAUSE = (
    "the disk reports an error",
    "Check the system's log, and check what is stored before you repeat the call.",
)


def raise_translated(error: Exception, doing: str) -> NoReturn:
    """Raise ours instead of a database's own exception; others go on as they are."""
    ours = translate(error, doing)
    if ours is error:
        raise error
    raise ours from error


def translate(error: Exception, doing: str) -> Exception:
    """What to raise instead of a database's own exception; ``doing`` is read, written, ..."""
    if isinstance(error, (UnicodeEncodeError, OverflowError)):
        return InvalidInput(f"A value cannot be stored: {error}.")
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.IntegrityError):
        return _conflict(original)
    if isinstance(original, sqlite3.DatabaseError) and not isinstance(
        original, (sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
    ):
        return _unavailable(original, doing)
    return error


def _conflict(error: sqlite3.IntegrityError) -> Conflict:
    """What conflicts, in our words; the database's own name its columns and are in the log."""
    name = getattr(error, "sqlite_errorname", "")
    log.warning("row refused", kind=name, why=str(error))
    words, advice = _REFUSALS.get(name, _OTHER_REFUSAL)
    table = str(error).rpartition(": ")[2].partition(".")[0]
    return Conflict(words.format(_THINGS.get(table, "thing")), advice=advice)


def _unavailable(error: sqlite3.DatabaseError, doing: str) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_ERROR":  # a wrong statement: ours to mend
        return error
    cause, advice = next(
        (words for start, words in _CAUSES.items() if name.startswith(start)), _UNKNOWN_CAUSE
    )
    return Unavailable(f"The database cannot be {doing}: {cause} ({error}).", advice=advice)


class Rows:
    """Statements on one connection, for as long as its unit of work lasts."""

    __slots__ = ("_connection", "_driver", "_stamp", "_unwritten")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = driver_of(connection)
        self._stamp = ""  # of access, once it was read here
        self._unwritten: list[Event] = []  # recorded; written before the next read, or at the end

    def _write_recorded(self) -> None:
        """Write them; ``record.RecordWrites`` does, and nobody else records."""

    def _all(self, statement: Executable, parameters: Parameters = None) -> Sequence[Row[Any]]:
        if self._unwritten:
            self._write_recorded()
        return self._beside_record(statement, parameters)

    def _beside_record(
        self, statement: Executable, parameters: Parameters = None
    ) -> Sequence[Row[Any]]:
        """``_all``, for a statement that reads nothing of the record, among changes."""
        try:
            form = _form(statement, parameters)
            if form is None:
                return self._connection.execute(statement, parameters).all()
            found = run(self._driver, form, parameters or {})
            return [form.row(raw) for raw in found.fetchall()]
        except FAILURES as error:
            raise_translated(error, "read")

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
            form = _form(statement, parameters)
            found = (
                self._connection.execute(statement, parameters)
                if form is None
                else run(self._driver, form, parameters or {})
            )
            while True:
                try:
                    if (row := found.fetchone()) is None:
                        return made, wrong
                    made.append(read(row if form is None else form.row(row)))
                except _UNREADABLE as error:
                    wrong.append(error)
        except FAILURES as error:
            raise_translated(error, "read")

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
            form = _form(statement, parameters)
            if form is None:
                return self._connection.execute(statement, parameters).rowcount
            return run(self._driver, form, parameters or {}).rowcount
        except FAILURES as error:
            raise_translated(error, "written")

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


def _form(statement: Executable, parameters: Parameters) -> Form | None:
    if parameters is None or isinstance(parameters, Mapping):
        return form_of(statement, parameters or {})
    return form_of(statement, parameters[0], is_many=True) if parameters else None


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
