"""A fresh store for a test, on the database that the run is for.

BASCULE_TEST_DATABASE=postgresql chooses PostgreSQL; otherwise it is SQLite.
"""

from __future__ import annotations

import json
import os
from functools import cache

import pytest
from sqlalchemy import Connection

from bascule.store.open import open_store
from bascule.store.sql_store import SqlStore
from bascule.store.tables import metadata

VARIABLE = "BASCULE_TEST_DATABASE"


def is_postgresql() -> bool:
    return os.environ.get(VARIABLE, "") == "postgresql"


def new_store() -> SqlStore:
    """Of SQLite in memory."""
    return new_postgresql() if is_postgresql() else open_store(None)


def new_postgresql() -> SqlStore:
    """Where PostgreSQL's server is missing, the test is not run."""
    from bascule.store.postgresql_open import open_postgresql  # reason: it loads psycopg
    from tests.support.postgresql import programs

    if programs() is None:
        pytest.skip("PostgreSQL's server is missing")
    place = _databases().make()
    made = open_postgresql(place)
    _databases().note(place, lambda: made._writer._is_closed)
    return made


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def is_kept(value: str | bytes) -> bool:
    """May this stand in a column of JSON? PostgreSQL refuses there what is none."""
    if not is_postgresql():
        return True
    if isinstance(value, bytes):
        return False
    try:
        json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


NO_JSON = "PostgreSQL keeps nothing but JSON in this column"
DAMAGED = '"x"' if is_postgresql() else "x"  # of an event, as somebody writes it by hand


def written(store: SqlStore) -> dict[str, list[str]]:
    """All that it keeps: by table, the rows as they lie there."""

    def read(connection: Connection) -> dict[str, list[str]]:
        return {
            name: sorted(
                repr(tuple(row))
                for row in connection.exec_driver_sql(f"SELECT * FROM {name}")  # noqa: S608  # reason: ours
            )
            for name in metadata.tables
        }

    return store._writer.submit(read).result()


@cache
def _databases():  # type: ignore[no-untyped-def]  # noqa: ANN202  # reason: it loads psycopg
    from tests.support.postgresql import Databases

    return Databases()
