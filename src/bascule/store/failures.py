"""Which of our errors a database's failure becomes: the words, and what SQLite says.

No exception of SQLAlchemy or of a driver leaves the store: a refused row is a Conflict, a
database that cannot be used is Unavailable, text or a number that no column can hold is
InvalidInput. A statement that is itself wrong is a bug of ours and stays as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import structlog
from sqlalchemy.exc import DBAPIError

from bascule.errors import Conflict, InvalidInput, Unavailable

log = structlog.get_logger("bascule.store")

FAILURES = (DBAPIError, sqlite3.Error, UnicodeEncodeError, OverflowError)
NOTHING_CHANGED = "Nothing was changed."
# By the beginning of SQLite's name for the failure: what it is, and what to do.
_CAUSES: Mapping[str, tuple[str, str]] = {
    "SQLITE_FULL": ("the disk is full", f"{NOTHING_CHANGED} Free some space and try again."),
    "SQLITE_READONLY": (
        "it is read-only",
        f"{NOTHING_CHANGED} Let the server's account write to the file and its folder.",
    ),
    "SQLITE_CANTOPEN": (
        "its file cannot be opened",
        f"{NOTHING_CHANGED} Check that the folder exists and its permissions.",
    ),
    "SQLITE_BUSY": (
        "another process holds it",
        f"{NOTHING_CHANGED} Try again. If this persists, end the other process.",
    ),
    "SQLITE_LOCKED": ("another process holds it", f"{NOTHING_CHANGED} Try again."),
    "SQLITE_CORRUPT": ("its file is damaged", "Restore the last backup."),
    "SQLITE_NOTADB": ("its file is not a database", "Restore the last backup."),
}
IS_THERE = (
    "Such a {} already exists.",
    "Read the existing one; it may come from your own earlier call.",
)
REFERS_TO_NOTHING = (
    "Something that this refers to does not exist, or does not allow the change.",
    "It was changed in the meantime. Read it again and decide again.",
)
# By SQLite's name for the rule that was broken; {} is what the row is.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "SQLITE_CONSTRAINT_PRIMARYKEY": IS_THERE,
    "SQLITE_CONSTRAINT_UNIQUE": IS_THERE,
    "SQLITE_CONSTRAINT_FOREIGNKEY": REFERS_TO_NOTHING,
}
OTHER_REFUSAL = (
    "A value of this {} cannot be stored.",
    "Correct it. The server's log says which rule it violates.",
)
THINGS: Mapping[str, str] = {  # tables, as people call a row of theirs
    "agents": "agent",
    "bindings": "binding to an enforcement point",
    "checkpoints": "checkpoint",
    "closed_ports": "closed port",
    "credentials": "credential",
    "enrolments": "enrolment token",
    "event_seals": "place in the record",
    "grants": "grant",
    "machines": "machine",
    "policies": "policy",
    "requests": "request",
    "resource_groups": "resource group",
    "sinks": "sink",
}
UNKNOWN_CAUSE = (
    "the disk reports an error",
    "Check the system's log, and check what is stored before you repeat the call.",
)


def translate(error: Exception, doing: str) -> Exception:
    """What to raise instead of a database's own exception; ``doing`` is read, written, ..."""
    if isinstance(error, (UnicodeEncodeError, OverflowError)):
        return InvalidInput(f"A value cannot be stored: {error}.")
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.IntegrityError):
        return _conflict(original)
    if isinstance(original, sqlite3.DatabaseError) and not isinstance(
        original, (sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
    ):
        return _unavailable(original, doing)
    return error


def conflict(table: str, kind: str, words: tuple[str, str], error: Exception) -> Conflict:
    """What conflicts, in our words; the first line of the database's own names its columns and is in the
    log. PostgreSQL's next line has the row.
    """
    log.warning("row refused", kind=kind, why=str(error).partition("\n")[0])
    return Conflict(words[0].format(THINGS.get(table, "thing")), advice=words[1])


def _conflict(error: sqlite3.IntegrityError) -> Conflict:
    name = getattr(error, "sqlite_errorname", "")
    table = str(error).rpartition(": ")[2].partition(".")[0]
    return conflict(table, name, _REFUSALS.get(name, OTHER_REFUSAL), error)


def _unavailable(error: sqlite3.DatabaseError, doing: str) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_ERROR":  # a wrong statement: ours to mend
        return error
    cause, advice = next(
        (words for start, words in _CAUSES.items() if name.startswith(start)), UNKNOWN_CAUSE
    )
    return Unavailable(f"The database cannot be {doing}: {cause} ({error}).", advice=advice)
