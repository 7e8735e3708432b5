"""Read a whole database, and say what is wrong with it: ``bascule admin database check``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule.bootstrap.progress import Progress
from bascule.clocks import SystemClock
from bascule.interfaces.inventory import Installation

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bascule.domain.proof import Verdict
    from bascule.store.transaction import SqlReader

CURRENT, RETIRED, ARRIVING = "current", "retired", "notFinished"


@dataclass(slots=True)
class Found:
    """What a check found."""

    database: str
    revision: str | None = None  # None: the database is empty
    program_revision: str = ""
    installation: Installation | None = None
    rows: dict[str, int] = field(default_factory=dict)  # by table
    verdict: Verdict | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        if self.installation is not None and self.installation.moved_to:
            return RETIRED
        is_arriving = self.installation is not None and self.installation.is_arriving
        return ARRIVING if is_arriving else CURRENT

    def as_json(self) -> dict[str, Any]:
        made, verdict = self.installation, self.verdict
        return {
            "database": self.database,
            "isSound": not self.problems,
            "problems": self.problems,
            "revision": self.revision,
            "programRevision": self.program_revision,
            "installation": None
            if made is None
            else {"tenantId": made.tenant_id, "number": made.number, "state": self.state},
            "record": None
            if verdict is None
            else {
                "begin": verdict.begin.position,
                "end": verdict.head.position,
                "hash": verdict.head.hash,
                "checkpoints": verdict.checkpoints,
                "isIntact": verdict.is_intact,
            },
            "rows": self.rows,
        }


def check(connection: Connection, name: str, data: Path, progress: Progress) -> Found:
    """Everything, in the caller's transaction. What is wrong is in ``problems``."""
    from bascule.store.faults import faults_of_columns, faults_of_file, faults_of_table
    from bascule.store.migrations import REVISION
    from bascule.store.revisions import revision_of
    from bascule.store.transaction import SqlReader
    from bascule.store.whole import count_rows, tables

    found = Found(name, program_revision=REVISION)
    found.revision = revision_of(connection, name)
    if found.revision is None:
        found.problems.append("The database is empty: it has no tables.")
        return found
    if found.revision != REVISION:
        found.problems.append(_another_revision(found.revision, REVISION))
        return found
    found.problems += faults_of_columns(connection)
    if found.problems:
        return found
    found.problems += faults_of_file(connection)
    for table in tables():
        found.rows[table.name] = total = count_rows(connection, table)
        say = progress.of(table.name, total)
        found.problems += faults_of_table(connection, table, say)
        say(total)
    reader = SqlReader(connection)
    found.installation = reader.installation()
    if found.installation is None:
        found.problems.append("There is no installation: its first start did not finish.")
        return found
    found.problems += _faults_of_record(found, reader, data, progress)
    return found


def _faults_of_record(
    found: Found,
    reader: SqlReader,
    data: Path,
    progress: Progress,
) -> Iterator[str]:
    from bascule.identity.record_key import RECORD_KEY, RecordKey
    from bascule.services.record import verify_snapshot

    if not (data / RECORD_KEY).exists():  # reading it would make one
        yield f"{data / RECORD_KEY} is missing: the record cannot be verified."
        return
    say = progress.of("record", found.rows["event_seals"])
    found.verdict = verify_snapshot(reader, RecordKey(data), SystemClock().now(), say)
    if found.verdict.break_ is not None:
        yield f"The record is broken: {found.verdict.break_.message}."


def _another_revision(found: str, ours: str) -> str:
    if found < ours:
        return (
            f"The database has revision {found}, and this program {ours}: run bascule admin "
            f"database migrate."
        )
    return (
        f"The database has revision {found}, which is newer than this program ({ours}). A newer "
        f"program can check it."
    )
