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

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, found: str, to: str, name: str) -> None:
    """Bring a database from revision ``found`` to ``to``.

    Raises ConfigurationError when ``found`` is none of ours, so of a newer program. ``name`` is
    what the database is called then.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise ConfigurationError(
            f"The database {name} was made by a newer version of Bascule (its revision is "
            f"{found}; this program knows up to {to}). It was left as it is.",
            advice="Run that version or a later one, or restore a backup from before the upgrade.",
        )
    command.upgrade(config, to)
