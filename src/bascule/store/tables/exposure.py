"""What was kept closed and who was let in, as it was read back; and the same by the hour.

A span is of one of ``domain.exposure.SpanKind``, or it is an opening: that somebody was let in. That
has more columns, which are empty in the others. Both are one table, since a report that opens a port
begins both.

Rows carry the machine's id beside its uid and no foreign key: they outlive it. An opening is
long when it lasted for more than a day, which only extensions make; the few that are have an
index of their own, so that a moment of the past is looked up within the day before it.

Each row of ``exposure_steps`` adds up what changed in one hour. Beside these rows a scope and kind
has one whose hour is ``NUMBER_NOW``: the sum of all changes, which is how many there are now.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    and_,
    literal_column,
)

from bascule.store.columns import Instant, Json, Key, Sequence, Span, from_microseconds
from bascule.store.tables.metadata import metadata

OPENING = "opening"  # a kind of span
NUMBER_NOW = from_microseconds(0)  # before every hour that anything is asked about

spans = Table(
    "exposure_spans",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("machine_uid", Key, nullable=False),
    Column("machine_key", Key, nullable=False),
    Column("machine_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("protocol", String, nullable=False),  # empty: of the machine itself, or an opening
    Column("number", Integer, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ends_by", Instant),
    Column("id", Key, nullable=False),  # this and what follows: of an opening
    Column("ports", Json, nullable=False),
    Column("sources", Json, nullable=False),
    Column("request_id", Key, nullable=False),
    Column("requestor_id", String, nullable=False),
    Column("requestor", String, nullable=False),
    Column("is_long", Boolean, nullable=False),
)

steps = Table(
    "exposure_steps",
    metadata,
    Column("scope_key", Key, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("hour", Instant, primary_key=True),
    Column("change", BigInteger, nullable=False),
    Column("moment", Span, nullable=False),
    sqlite_with_rowid=False,  # hours of one scope lie side by side
)

history = Table(
    "exposure_history",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since", Instant, nullable=False),  # no row: since the installation was made
    CheckConstraint("id = 1", name="one_row"),
)

# Written out, not bound: an index over a part is used only where its own words are met.
# What each of them says is all that leads to its index: one that said more would lead to another's, which
# holds far more rows.
IS_OPENING = spans.c.kind == literal_column(f"'{OPENING}'")
IS_NO_OPENING = spans.c.kind != literal_column(f"'{OPENING}'")
IS_CURRENT = and_(IS_NO_OPENING, spans.c.ended_at.is_(None))
IS_ENDED = spans.c.ended_at.is_not(None)
IS_CLOSED = spans.c.kind == literal_column("'closed'")
IS_OF_MACHINES = spans.c.kind.in_([literal_column("'bare'"), literal_column("'closed'")])
IS_OPEN = spans.c.kind == literal_column("'open'")
IS_BARE = spans.c.kind == literal_column("'bare'")
IS_NOT_CLOSED = and_(
    spans.c.id != literal_column("''"), spans.c.ended_at.is_(None)
)  # openings alone
IS_LONG = spans.c.is_long.is_(True)


def _index(name: str, *columns: Column[object], where: object) -> None:
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


# Of those that ended alone: to the others, which are many, it must not look like a way in.
_index("ix_exposure_spans_ended", spans.c.ended_at, where=IS_ENDED)
_index("ix_exposure_spans_closed", spans.c.machine_uid, spans.c.began_at, where=IS_CLOSED)
_index("ix_exposure_spans_keys", spans.c.machine_key, spans.c.ended_at, where=IS_NO_OPENING)
_index("ix_exposure_spans_current", spans.c.machine_uid, spans.c.kind, where=IS_CURRENT)
_index(
    "ix_exposure_spans_due",
    spans.c.ends_by,
    where=and_(IS_CURRENT, IS_OPEN, spans.c.ends_by.is_not(None)),
)
_index(
    "ix_exposure_spans_machines",
    spans.c.machine_key,
    spans.c.began_at,
    spans.c.ended_at,
    where=IS_OF_MACHINES,
)
_index(
    "ix_exposure_spans_bare",
    spans.c.machine_key,
    spans.c.began_at,
    spans.c.ended_at,
    where=IS_BARE,
)
_index("ix_exposure_openings_machines", spans.c.machine_uid, spans.c.began_at, where=IS_OPENING)
_index("ix_exposure_openings_current", spans.c.machine_uid, where=IS_NOT_CLOSED)
_index("ix_exposure_openings_began", spans.c.began_at, where=IS_OPENING)
_index("ix_exposure_openings_keys", spans.c.machine_key, where=IS_NOT_CLOSED)
_index("ix_exposure_openings_long", spans.c.began_at, where=IS_LONG)
