"""Principals and roles. Who could call before is a service principal and Owner of it all.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import secrets
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"


def upgrade() -> None:
    _principals()
    _roles()
    _move_credentials()
    op.create_table(
        "access_stamp",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stamp", sa.String(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_access_stamp_one_row")),
        sa.PrimaryKeyConstraint("id", name="pk_access_stamp"),
    )
    first = {"stamp": secrets.token_hex(16)}
    op.get_bind().execute(sa.text("INSERT INTO access_stamp VALUES (1, :stamp)"), first)


def _principals() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name_key", name="uq_users_name_key"),
    )
    op.create_table(
        "service_principals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_principals"),
    )
    op.create_table(
        "groups",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint("name_key", name="uq_groups_name_key"),
    )
    op.create_table(
        "memberships",
        sa.Column("group_id", sa.String(), nullable=False),
        sa.Column("member_id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("member_kind", sa.String(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("group_id", "member_id", "provider_id", name="pk_memberships"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name="fk_memberships_group_id_groups", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_memberships_member_id", "memberships", ["member_id"])
    op.create_index("ix_memberships_expires_at", "memberships", ["expires_at"])


def _roles() -> None:
    op.create_table(
        "role_definitions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("assignable_scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("updated_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_role_definitions"),
        sa.UniqueConstraint("name_key", name="uq_role_definitions_name_key"),
    )
    op.create_table(
        "role_assignments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("scope_key", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("role_id", sa.String(), nullable=False),
        sa.Column("principal_id", sa.String(), nullable=False),
        sa.Column("principal_kind", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_role_assignments"),
    )
    op.create_index("ix_role_assignments_principal_id", "role_assignments", ["principal_id"])
    op.create_index(
        "ix_role_assignments_scope_key_role_id_principal_id",
        "role_assignments",
        ["scope_key", "role_id", "principal_id"],
        unique=True,
    )


def _move_credentials() -> None:
    """Each client of before: a service principal, its secret as its one credential, Owner."""
    connection = op.get_bind()
    before = connection.execute(sa.text("SELECT * FROM credentials")).mappings().all()
    installation = connection.execute(sa.text("SELECT * FROM installation")).mappings().first()
    op.drop_table("credentials")
    op.create_table(
        "credentials",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("principal_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("proof", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key_id", name="pk_credentials"),
        sa.ForeignKeyConstraint(
            ["principal_id"],
            ["service_principals.id"],
            name="fk_credentials_principal_id_service_principals",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_credentials_principal_id", "credentials", ["principal_id"])
    if installation is None:
        return
    scope = f"/subscriptions/{installation['subscription_id']}"
    for row in before:
        connection.execute(
            sa.text("INSERT INTO service_principals VALUES (:id, :name, :enabled, :at)"),
            {
                "id": row["client_key"],
                "name": row["display_name"],
                "enabled": row["is_enabled"],
                "at": installation["created_at"],
            },
        )
        connection.execute(
            sa.text("INSERT INTO credentials VALUES (:key, :id, 'secret', :proof, '', :at, :ends)"),
            {
                "key": str(uuid.uuid4()),
                "id": row["client_key"],
                "proof": row["secret_hash"],
                "at": installation["created_at"],
                "ends": row["expires_at"],
            },
        )
        connection.execute(
            sa.text(
                "INSERT INTO role_assignments VALUES "
                "(:key, :scope_key, :scope, :role, :id, 'ServicePrincipal', '', :at, '')"
            ),
            {
                "key": str(uuid.uuid4()),
                "scope_key": scope.casefold(),
                "scope": scope,
                "role": _OWNER,
                "id": row["client_key"],
                "at": installation["created_at"],
            },
        )
