"""Move an installation's record to another database: ``bascule admin database copy``.

The source is held for the whole time: nobody writes to it. The target is made whole and compared
before it is committed, and it is marked as arriving: no server takes it. Then ``database.json``
names it, in one replacement of a file. That is the moment of the move: before it the source has the
record, afterwards the target. What is left to do then, to mark the source as retired, is done by the
next run if this one is killed. A run that is killed earlier leaves the source as it was, and nothing
or a copy that the next run makes anew.

The target has a higher *installation number*, which servers tell agents: should the source come
back, from a backup too, agents take no opening from it (EDGES H7).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule.bootstrap.checking import check
from bascule.bootstrap.data_directory import (
    DATABASE,
    check_own,
    open_data_directory,
    require_installation,
)
from bascule.bootstrap.database import Record
from bascule.bootstrap.keys import keys_into, keys_out_of
from bascule.bootstrap.progress import Progress
from bascule.cli.printing import note
from bascule.clocks import SystemClock
from bascule.config import DatabaseSettings
from bascule.domain.chain import ChainHead
from bascule.errors import BasculeError, ConfigurationError
from bascule.files import sync_directory
from bascule.interfaces.inventory import Installation

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bascule.store.lineage import Lineage
    from bascule.store.whole import Sum

COPYING = f"{DATABASE}.copying"  # a file that is not finished


@dataclass(frozen=True, slots=True)
class Moved:
    source: str
    target: str
    number: int  # of the installation, from now on
    events: int  # in the chain
    tables: dict[str, Sum]
    is_retired: bool  # the source was marked, so that no server starts on it

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "target": self.target,
            "installationNumber": self.number,
            "sealedEvents": self.events,
            "sourceIsRetired": self.is_retired,
            "tables": {
                name: {"rows": each.rows, "digest": each.digest}
                for name, each in self.tables.items()
            },
        }


def copy(
    data: Path, to: DatabaseSettings | None, *, is_silent: bool, is_left_gone: bool = False
) -> Moved | None:
    """Move the record of the installation in ``data`` there; None: SQLite. None when it is there
    already: then only what an earlier run left undone was done.

    ``is_left_gone``: no server uses what an earlier move left unmarked, nor ever will; a person says so.
    """
    require_installation(data)
    check_own(data)
    with ExitStack() as kept:
        kept.callback(os.close, open_data_directory(data))
        record = Record(data)
        target = Record(data, to, is_sqlite=to is None)
        finish(record)
        if record.is_at(target):
            return None
        if record.is_retiring and not is_left_gone:
            raise ConfigurationError(
                "The database that had the record before the last move is not marked as retired. If a "
                "server can still use it, two servers would grant access from two records.",
                advice=f"Make it reachable, and have it marked: {_again(record)}. Only if that "
                "database is gone, and no server will ever use it again, add --left-is-gone.",
            )
        return _move(data, record, target, is_silent=is_silent)


def finish(record: Record, left: Connection | None = None) -> None:
    """Do what is left to do after a move: a server may take the record, and where it was is marked as
    retired. What fails is said, and done by the next run: the record has moved already.

    ``left`` is the record that was left, if it is held.
    """
    before = record.before
    if not record.is_retiring or before is None:
        return
    try:
        _arrive(record)
    except BasculeError as error:
        note(f"The record is in {record.name} now, and no server can use it yet: {error.message}")
        note(f"Finish the move: {_again(record)}")
        return
    try:
        if left is None:
            _retire(before, record)
        else:
            _mark_retired(left, record)
    except BasculeError as error:  # it may be gone; its number is lower, and agents know
        note(f"The record is in {record.name} now.")
        note(f"{before.name} was not marked as retired, and no server may use it: {error.message}")
        note(f"As soon as it can be reached, have it marked: {_again(record)}")
    else:
        record.forget_retiring()


def _again(record: Record) -> str:
    """The command that does what is left to do."""
    to = shlex.quote(str(record.place["database"]))
    return f"bascule admin database copy --data DATA --to {to}"


def _move(data: Path, record: Record, target: Record, *, is_silent: bool) -> Moved:
    from bascule.services.replicas import require_stopped
    from bascule.store import moving
    from bascule.store.long_work import check_held, check_unused, holding
    from bascule.store.transaction import SqlReader

    with holding(record.where, record.lineage) as source:
        check_unused(source, record.name)
        if record.is_shared:
            require_stopped(SqlReader(source))
        progress = Progress("checking", is_silent=is_silent)
        found = check(source, record.name, data, progress)
        progress.end()
        made, verdict = found.installation, found.verdict
        if found.problems or made is None or verdict is None:
            raise _not_sound(record.name, data, found.problems)
        record.check_current(made)
        if record.is_shared:
            keys_out_of(data, SqlReader(source))
        number = max(made.number, record.number) + 1
        with _empty(target, made) as there:
            progress = Progress("copying", is_silent=is_silent)
            read = moving.copy_all(source, there, progress.of)
            progress = Progress("comparing", is_silent=is_silent)
            moving.compare(there, read, progress.of)
            after = _verify(there, data, progress, found.rows["event_seals"])
            progress.end()
            if after != verdict.head:
                raise _another_chain(after.position, verdict.head.position)
            _note(there, target, data, number, record)
        check_held(source)
        target.take_over(made.tenant_id, number, record.place)
        finish(target, source)
    sums = {table.name: each for table, each in read.items()}
    is_retired = not target.is_retiring
    return Moved(record.name, target.name, number, verdict.head.position, sums, is_retired)


def _not_sound(name: str, data: Path, problems: Sequence[str]) -> ConfigurationError:
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return ConfigurationError(
        f"The database {name} is not sound, and was not copied: {''.join(problems[:1])}{more}",
        advice=f"See all of it: bascule admin database check --data {data}",
    )


@contextmanager
def _empty(target: Record, made: Installation) -> Iterator[Connection]:
    """A connection that fills the empty target, which is there only if nothing is raised."""
    where = target.where
    if isinstance(where, Path):
        with _new_file(where, made) as connection:
            yield connection
        return
    from bascule.store.long_work import holding_empty
    from bascule.store.moving import prepare

    with holding_empty(where) as connection:
        prepare(connection, target.name, made)
        yield connection


@contextmanager
def _new_file(path: Path, made: Installation) -> Iterator[Connection]:
    """As ``_empty``. A retired database that is there gets another name."""
    from bascule.store.long_work import end_log, filling

    old, is_there = _kept_name(path, made), path.exists()
    if is_there:
        end_log(path)
    copying = path.with_name(COPYING)
    with filling(copying) as connection:
        yield connection
    if is_there:  # somebody may have opened it meanwhile
        end_log(path)
    if old is not None:
        path.rename(old)
    copying.rename(path)
    sync_directory(path.parent)


def _kept_name(path: Path, made: Installation) -> Path | None:
    """What to call the database that is there; None: there is none, or a copy that was not
    finished. Raises ConfigurationError when it is anything else.
    """
    if not path.exists():
        return None
    from bascule.store.long_work import reading
    from bascule.store.transaction import SqlReader

    with reading(path) as connection:
        known = SqlReader(connection).installation()
    if known is not None and known.tenant_id == made.tenant_id:
        if known.is_arriving:
            return None
        if known.moved_to:
            return path.with_name(f"{path.name}.retired-{known.number}")
    raise ConfigurationError(
        f"The database {path} is not retired. It was left as it is.",
        advice="Move it elsewhere, if it is not needed.",
    )


def _verify(connection: Connection, data: Path, progress: Progress, count: int) -> ChainHead:
    """The end of the chain; raises ConfigurationError where it is broken."""
    from bascule.identity.record_key import RecordKey
    from bascule.services.record import verify_snapshot
    from bascule.store.transaction import SqlReader

    say = progress.of("record", count)
    now = SystemClock().now()
    verdict = verify_snapshot(SqlReader(connection), RecordKey(data), now, say)
    if verdict.break_ is not None:
        raise ConfigurationError(
            f"The record is broken in the copy: {verdict.break_.message}. Nothing was changed.",
            advice="Report this as a bug.",
        )
    return verdict.head


def _note(
    connection: Connection,
    target: Record,
    data: Path,
    number: int,
    left: Record,
    *,
    is_undone: bool = False,
) -> None:
    """Put the move on record where the record will be, and mark it as arriving. The keys go along:
    those that an earlier move left there may have been rotated since. So does what was accepted of the
    database that is left and is not on record yet. Servers that were killed have not stopped there.
    """
    from bascule.domain.facts.installation import InstallationMoved
    from bascule.services.act import Act
    from bascule.store.long_work import time_of
    from bascule.store.transaction import SqlTransaction

    tx = SqlTransaction(connection)
    act = Act(time_of(connection))
    left.put_on_record(tx, act)
    act.record(tx, InstallationMoved(target.kind, number, is_undone))
    for each in tx.replicas():
        tx.stop_replica(each.replica.uid)
    if target.is_shared:
        keys_into(data, tx, act.now)
    tx.move_installation(number, is_arriving=True)
    tx.finish()


def _arrive(record: Record) -> None:
    """The record is there now; a server may take it."""
    from bascule.store.long_work import commit, holding
    from bascule.store.transaction import SqlTransaction

    with holding(record.where, record.lineage) as connection:
        tx = SqlTransaction(connection)
        made = tx.installation()
        if made is not None and made.is_arriving:
            tx.move_installation(made.number, is_arriving=False)
        commit(connection)


def _retire(record: Record, to: Record) -> None:
    from bascule.store.long_work import holding

    if _is_empty(record):
        return  # there is no record in it
    with holding(record.where) as connection:
        _require_our_revision(connection, record.name)
        _mark_retired(connection, to)


def _require_our_revision(connection: Connection, name: str) -> None:
    """What is written there has the columns of this program."""
    from bascule.store.migrations import REVISION
    from bascule.store.revisions import revision_of

    found = revision_of(connection, name)
    if found != REVISION:
        raise ConfigurationError(
            f"The database {name} has revision {found}, and this program uses {REVISION}. It was left "
            f"as it is.",
            advice=f"Use the program whose database has revision {found}.",
        )


def _mark_retired(connection: Connection, to: Record) -> None:
    from bascule.store.long_work import commit
    from bascule.store.transaction import SqlTransaction

    tx = SqlTransaction(connection)
    made = tx.installation()
    if made is not None and made.tenant_id == to.tenant_id and made.number < to.number:
        tx.move_installation(made.number, moved_to=to.name, is_arriving=False)
    commit(connection)


def undo(data: Path, *, is_left_gone: bool) -> tuple[Record, int]:
    """Go back to where the record was before the last move, and to what it had then. Where it is
    and the number of the installation from now on.

    ``is_left_gone``: no server uses the record that is left, nor ever will; a person says so.
    """
    from bascule.store.long_work import check_held, check_unused, commit, holding
    from bascule.store.transaction import SqlReader

    require_installation(data)
    check_own(data)
    with ExitStack() as kept:
        kept.callback(os.close, open_data_directory(data))
        record = Record(data)
        before = record.before
        if before is None:
            raise ConfigurationError(
                f"The record of the installation in {data} was not moved.",
                advice="There is nothing to go back to.",
            )
        if isinstance(before.where, Path) and not before.where.exists():
            raise ConfigurationError(
                f"The database {before.where} is not there any more.",
                advice="Put it back, or restore a backup.",
            )
        left = _held(record, kept, is_left_gone=is_left_gone)
        with holding(before.where) as connection:
            check_unused(connection, before.name)
            _require_our_revision(connection, before.name)
            made = SqlReader(connection).installation()
            if made is None or made.tenant_id != record.tenant_id:
                raise ConfigurationError(
                    f"The database {before.name} does not have the record of this installation.",
                    advice="Restore a backup.",
                )
            number = max(made.number, record.number) + 1
            if left is not None:
                keys_out_of(data, SqlReader(left))
            _note(connection, before, data, number, record, is_undone=True)
            commit(connection)
        if left is not None:
            check_held(left)
        before.take_over(made.tenant_id, number, record.place)
        finish(before, left)
    return before, number


def _held(record: Record, kept: ExitStack, *, is_left_gone: bool) -> Connection | None:
    """The record that is left, held for as long as ``kept``, so that no server goes on with it.
    None: it is a file of this data directory, which is locked, or it is gone.

    Raises BasculeError while a server uses it, and where that cannot be told. A database that cannot
    be reached from here may be reached by a server elsewhere: only a person knows.
    """
    from bascule.services.replicas import require_stopped
    from bascule.store.long_work import check_unused, holding
    from bascule.store.transaction import SqlReader

    if isinstance(record.where, Path):
        return None
    with ExitStack() as opened:
        try:
            connection = opened.enter_context(holding(record.where, record.lineage))
        except Exception as error:  # reason: an empty database fails by a statement of ours
            if not _is_gone(record):
                raise
            if not is_left_gone:
                raise ConfigurationError(
                    f"{record.name}, which has the record now, cannot be reached, or is empty. If a "
                    f"server can still use it, two servers would grant access from two records.",
                    advice="Make it reachable, and run this again. Only if that database is gone, "
                    "and no server will ever use it again, add --left-is-gone.",
                ) from error
            note(
                "A signing key that was rotated since the move may count again: bascule admin "
                "rotate-signing-key --now"
            )
            return None
        check_unused(connection, record.name)
        reader = SqlReader(connection)
        require_stopped(reader)
        if (made := reader.installation()) is not None:
            record.check_current(made)  # it may have moved on from another data directory
        kept.push(opened.pop_all())
    return connection


def _is_gone(record: Record) -> bool:
    """Can no server use it, as far as can be told from here?"""
    from bascule.store.postgresql_open import is_away

    where = record.where
    return not isinstance(where, Path) and (is_away(where) or _is_empty(record, record.lineage))


def _is_empty(record: Record, lineage: Lineage | None = None) -> bool:
    from bascule.store.long_work import reading
    from bascule.store.revisions import revision_of

    with reading(record.where, lineage) as connection:
        return revision_of(connection, record.name) is None


def _another_chain(after: int, before: int) -> ConfigurationError:
    return ConfigurationError(
        f"The record of the copy ends at event {after}, not at {before} as it was read, or with "
        f"another hash. Nothing was changed.",
        advice="Report this as a bug.",
    )
