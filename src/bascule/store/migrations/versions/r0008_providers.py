"""External identity providers and whom they vouch for.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _providers()
    _people()
    _sign_ins()


def _of_provider(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_provider_id_identity_providers"
    return sa.ForeignKeyConstraint(
        ["provider_id"], ["identity_providers.id"], name=name, ondelete="CASCADE"
    )


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
    )


def _providers() -> None:
    op.create_table(
        "identity_providers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("tenant_claim", sa.String(), nullable=False),
        sa.Column("tenants", sa.JSON(), nullable=False),
        sa.Column("groups_claim", sa.String(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("creates_users", sa.Boolean(), nullable=False),
        sa.Column("ca", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_providers"),
        sa.UniqueConstraint("name_key", name="uq_identity_providers_name_key"),
        sa.UniqueConstraint("issuer", name="uq_identity_providers_issuer"),
    )


def _people() -> None:
    op.create_table(
        "external_identities",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("linked_at", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("vouched_at", sa.BigInteger()),
        sa.Column("sealed_refresh", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_external_identities"),
        _of_provider("external_identities"),
        _of_user("external_identities"),
    )
    op.create_index(
        "ix_external_identities_provider_id_subject",
        "external_identities",
        ["provider_id", "subject"],
    )
    op.create_index("ix_external_identities_user_id", "external_identities", ["user_id"])
    op.create_table(
        "provider_invitations",
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "email", name="pk_provider_invitations"),
        _of_provider("provider_invitations"),
        _of_user("provider_invitations"),
    )
    op.create_index("ix_provider_invitations_user_id", "provider_invitations", ["user_id"])


def _sign_ins() -> None:
    op.create_table(
        "pending_sign_ins",
        sa.Column("state_hash", sa.String(), nullable=False),
        sa.Column("browser_hash", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("redirect_uri", sa.String(), nullable=False),
        sa.Column("nonce_hash", sa.String(), nullable=False),
        sa.Column("sealed_verifier", sa.Text(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_pending_sign_ins"),
        _of_provider("pending_sign_ins"),
    )
    op.create_index("ix_pending_sign_ins_expires_at", "pending_sign_ins", ["expires_at"])
    op.create_index("ix_pending_sign_ins_provider_id", "pending_sign_ins", ["provider_id"])
