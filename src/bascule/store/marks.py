"""The mark of a database: which revision its tables have, and which programs may use them (EDGES H6).

It is the one row of Alembic's own table, with two columns of ours. Every writer on PostgreSQL takes
its turn by a lock on that table, so a turn that begins after an upgrade sees what the upgrade marked.
No revision changes this table, ``installation.moved_to`` or ``replicas``: programs of every revision
read them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from bascule import __version__
from bascule.errors import ConfigurationError
from bascule.store import migrations
from bascule.store.engine import Driver


@dataclass(frozen=True, slots=True)
class Mark:
    revision: str
    oldest_program: str  # the oldest revision whose programs may go on beside these tables
    program: str  # version of the program that made or upgraded them

    @property
    def is_ahead(self) -> bool:
        """Are the tables of a newer program?"""
        return self.revision > migrations.REVISION

    @property
    def admits_us(self) -> bool:
        """May this program use tables that are ahead?"""
        return self.oldest_program <= migrations.REVISION


def mark_of(driver: Driver) -> Mark:
    """Of a database that has a revision."""
    found = driver.execute("SELECT version_num, oldest_program, program FROM alembic_version")
    return Mark(*found.fetchone())


def make_mark(connection: Connection) -> None:
    """Of new tables. No older program has seen them, so none needs to go on."""
    connection.execute(
        text(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "oldest_program VARCHAR(32) NOT NULL, program VARCHAR NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(
        text("INSERT INTO alembic_version VALUES (:revision, :revision, :program)"),
        {"revision": migrations.REVISION, "program": __version__},
    )


def raise_mark(connection: Connection, oldest_program: str) -> None:
    """After revisions that allow no program older than this; what was refused before stays so."""
    connection.execute(
        text(
            "UPDATE alembic_version SET program = :program, oldest_program = CASE WHEN "
            "oldest_program < :oldest THEN :oldest ELSE oldest_program END"
        ),
        {"oldest": oldest_program, "program": __version__},
    )


def require_admitted(mark: Mark, name: str) -> None:
    """Raise ConfigurationError when the tables are ahead, and this program must not use them."""
    if mark.is_ahead and not mark.admits_us:
        raise ConfigurationError(
            f"The database {name} was upgraded by a newer version of Bascule ({mark.program}, "
            f"revision {mark.revision}), beside which this one (revision {migrations.REVISION}) "
            f"must not run. It was left as it is.",
            advice=f"Install Bascule {mark.program} or later here, or restore a backup from before "
            f"the upgrade.",
        )
