"""Run Alembic's revisions; imported only when there is one to run.

What is not here: the transaction that they run in, which ``open`` holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from bascule.errors import ConfigurationError
from bascule.store import migrations
from bascule.store.failures import log
from bascule.store.marks import raise_mark

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, found: str, name: str) -> None:
    """Bring a database from revision ``found`` to this program's, and say who may go on beside it.

    Raises ConfigurationError when ``found`` is none of ours. ``name`` is what the database is called
    then.
    """
    way = steps(found, name)
    config = _config()
    config.attributes["connection"] = connection
    for step in way:
        began = time.monotonic()
        command.upgrade(config, step.revision)
        log.info(
            "database migrated",
            database=name,
            revision=step.revision,
            what=step.what,
            seconds=round(time.monotonic() - began, 3),
        )
    raise_mark(connection, oldest_program(way))


@dataclass(frozen=True, slots=True)
class Step:
    """One revision that is to be run."""

    revision: str
    what: str  # the first line of its text
    runs_beside: str  # the oldest revision whose programs may go on


def oldest_program(way: Sequence[Step]) -> str:
    """The oldest revision whose programs may go on after all of these; there is one at least."""
    return max(each.runs_beside for each in way)


def steps(found: str, name: str) -> tuple[Step, ...]:
    """What leads from there to this program's revision, in its order; raises as ``upgrade``."""
    to = migrations.REVISION
    scripts = ScriptDirectory.from_config(_config())
    if found not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigurationError(
            f"The database {name} was made by another version of Bascule (its revision is "
            f"{found}, which this program does not know). It was left as it is.",
            advice="Run that version, or restore a backup from before the upgrade.",
        )
    way = [each for each in scripts.iterate_revisions(to, found) if each.revision != found]
    return tuple(
        Step(each.revision, _first_line(each.doc), _runs_beside(each)) for each in reversed(way)
    )


def _runs_beside(script: Script) -> str:
    """One that does not say so allows no other."""
    return str(getattr(script.module, "RUNS_BESIDE", script.revision))


def _first_line(text: str) -> str:
    return (text.strip() or "no description").splitlines()[0]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
