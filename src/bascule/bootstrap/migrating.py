"""Bring a database to this program's revision by hand: ``bascule admin database migrate``.

The next start of a server does the same. What is done here is done before it, and while nobody
waits for the server. Of two that begin at once the second waits, and finds it done. Servers on
PostgreSQL may run meanwhile if the program before may go on beside the new tables (EDGES H6).
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.bootstrap.data_directory import (
    check_own,
    open_data_directory,
    require_installation,
)
from bascule.bootstrap.database import Record
from bascule.errors import ConfigurationError

if TYPE_CHECKING:
    from bascule.store.upgrade import Step

PATIENCE = 60.0  # seconds for which another program may have the database
_PAUSE = 0.5


def missing(data: Path) -> tuple[str, tuple[Step, ...]]:
    """The revision that the database has, and what is to be done; only read. Raises
    ConfigurationError for an empty database, and for one of a newer program that this one must not
    use.
    """
    from bascule.store import migrations
    from bascule.store.engine import driver_of
    from bascule.store.long_work import reading
    from bascule.store.marks import mark_of, require_admitted
    from bascule.store.revisions import revision_of
    from bascule.store.upgrade import steps

    require_installation(data)
    check_own(data)
    record = Record(data)
    with reading(record.where, record.lineage) as connection:
        found = revision_of(connection, record.name)
        if found is not None and found >= migrations.REVISION:
            require_admitted(mark_of(driver_of(connection)), record.name)
            return found, ()
    if found is None:
        raise ConfigurationError(
            f"The database {record.name} is empty.",
            advice="Restore the record from a backup, or start the server, which makes it.",
        )
    return found, steps(found, record.name)


def migrate(data: Path) -> None:
    """Do it, in one transaction. Raises ConfigurationError while a server runs that must not go on."""
    found, way = missing(data)
    record = Record(data)
    if record.is_shared and all(each.runs_beside <= found for each in way):
        record.open(is_server=True).close()  # it waits by itself, and looks at the servers that run
        return
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            _migrate_alone(data)
        except ConfigurationError:
            if not missing(data)[1]:
                return  # the other one did it
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _migrate_alone(data: Path) -> None:
    from bascule.store.long_work import check_unused, reading

    with ExitStack() as kept:
        kept.callback(os.close, open_data_directory(data))
        record = Record(data)
        with reading(record.where, record.lineage) as connection:
            check_unused(connection, record.name)
        record.open(is_server=True).close()
