"""Codes, refresh tokens and sessions: what signing in leaves behind; and what was used once.

Every key is the SHA-256 of a text that nobody can guess; the text itself is nowhere. A user
who is deleted takes all of it along.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from bascule.store.columns import Instant, Json, Key, Span
from bascule.store.tables.access import users
from bascule.store.tables.metadata import metadata

used_assertions = Table(
    "used_assertions",
    metadata,
    Column("holder", Key, primary_key=True),  # an agent: its machine's uid
    Column("token_hash", Key, primary_key=True),
    Column("ends_at", Instant, nullable=False),
    Index(None, "ends_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", Key, primary_key=True),
    Column("id", Key, nullable=False, unique=True),
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("signed_in_at", Instant, nullable=False),
    Column("methods", Json, nullable=False),
    Column("factor_at", Instant),
    Column("address", String, nullable=False),  # of the sign-in
    Column("program", String, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("seen_from", String, nullable=False),
    Column("is_whole", Boolean, nullable=False),
    Index(None, "user_id"),
)

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("hash", Key, primary_key=True),
    Column("client_id", Key, nullable=False),
    Column("redirect_uri", String, nullable=False),
    Column("challenge", String, nullable=False),
    Column("nonce", String, nullable=False),
    Column("audience", String, nullable=False),
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("signed_in_at", Instant, nullable=False),
    Column("methods", Json, nullable=False),
    Column("factor_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("is_used", Boolean, nullable=False),
    Column("family_id", Key, nullable=False),
    Index(None, "user_id"),
    Index(None, "created_at"),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("hash", Key, primary_key=True),
    Column("user_code", Key, nullable=False, unique=True),
    Column("client_id", Key, nullable=False),
    Column("audience", String, nullable=False),
    Column("address", Key, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("polled_at", Instant),
    Column("interval", Span, nullable=False),
    Column("state", String, nullable=False),
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE")),  # who approved it
    Column("epoch", Integer),
    Column("signed_in_at", Instant),
    Column("methods", Json),
    Column("factor_at", Instant),
    Index(None, "user_id"),
    Index(None, "created_at"),
)

token_families = Table(
    "token_families",
    metadata,
    Column("id", Key, primary_key=True),
    Column("client_id", Key, nullable=False),
    Column("flow", String, nullable=False),
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("signed_in_at", Instant, nullable=False),
    Column("methods", Json, nullable=False),
    Column("factor_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("seed", String, nullable=False),
    Column("is_revoked", Boolean, nullable=False),
    Column("address", String, nullable=False),  # of the sign-in
    Column("program", String, nullable=False),
    Column("seen_at", Instant),
    Column("seen_from", String, nullable=False),
    Index(None, "user_id"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", Key, primary_key=True),
    Column(
        "family_id",
        Key,
        ForeignKey(token_families.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    Column("generation", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index(None, "family_id", "generation", unique=True),
    Index(None, "created_at"),
)
