"""What differs between databases while statements run: one ``Engine`` for each.

``connections`` has SQLite's, ``postgresql`` PostgreSQL's; each enters its own here when it is
imported, so that nobody loads the driver of a database that is not used. What differs in SQL is in
``spelling`` and ``upsert``, which errors are which in ``failures`` and ``postgresql_failures``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import Connection

from bascule.errors import Unavailable
from bascule.store.prepared import Forms


class Driver(Protocol):
    """A driver's own connection: SQLite's and psycopg's are alike in this."""

    def execute(self, text: Any, /) -> Any: ...  # noqa: ANN401  # reason: a driver's cursor


class Contended(Unavailable):  # reason: named like the others in errors.py
    """Other transactions were in the way: the same work may succeed when it is done again."""


@dataclass(frozen=True, slots=True)
class Engine:
    forms: Forms  # of statements that run again
    failures: tuple[type[Exception], ...]  # what a statement may raise, raw or by SQLAlchemy
    translate: Callable[[Exception, str], Exception]  # into ours; the word is read, written, ...
    begin_write: str  # statements that begin a transaction
    begin_read: str
    end_read: str  # nothing was written; the snapshot is let go
    is_in_transaction: Callable[[Any], bool]  # of a driver; False: the database gave it up
    is_failed: Callable[[Any], bool]  # a statement failed, and no other runs before a rollback
    is_lost: Callable[[Any], bool]  # the connection itself is of no use any more
    # Runs statements without values, such as these; the answer is for the checks below.
    control: Callable[[Any, str], Any] = lambda driver, text: driver.execute(text)
    # What runs statements of a driver, of which each is read before the next one begins.
    one_by_one: Callable[[Any], Driver] = lambda driver: driver
    # By the answer to ``begin_write``: raises Unavailable where nothing is to be written any more.
    check_begun: Callable[[Any], None] = lambda _: None
    # By the answer to ``begin_read``: where nothing is to be read any more either.
    check_read: Callable[[Any], object] = lambda _: None
    check_kept: Callable[[Any], None] = lambda _: None  # raises Unavailable: its server forgets


_known: dict[str, Engine] = {}  # by SQLAlchemy's name


def enter(name: str, engine: Engine) -> Engine:
    _known[name] = engine
    return engine


def engine_of(connection: Connection) -> Engine:
    return _known[connection.dialect.name]


def driver_of(connection: Connection) -> Driver:
    """The driver's own connection, on which transactions are begun and ended."""
    return cast("Driver", connection.connection.dbapi_connection)
