"""A copy of the whole database as one file of SQLite, while servers use it (docs/backups.md).

From SQLite by its online backup, in one snapshot: the transaction that is held makes that nobody's
change begins it anew, and nobody waits for it. From PostgreSQL table by table in one snapshot, each
compared: so one format restores to either engine.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bascule.errors import ConfigurationError
from bascule.store.engine import driver_of
from bascule.store.long_work import filling, reading
from bascule.store.migrations import REVISION
from bascule.store.moving import Progress, compare, copy_all
from bascule.store.revisions import revision_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bascule.store.lineage import Lineage
    from bascule.store.postgresql import Place

PAGES = 2000  # of a step: some milliseconds


def copy_snapshot(
    where: Path | Place, name: str, lineage: Lineage | None, target: Path, say: Progress
) -> None:
    """Make ``target``, 0600. Raises ConfigurationError for another revision, a full disk and a copy
    that is not sound.
    """
    with reading(where, lineage) as source:
        found = revision_of(source, name)
        if found != REVISION:
            raise ConfigurationError(
                f"The database {name} has revision {found or 'none'}, and this program uses "
                f"{REVISION}. Nothing was copied.",
                advice="Use the program that the server runs.",
            )
        if isinstance(where, Path):
            _copy_file(source, target, say)
            return
        with filling(target) as copy:
            compare(copy, copy_all(source, copy, say), say)


def _copy_file(source: Connection, target: Path, say: Progress) -> None:
    driver = cast("sqlite3.Connection", driver_of(source))
    for end in ("", "-journal", "-wal", "-shm"):
        target.with_name(target.name + end).unlink(missing_ok=True)
    target.touch(mode=0o600, exist_ok=False)
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        total = driver.execute("PRAGMA page_count").fetchone()[0]  # the snapshot begins here
        told = say("pages", total)
        driver.backup(copy, pages=PAGES, progress=lambda _, left, of: told(of - left), sleep=0)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, with no log beside it
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise ConfigurationError(
            f"The database is damaged: {str(found)[:200]}. No backup was made.",
            advice="See all of it: bascule admin database check --data DATA. Keep the last backup.",
        )
