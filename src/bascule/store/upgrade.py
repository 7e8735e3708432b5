"""Run Alembic's revisions; imported only when there is one to run.

What is not here: the transaction that they run in, which ``open`` holds.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    steps(found, to, name)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


@dataclass(frozen=True, slots=True)
class Step:
    """One revision that is to be run."""

    revision: str
    what: str  # the first line of its text


def steps(found: str, to: str, name: str) -> tuple[Step, ...]:
    """What leads from one to the other, in its order; raises as ``upgrade``."""
    scripts = ScriptDirectory.from_config(_config())
    if found not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigurationError(
            f"The database {name} was made by a newer version of Bascule (its revision is "
            f"{found}; this program knows up to {to}). It was left as it is.",
            advice="Run that version or a later one, or restore a backup from before the upgrade.",
        )
    way = [each for each in scripts.iterate_revisions(to, found) if each.revision != found]
    return tuple(Step(each.revision, _first_line(each.doc)) for each in reversed(way))


def _first_line(text: str) -> str:
    return (text.strip() or "no description").splitlines()[0]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
