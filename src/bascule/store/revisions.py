"""Which revision a database is at, whichever engine it is of."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import cast

from sqlalchemy import Connection

from bascule.store import open as sqlite_open
from bascule.store.engine import driver_of


def revision_of(connection: Connection, name: str) -> str | None:
    """None: it is empty. Raises ConfigurationError for another program's, or one from before the
    first release.
    """
    if connection.dialect.name == "postgresql":
        from bascule.store import postgresql_open  # noqa: PLC0415  # reason: psycopg

        return postgresql_open.revision(connection, name)
    return sqlite_open.revision(cast("sqlite3.Connection", driver_of(connection)), Path(name))
