"""Requests that wait or waited for approval, and who made whom."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from bascule.store.columns import Instant, Json, Key, Span
from bascule.store.tables.metadata import metadata

approvals = Table(
    "approvals",
    metadata,
    Column("request_id", Key, ForeignKey("requests.id", ondelete="CASCADE"), primary_key=True),
    Column("requestor_id", Key, nullable=False),
    Column("digest", String, nullable=False),
    Column("same", Key, nullable=False),
    Column("waiting_since", Instant, nullable=False),
    Column("pending_until", Instant, nullable=False),
    Column("uids", Json, nullable=False),  # of its machines, by id in key form
    Column("stages", Json, nullable=False),
    Column("asked_since", Json, nullable=False),  # microseconds or null, of each stage
    Column("may_approve_own", Boolean, nullable=False),
    Column("denial", Json),  # null: nobody denied it
    Column("denied_by", Key),  # who did; null: nobody
    Column("decided_at", Instant),  # null: it waits, for people or for its start
    Column("opens_at", Instant),  # its start, while it waits for that alone; else null
    Column("is_due", Boolean, nullable=False),  # to be judged anew
    Column("tickets", Json, nullable=False),  # what ticket systems answered last
    Column("makers", Json, nullable=False),  # of the program that asked, then
    Column("is_to_ask", Boolean, nullable=False),  # it goes on when they are asked again
    Column("escalated", Json, nullable=False),  # stages of which others were asked too
    Column("escalates_at", Instant),  # null: nobody else will be asked, or that is on record
    Index(None, "denied_by"),
)

IS_WAITING = approvals.c.decided_at.is_(None)

Index(
    "ix_approvals_waiting",
    approvals.c.pending_until,
    sqlite_where=IS_WAITING,
    postgresql_where=IS_WAITING,
)
Index(
    "ix_approvals_waiting_of",
    approvals.c.requestor_id,
    approvals.c.same,
    sqlite_where=IS_WAITING,
    postgresql_where=IS_WAITING,
)
ESCALATES = IS_WAITING & approvals.c.escalates_at.is_not(None)
Index(
    "ix_approvals_escalating",
    approvals.c.escalates_at,
    sqlite_where=ESCALATES,
    postgresql_where=ESCALATES,
)
Index(
    "ix_approvals_scheduled",
    approvals.c.opens_at,
    sqlite_where=approvals.c.opens_at.is_not(None),
    postgresql_where=approvals.c.opens_at.is_not(None),
)
IS_DUE = approvals.c.is_due.is_(True)
Index("ix_approvals_due", approvals.c.request_id, sqlite_where=IS_DUE, postgresql_where=IS_DUE)

IS_TO_ASK = approvals.c.is_to_ask.is_(True)
Index(
    "ix_approvals_to_ask",
    approvals.c.request_id,
    sqlite_where=IS_TO_ASK,
    postgresql_where=IS_TO_ASK,
)

approval_votes = Table(
    "approval_votes",
    metadata,
    Column(
        "request_id", Key, ForeignKey(approvals.c.request_id, ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 0
    Column("principal_id", Key, nullable=False),
    Column("name", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("longest", Span),
    Column("ends_at", Instant),
    Column("note", String, nullable=False),
    Column("is_own", Boolean, nullable=False),
    Column("rests_until", Instant),  # null: it rests on no membership that ends
    Column("provider_id", String, nullable=False),  # that vouched for it; empty: none
    Column("is_void", Boolean, nullable=False),
    Index(None, "principal_id", "request_id"),
)

# Who is asked now, of requests that wait: rows of nothing else.
approval_asked = Table(
    "approval_asked",
    metadata,
    Column(
        "request_id", Key, ForeignKey(approvals.c.request_id, ondelete="CASCADE"), primary_key=True
    ),
    Column("kind", String, primary_key=True),  # user, group, or role
    Column("who", Key, primary_key=True),  # an id; of a role the key of a machine
    Column("since", Instant, primary_key=True),
    Index(None, "who", "kind", "since"),
    Index(None, "kind", "since", "request_id"),
)

# When a boot of a server's host began, by the wall clock: a leap of that shows.
clock_starts = Table(
    "clock_starts",
    metadata,
    Column("boot", String, primary_key=True),
    Column("at", Instant, nullable=False),
)

# Who made a service principal, a credential or an account, or set a password of another.
makers = Table(
    "makers",
    metadata,
    Column("what", String, primary_key=True),
    Column("id", Key, primary_key=True),
    Column("maker_id", Key, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("is_first", Boolean, nullable=False),  # of a new account of theirs
)
