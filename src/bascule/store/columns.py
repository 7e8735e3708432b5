"""Column types that behave the same on every database that we may use.

Instants and spans are whole microseconds in a 64-bit integer: exact, ordered, indexable,
and free of what a driver thinks of time zones. Keys compare and sort by code point,
whatever collation the database was made with (a PostgreSQL default would break both the
paging by key and the range that finds what lies below a resource).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import JSON, BigInteger, Dialect, Integer, String
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Key = String().with_variant(String(collation="C"), "postgresql")
Json = JSON()
# SQLite numbers rows by itself only under exactly INTEGER.
Sequence = BigInteger().with_variant(Integer(), "sqlite")


def to_microseconds(instant: datetime) -> int:
    """Microseconds since 1970 UTC; a naive instant is refused."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The aware UTC instant."""
    return _EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant; None stays None."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # reason: SQLAlchemy's
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # reason: SQLAlchemy's
        return None if value is None else from_microseconds(value)


class Span(TypeDecorator[timedelta]):
    """A length of time."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # reason: SQLAlchemy's
        return None if value is None else value // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:  # noqa: ARG002  # reason: SQLAlchemy's
        # A sum is a Decimal on PostgreSQL.
        return None if value is None else timedelta(microseconds=int(value))
