"""A fresh store for a test, on the database that the run is for.

BASCULE_TEST_DATABASE=postgresql chooses PostgreSQL; otherwise it is SQLite.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from bascule.store.open import open_store
from bascule.store.sql_store import SqlStore

VARIABLE = "BASCULE_TEST_DATABASE"


def is_postgresql() -> bool:
    return os.environ.get(VARIABLE, "") == "postgresql"


def new_store(path: Path | None = None) -> SqlStore:
    """``path`` is of a SQLite file to be made; None: in memory. Of PostgreSQL neither counts."""
    if not is_postgresql():
        return open_store(path)
    return new_postgresql()


def new_postgresql() -> SqlStore:
    from bascule.store.postgresql_open import open_postgresql  # reason: it loads psycopg

    place = _databases().make()
    made = open_postgresql(place)
    _databases().note(place, lambda: made._writer._is_closed)
    return made


@cache
def _databases():  # type: ignore[no-untyped-def]  # noqa: ANN202  # reason: it loads psycopg
    from tests.support.postgresql import Databases

    return Databases()
