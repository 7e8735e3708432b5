"""``bascule admin database``: read the database whole, move it, bring it up to date."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.bootstrap.data_directory import check_own, require_installation
from bascule.bootstrap.options import DATA, database_options
from bascule.bootstrap.progress import Progress
from bascule.cli.printing import emit_json, note, output_option, say

SQLITE = "sqlite"

if TYPE_CHECKING:
    from bascule.bootstrap.checking import Found
    from bascule.config import DatabaseSettings


@click.group()
def database() -> None:
    """Read, move and upgrade the database of an installation."""


@database.command(
    short_help="Read the whole database and say what is wrong.",
    epilog="Examples:\n\n\b\n  bascule admin database check --data /var/lib/bascule\n"
    "  bascule admin database check --data /var/lib/bascule -o json",
)
@DATA
@output_option
def check(data: Path, output: str) -> None:
    """Read the whole database and say what is wrong with it. The server may be running.

    Its revision and tables, each row, each reference between tables, the numbers that the
    database gives, and the chain of the record. Nothing is written. The exit code is 1 if
    anything is wrong.
    """
    from bascule.bootstrap.checking import check as check_all
    from bascule.bootstrap.database import Record
    from bascule.store.long_work import reading

    require_installation(data)
    check_own(data)
    record = Record(data)
    progress = Progress("checking", is_silent=output == "json")
    with reading(record.where, record.lineage) as connection:
        found = check_all(connection, record.name, data, progress)
    progress.end()
    if output == "json":
        emit_json(found.as_json())
    else:
        _print(found)
    sys.exit(1 if found.problems else 0)


@database.command(
    short_help="Bring the database to this program's revision.",
    epilog="Examples:\n\n\b\n  bascule admin database migrate --data /var/lib/bascule --dry-run\n"
    "  bascule admin database migrate --data /var/lib/bascule",
)
@DATA
@click.option("--dry-run", is_flag=True, help="Show the revisions; change nothing.")
def migrate(data: Path, dry_run: bool) -> None:
    """Bring the database to this program's revision. With SQLite the server must be stopped.

    The next start of the server does the same. It is one transaction: all or nothing. If another
    run is in progress, this one waits for it. Servers on PostgreSQL may run meanwhile, unless one is
    too old for the new revision: that is refused. Make a backup first.
    """
    from bascule.bootstrap.migrating import migrate as bring_up_to_date
    from bascule.bootstrap.migrating import missing

    found, steps = missing(data)
    if not steps:
        say(
            f"The database has revision {found}, which this program may use. There is nothing to do."
        )
        return
    say(f"The database has revision {found}.")
    for each in steps:
        say(f"{'To be run' if dry_run else 'Running'}: {each.revision}  {each.what}")
    if not dry_run:
        bring_up_to_date(data)
        say(f"The database has revision {steps[-1].revision} now.")


@database.command(
    short_help="Move the whole database to PostgreSQL, or back to SQLite.",
    epilog="Examples:\n\n\b\n  bascule admin database copy --data /var/lib/bascule \\\n"
    "      --to 'postgresql://bascule@db.example/bascule'\n"
    "  bascule admin database copy --data /var/lib/bascule --to sqlite",
)
@DATA
@click.option(
    "--to",
    required=True,
    metavar="URL|sqlite",
    help="Where to move the database: a URL of PostgreSQL, or sqlite.",
)
@click.option(
    "--left-is-gone",
    is_flag=True,
    help="The database that had the record before the last move is gone, and no server will use it "
    "again. Needed only if that one could not be marked as retired.",
)
@database_options
@output_option
def copy(
    data: Path,
    to: str,
    left_is_gone: bool,
    database_password_file: Path | None,
    allow_unverified_database: bool,
    output: str,
) -> None:
    """Move the whole database to PostgreSQL, or back to SQLite.

    The server must be stopped. Everything is copied into an empty database and compared, and the
    record is verified before and after. Then DATA/database.json names the new database, and the old
    one is retired: no server starts on it. A run that is stopped earlier changes nothing; run it
    again. This is recorded.
    """
    from bascule.bootstrap.moving import copy as move
    from bascule.config import parse_database

    settings = parse_database(
        None if to == SQLITE else to,
        database_password_file,
        may_be_unverified=allow_unverified_database,
    )
    if settings is not None:
        from bascule.store.postgresql import place_of

        place_of(to, may_be_unverified=allow_unverified_database, option="--to")
    moved = move(data, settings, is_silent=output == "json", is_left_gone=left_is_gone)
    if moved is None:
        note("The record is there already.")
        return
    if output == "json":
        emit_json(moved.as_json())
        return
    rows = sum(each.rows for each in moved.tables.values())
    say(f"Moved {rows} rows in {len(moved.tables)} tables, {moved.events} sealed events.")
    state = "retired" if moved.is_retired else "not marked as retired"
    say(f"From {moved.source}, which is {state}, to {moved.target}.")
    say(f"Installation number: {moved.number}. Agents take no opening from a lower one.")
    note(f"Next: bascule serve --data {shlex.quote(str(data))}{_options(settings)}")


@database.command(
    "undo-copy",
    short_help="Go back to the database before the last move.",
    epilog="Example:\n\n\b\n  bascule admin database undo-copy --data /var/lib/bascule",
)
@DATA
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--left-is-gone",
    is_flag=True,
    help="The database that has the record now is gone, and no server will use it again.",
)
def undo_copy(data: Path, yes: bool, left_is_gone: bool) -> None:
    """Go back to the database that the last copy retired. The server must be stopped.

    It has nothing of what was recorded since: live grants end, as after restoring a backup. To
    keep that, use bascule admin database copy instead. If the database that has the record now
    cannot be reached, --left-is-gone is needed: a server that still uses it would go on granting
    access. This is recorded.
    """
    from bascule.bootstrap.moving import undo

    if not yes:
        click.confirm(
            "What was recorded since the last move will be lost. Continue?", abort=True, err=True
        )
    record, number = undo(data, is_left_gone=left_is_gone)
    say(f"The record is in {record.name} again. Installation number: {number}.")


def _options(settings: DatabaseSettings | None) -> str:
    """With which a server is started on it."""
    if settings is None:
        return ""
    options = f" --database {shlex.quote(settings.url)}"
    if settings.password_file is not None:
        options += f" --database-password-file {shlex.quote(str(settings.password_file))}"
    return options + " --allow-unverified-database" * settings.may_be_unverified


def _print(found: Found) -> None:
    say(f"Database      {found.database}")
    say(f"Revision      {found.revision or 'none'} (this program: {found.program_revision})")
    if found.installation is not None:
        say(f"Installation  {found.installation.tenant_id}, number {found.installation.number}")
        if found.installation.moved_to:
            say(f"Retired       the record is in {found.installation.moved_to} now")
        elif found.installation.is_arriving:
            say("Not finished  a copy into this database did not finish")
    if found.rows:
        say(f"Rows          {sum(found.rows.values())} in {len(found.rows)} tables")
    if found.verdict is not None:
        state = "intact" if found.verdict.is_intact else "broken"
        say(
            f"Record        events {found.verdict.begin.position + 1} to "
            f"{found.verdict.head.position}, {found.verdict.checkpoints} checkpoints: {state}"
        )
    for problem in found.problems:
        say(f"problem: {problem}")
    note("Nothing is wrong." if not found.problems else f"{len(found.problems)} problems.")
