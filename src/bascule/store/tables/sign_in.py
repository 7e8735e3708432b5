"""Signing in: passwords, second factors, used challenges, networks, counts of tries."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table

from bascule.store.columns import Instant, Key
from bascule.store.tables.access import users
from bascule.store.tables.metadata import metadata


def _user(*, is_key: bool = True) -> Column[str]:
    owner = ForeignKey(users.c.id, ondelete="CASCADE")
    return Column("user_id", Key, owner, primary_key=is_key, nullable=False)


passwords = Table(
    "passwords",
    metadata,
    _user(),
    Column("hash", String, nullable=False),
    Column("set_at", Instant, nullable=False),
)

totp_factors = Table(
    "totp_factors",
    metadata,
    _user(),
    Column("is_active", Boolean, primary_key=True),  # else it waits for its first code
    Column("sealed", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_step", BigInteger, nullable=False),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", Key, primary_key=True),
    _user(is_key=False),
    Column("name", String, nullable=False),
    Column("public_key", String, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Index(None, "user_id"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    _user(),
    Column("digest", Key, primary_key=True),
    Column("made_at", Instant, nullable=False),
    Column("used_at", Instant),
)

used_challenges = Table(
    "used_challenges",
    metadata,
    Column("challenge", Key, primary_key=True),
    Column("ends_at", Instant, nullable=False),
    Index(None, "ends_at"),
)

known_networks = Table(
    "known_networks",
    metadata,
    _user(),
    Column("network", Key, primary_key=True),
    Column("last_at", Instant, nullable=False),
    Index(None, "network"),
)

sign_in_counts = Table(
    "sign_in_counts",
    metadata,
    Column("place", Key, primary_key=True),
    Column("full_at", Instant, nullable=False),
    Index(None, "full_at"),
)
