"""Which of our errors a failure of PostgreSQL becomes, by its SQLSTATE (PostgreSQL's appendix A)."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from sqlalchemy.exc import DBAPIError

from bascule.errors import InvalidInput, Unavailable
from bascule.store.engine import Contended
from bascule.store.failures import (
    IS_THERE,
    NOTHING_CHANGED,
    OTHER_REFUSAL,
    REFERS_TO_NOTHING,
    conflict,
    log,
)

FAILURES = (DBAPIError, psycopg.Error, UnicodeEncodeError, OverflowError)
_AGAIN = f"{NOTHING_CHANGED} Try again."
_LOST = (
    "the connection to its server was lost",
    "Check that the database server runs, and check what is stored before you repeat the call.",
)
_CONTENDED = frozenset({"40001", "40P01"})  # serialization failure, deadlock
# By the beginning of the SQLSTATE: what it is, and what to do. The first that fits counts.
_CAUSES: Mapping[str, tuple[str, str]] = {
    "53100": ("the disk of its server is full", f"{NOTHING_CHANGED} Free some space there."),
    "53300": (
        "its server has no connection left",
        f"{NOTHING_CHANGED} Raise max_connections there, or end other clients.",
    ),
    "53": ("its server lacks resources", f"{NOTHING_CHANGED} See the log of the database server."),
    "55P03": ("another process holds it", f"{_AGAIN} If this persists, end the other process."),
    "57014": ("its server took too long", _AGAIN),
    "57P": (  # it may have stopped while it waited for a standby to have what it had committed
        "its server is stopping or starting",
        "Check what is stored before you repeat the call.",
    ),
    "25006": (
        "it is read-only",
        f"{NOTHING_CHANGED} Name the primary with --database, not a standby.",
    ),
    "25P03": ("its server ended a transaction that stood still", _AGAIN),
    "42501": (
        "its role lacks a right",
        f"{NOTHING_CHANGED} The role must own the tables of Bascule.",
    ),
    "08": _LOST,
    "58": ("the disk of its server reports an error", "See the log of the database server."),
    **dict.fromkeys(  # XX000, an internal error, says nothing of damage
        ("XX001", "XX002"),
        ("it is damaged", "See the log of the database server, or restore the last backup."),
    ),
}
# What refuses a connection has no SQLSTATE in libpq, only these words.
_SAID = {
    "too many clients": "53300",
    "connection slots are reserved": "53300",
    "too many connections": "53300",
    "the database system is": "57P",  # starting up, shutting down, in recovery
}
_OURS = ("42", "0A", "25", "26", "34")  # a statement of ours is wrong; what is above goes first
_REFUSALS = {"23505": IS_THERE, "23503": REFERS_TO_NOTHING}


def translate(error: Exception, doing: str) -> Exception:
    """What to raise instead of a database's own exception; ``doing`` is read, written, ..."""
    if isinstance(error, (UnicodeEncodeError, OverflowError)):
        return InvalidInput(f"A value cannot be stored: {error}.")
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, psycopg.Error):
        return error
    state = original.sqlstate or _state_said(str(original))
    if state in _CONTENDED:
        return Contended(
            f"The database cannot be {doing}: other transactions were in the way.", advice=_AGAIN
        )
    if state.startswith("23"):
        words = _REFUSALS.get(state, OTHER_REFUSAL)
        return conflict(original.diag.table_name or "", state, words, original)
    if isinstance(original, psycopg.DataError):
        return InvalidInput(f"A value cannot be stored: {_first_line(original)}.")
    known = (words for start, words in _CAUSES.items() if state.startswith(start))
    cause, advice = next(known, ("", "")) if state else _LOST
    if not cause and (state.startswith(_OURS) or isinstance(original, psycopg.ProgrammingError)):
        return error
    if not cause:
        cause, advice = "its server failed", "See the log of the database server."
    log.warning("database unavailable", state=state, why=_first_line(original))
    # What PostgreSQL says is for the log alone: it names addresses, and callers may be strangers.
    return Unavailable(f"The database cannot be {doing}: {cause}.", advice=advice)


def _state_said(words: str) -> str:
    return next((state for said, state in _SAID.items() if said in words), "")


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0].rstrip(".")
