"""What bounds retention: the clocks as they were last seen, and events held for sinks.

A sink's own progress says what it has not taken. A hold says it when the sink is gone, or
was pointed elsewhere, or an operator passed over an event.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Float, Integer, Table, Text

from bascule.store.columns import Instant, Span
from bascule.store.tables.metadata import metadata

record_clock = Table(
    "record_clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("boottime", Float, nullable=False),
    Column("stepped", Span, nullable=False),
    Column("has_leapt", Boolean, nullable=False),
    Column("boot", Text, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

# Spans of positions; where two touch they are one row.
record_holds = Table(
    "record_holds",
    metadata,
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    CheckConstraint("first <= last", name="is_span"),
)
