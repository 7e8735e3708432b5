"""Run Alembic's revisions; imported only when there is one to run.

What is not here: the transaction that they run in, which ``open`` holds.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bascule.errors import ConfigurationError
from bascule.store.connections import driver_of

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, found: str, to: str, path: Path | None) -> None:
    """Bring a database from revision ``found`` to ``to``.

    Raises ConfigurationError when ``found`` is none of ours, so of a newer program, or
    when the outcome would hold rows that refer to nothing.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise ConfigurationError(
            f"The database {path} was made by a newer version of Bascule (its revision is "
            f"{found}; this program knows up to {to}). It was left as it is.",
            advice="Run that version or a later one, or restore a backup from before the upgrade.",
        )
    command.upgrade(config, to)
    broken = driver_of(connection).execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise ConfigurationError(
            f"The database {path} cannot be upgraded, because a row of {broken[0]} refers to a "
            f"missing row. It was not changed.",
            advice="Restore the last backup, or report this as a bug.",
        )
