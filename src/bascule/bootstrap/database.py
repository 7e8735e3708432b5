"""Which database an installation's record is in: a file in its data directory, or PostgreSQL.

With PostgreSQL, ``database.json`` in the data directory says where the database is and which
installation it belongs to. No file of ours has a password. After a move (``moving``) that file decides,
and names the place before.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.bootstrap.data_directory import (
    DATABASE,
    DATABASE_FILE,
    TIMELINE_FILE,
    has_database,
    names_installation,
)
from bascule.config import DatabaseSettings
from bascule.domain.facts.installation import DatabaseAccepted
from bascule.errors import ConfigurationError
from bascule.files import write_atomically
from bascule.interfaces.inventory import Installation
from bascule.interfaces.store import Reader, Store, Transaction

if TYPE_CHECKING:
    from bascule.services.act import Act
    from bascule.store.lineage import Lineage
    from bascule.store.postgresql import Place


SQLITE = "sqlite"  # in database.json, after a move to it


class Record:
    """Where the record of the installation in ``data`` is; ``chosen`` is what the start names."""

    def __init__(
        self, data: Path, chosen: DatabaseSettings | None = None, *, is_sqlite: bool = False
    ) -> None:
        """``is_sqlite``: the file in ``data``, whatever is known."""
        self._data = data
        self._known = _known(data / DATABASE_FILE)
        self._chosen = None if is_sqlite else chosen or _chosen_before(self._known)
        self._recorded: Sequence[tuple[str, str]] = ()

    def check(self, chosen: DatabaseSettings | None) -> None:
        """Raise ConfigurationError when a server would begin with another record than it had."""
        is_in_postgresql = bool(self._known) and self._known.get("database") != SQLITE
        if chosen is None and is_in_postgresql:
            raise ConfigurationError(
                f"The record of the installation in {self._data} is in PostgreSQL.",
                advice="Start the server with the same --database as before. "
                f"{self._data / DATABASE_FILE} says where it is.",
            )
        if (
            chosen is not None
            and has_database(self._data)
            and not (is_in_postgresql and self._is_made)
        ):
            raise ConfigurationError(
                f"The record of the installation in {self._data} is in SQLite ({DATABASE}).",
                advice="Start the server without --database, or move the record first: bascule "
                f"admin database copy --data {self._data} --to postgresql://USER@HOST/DATABASE",
            )
        if not self._known and not has_database(self._data) and names_installation(self._data):
            raise ConfigurationError(
                f"The record of the installation in {self._data} is not there: neither {DATABASE} "
                f"nor {DATABASE_FILE} is.",
                advice=f"Restore {DATABASE}, or {DATABASE_FILE} if the record is in PostgreSQL, "
                "from a backup. For a new installation, give an empty data directory.",
            )

    def open(self, *, is_server: bool, may_begin: bool = False) -> Store:
        """``is_server``: with the right to upgrade. ``may_begin``: make the tables of PostgreSQL, if
        none were there before.
        """
        if self._chosen is None:
            from bascule.store.open import open_store

            return open_store(self._data / DATABASE, may_upgrade=is_server)
        from bascule.store.postgresql_open import open_postgresql

        self._forget_refused()
        return open_postgresql(
            self._place(self._chosen),
            pooler=self._pooler(self._chosen),
            is_server=is_server,
            lineage=self.lineage,
            may_fill=may_begin and not self._is_made,
            admits=self._check_ours,
        )

    def _forget_refused(self) -> None:
        """What a first start has seen that was refused: it was of whichever database was named then."""
        from bascule.identity.shared_keys import WRAPPING_KEY

        if not self._known and not (self._data / WRAPPING_KEY).exists():
            (self._data / TIMELINE_FILE).unlink(missing_ok=True)

    def accept(self) -> tuple[str, str] | None:
        """Take the database that is there now as the right one: what was known, and what is.

        None: it is in SQLite. Raises ConfigurationError when it cannot be used, is empty, or has not
        the record of this installation.
        """
        lineage = self.lineage
        if self._chosen is None or lineage is None:
            return None
        from bascule.store.lineage import Lineage
        from bascule.store.long_work import reading
        from bascule.store.revisions import revision_of
        from bascule.store.transaction import SqlReader

        seen = Lineage()  # what was seen before does not count
        with reading(self._place(self._chosen), seen) as connection:
            if revision_of(connection, self.name) is None:
                raise self._is_empty()
            self.adopt(SqlReader(connection))
        found = seen.known
        assert found is not None  # noqa: S101  # reason: what connected has seen it
        was = lineage.accept(found)
        return "unknown" if was is None else str(was), str(found)

    def put_on_record(self, tx: Transaction, act: Act) -> None:
        """What was accepted and is not on record yet; ``note_recorded`` when that is kept."""
        lineage = self.lineage
        self._recorded = () if lineage is None else lineage.unrecorded
        for known, accepted in self._recorded:
            act.record(tx, DatabaseAccepted(socket.gethostname(), known, accepted))

    def note_recorded(self) -> None:
        """What ``put_on_record`` has put there last: it may have run several times."""
        lineage = self.lineage
        if lineage is not None:
            lineage.note_recorded(self._recorded)

    @property
    def where(self) -> Path | Place:
        return self._data / DATABASE if self._chosen is None else self._place(self._chosen)

    @property
    def lineage(self) -> Lineage | None:
        """What was seen here of the database that has the record: only for that one. None: SQLite."""
        if self._chosen is None:
            return None
        from bascule.store.lineage import Lineage

        return Lineage(self._data / TIMELINE_FILE, self.number)

    @property
    def name(self) -> str:
        """For people."""
        return str(where) if isinstance(where := self.where, Path) else where.name

    @property
    def kind(self) -> str:
        return "SQLite" if self._chosen is None else "PostgreSQL"

    @property
    def settings(self) -> DatabaseSettings | None:
        """None: SQLite."""
        return self._chosen

    @property
    def is_shared(self) -> bool:
        """May several servers use it?"""
        return self._chosen is not None

    def is_at(self, other: Record) -> bool:
        """Do both name the same place, as far as their texts say?"""
        return self._reach == other._reach

    def begin(self, tx: Transaction) -> None:
        """``adopt``, and ``remember`` before admin.json is written."""
        self.adopt(tx)
        installation = tx.installation()
        if installation is not None and installation.is_arriving:  # a move that was not finished
            tx.move_installation(installation.number, is_arriving=False)
        self.remember(tx)

    def adopt(self, tx: Reader) -> None:
        """Before anything is written: refuse a record whose keys are not in the data directory, and
        one that is retired or not whole yet.
        """
        installation = tx.installation()
        if installation is not None:
            self.check_current(installation)
        if self._chosen is None:
            return
        if installation is not None:
            self._check_ours(installation.tenant_id)
        is_elsewhere = self._known.get("database", self._reach) != self._reach
        if installation is None and (self._is_made or is_elsewhere):
            raise self._is_empty()

    def _check_ours(self, tenant_id: str, moved_to: str = "") -> None:
        """Raise ConfigurationError unless this installation's record is in PostgreSQL there."""
        if moved_to:
            raise self._is_retired(moved_to)
        if tenant_id != self.tenant_id:
            from bascule.identity.join_token import MAKE_ONE

            raise ConfigurationError(
                f"The database {self.name} has the record of an installation whose keys are not in "
                f"{self._data}.",
                advice="Give the data directory of that installation with --data, or an empty "
                f"database. A new server joins that installation with a token. {MAKE_ONE}",
            )

    def _is_empty(self) -> ConfigurationError:
        return ConfigurationError(
            f"The database {self.name} is empty, and there is a record of the installation in "
            f"{self._data}.",
            advice=f"{self._data / DATABASE_FILE} says where it was. Restore it from a backup, or "
            "give an empty data directory for a new installation.",
        )

    def check_current(self, installation: Installation) -> None:
        """Raise ConfigurationError when this database is not, or not any more, the record."""
        if installation.moved_to:
            raise self._is_retired(installation.moved_to)
        if installation.is_arriving and self._known.get("database") != self._named:
            raise ConfigurationError(
                f"The database {self.name} has a copy of the record that was not finished.",
                advice="On the host where it was copied, run bascule admin database copy again, or "
                "start the server on the database that it was copied from.",
            )

    def _is_retired(self, moved_to: str) -> ConfigurationError:
        return ConfigurationError(
            f"The database {self.name} is retired: the record of its installation moved to {moved_to}.",
            advice="Start the server on that one. To go back to this one, and lose what was recorded "
            "since, on the host where it was copied: bascule admin database undo-copy --data DATA",
        )

    def remember(self, tx: Reader) -> None:
        """Before the commit that makes an installation: a start that is killed between the two
        finds an empty database, and makes it anew.
        """
        installation = tx.installation()
        if self._chosen is None:
            return
        file = self._chosen.password_file
        told = {
            **self._known,
            "database": self._reach,
            "password_file": "" if file is None else str(file),
            "may_be_unverified": self._chosen.may_be_unverified,
            "tenant_id": "" if installation is None else installation.tenant_id,
            "is_made": self._is_made,
        }
        self._keep(told)

    def note_made(self) -> None:
        """After that commit: from now on, an empty database is one that lost the record."""
        if self._chosen is not None:
            self._keep({**self._known, "is_made": True})

    # -- moves -------------------------------------------------------------------------

    def take_over(self, tenant_id: str, number: int, before: Mapping[str, object]) -> None:
        """From now on the record is here, and was there ``before`` (``place``)."""
        told = {"tenant_id": tenant_id, "is_made": True, "number": number}
        if self.joined_by:
            told["joined_by"] = self.joined_by
        self._keep({**self.place, **told, "previous": before, "is_retiring": True})
        (self._data / TIMELINE_FILE).unlink(missing_ok=True)  # of the cluster that is left

    @property
    def place(self) -> Mapping[str, object]:
        """As database.json names it."""
        if self._chosen is None:
            return {"database": SQLITE}
        file = self._chosen.password_file
        return {
            "database": self._chosen.url,
            "password_file": "" if file is None else str(file),
            "may_be_unverified": self._chosen.may_be_unverified,
        }

    @property
    def tenant_id(self) -> str:
        return str(self._known.get("tenant_id", ""))

    @property
    def joined_by(self) -> str:
        """The fingerprint of the CA in the token by which the data directory joined; empty: by none."""
        return str(self._known.get("joined_by", ""))

    @property
    def number(self) -> int:
        """Of the installation, as the last move left it."""
        found = self._known.get("number")
        return found if isinstance(found, int) else 0

    @property
    def before(self) -> Record | None:
        """Where the record was before the last move."""
        found = self._known.get("previous")
        if not isinstance(found, dict) or not isinstance(found.get("database"), str):
            return None
        is_sqlite = found["database"] == SQLITE
        return Record(self._data, _chosen_before(found), is_sqlite=is_sqlite)

    @property
    def is_retiring(self) -> bool:
        """Is the place before the last move not marked as retired yet?"""
        return self._known.get("is_retiring") is True

    def forget_retiring(self) -> None:
        self._keep({key: each for key, each in self._known.items() if key != "is_retiring"})

    def _keep(self, told: Mapping[str, object]) -> None:
        if told != self._known:
            write_atomically(self._data / DATABASE_FILE, json.dumps(told, indent=2) + "\n")
            self._known = told

    @property
    def _is_made(self) -> bool:
        return self._known.get("is_made") is True

    @property
    def _named(self) -> str:
        return self._reach or SQLITE

    @property
    def _reach(self) -> str:
        return "" if self._chosen is None else self._chosen.url

    def _place(self, chosen: DatabaseSettings) -> Place:
        from bascule.store.postgresql import place_of

        return place_of(
            chosen.url,
            _password(chosen.password_file),
            may_be_unverified=chosen.may_be_unverified,
        )

    def _pooler(self, chosen: DatabaseSettings) -> Place | None:
        if chosen.pooler is None:
            return None
        from bascule.store.postgresql import place_of

        return place_of(
            chosen.pooler,
            _password(chosen.password_file),
            may_be_unverified=chosen.may_be_unverified,
            option="--database-pooler",
        )


def _password(file: Path | None) -> str:
    """Its first line. Raises ConfigurationError when others than its group may read it."""
    if file is None:
        return ""
    try:
        found = file.stat()
        mode = stat.S_IMODE(found.st_mode)
        text = file.read_text()
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"The password file {file} cannot be read: {said}.",
            advice="Give a file with the password of the database in its first line.",
        ) from None
    if mode & 0o027:
        raise ConfigurationError(
            f"The password file {file} can be read or changed by other accounts.",
            advice=f"chmod 600 {file}",
        )
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(
            f"The password file {file} belongs to another account, which can read and change it.",
            advice=f"Give it to the server's account or to root: chown root {file}",
        )
    return text.partition("\n")[0]


def _known(file: Path) -> Mapping[str, object]:
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from None
    if not isinstance(found, dict) or not isinstance(found.get("database"), str):
        raise _damaged(file, "it does not say where the database is")
    return found


def _damaged(file: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{file} cannot be read: {why}.",
        advice="Restore it from a backup. Without it, the server does not know its database.",
    )


def _chosen_before(known: Mapping[str, object]) -> DatabaseSettings | None:
    if not known or known.get("database") == SQLITE:
        return None
    file = str(known.get("password_file") or "")
    return DatabaseSettings(
        str(known.get("database", "")),
        Path(file) if file else None,
        may_be_unverified=known.get("may_be_unverified") is True,
    )
