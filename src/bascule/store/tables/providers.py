"""External identity providers and the people whom they vouch for.

An identity goes with its user and with its provider. Issuer and subject compare letter by
letter: they are opaque (OpenID Connect Core 2).
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from bascule.store.columns import Instant, Json, Key
from bascule.store.tables.access import users
from bascule.store.tables.metadata import metadata

identity_providers = Table(
    "identity_providers",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name_key", Key, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("display_name", String, nullable=False),
    Column("issuer", Key, nullable=False, unique=True),
    Column("client_id", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("sealed_secret", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("domains", Json, nullable=False),
    Column("tenant_claim", String, nullable=False),
    Column("tenants", Json, nullable=False),
    Column("groups_claim", String, nullable=False),
    Column("groups", Json, nullable=False),
    Column("creates_users", Boolean, nullable=False),
    Column("ca", Text, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
)

external_identities = Table(
    "external_identities",
    metadata,
    Column("issuer", Key, primary_key=True),
    Column("subject", Key, primary_key=True),
    Column(
        "provider_id",
        Key,
        ForeignKey(identity_providers.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("linked_at", Instant, nullable=False),
    Column("email", String, nullable=False),
    Column("vouched_at", Instant),
    Column("sealed_refresh", Text, nullable=False),
    Column("asked_until", Instant),  # a server asks the provider anew until then
    Column("named_groups", Json, nullable=False, server_default="[]"),
    Index(None, "provider_id", "subject"),
    Index(None, "user_id"),
)

provider_invitations = Table(
    "provider_invitations",
    metadata,
    Column(
        "provider_id",
        Key,
        ForeignKey(identity_providers.c.id, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("email", Key, primary_key=True),
    Column("user_id", Key, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index(None, "user_id"),
)

pending_sign_ins = Table(
    "pending_sign_ins",
    metadata,
    Column("state_hash", Key, primary_key=True),
    Column("browser_hash", String, nullable=False),
    Column(
        "provider_id",
        Key,
        ForeignKey(identity_providers.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    Column("issuer", String, nullable=False),
    Column("redirect_uri", String, nullable=False),
    Column("nonce_hash", String, nullable=False),
    Column("sealed_verifier", Text, nullable=False),
    Column("return_to", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("address", String, nullable=True),
    Index(None, "expires_at"),
    Index(None, "provider_id"),
)
