"""What a person knows his sign-ins by: an id of their own, where from, by what, last used.

Revision ID: 0013
Revises: 0010
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _sessions()
    _families()


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
    )


def _taken(table: str, index: str) -> Sequence[Mapping[str, Any]]:
    """The rows of a table, which is gone afterwards."""
    connection = op.get_bind()
    columns = [sa.column(each["name"], each["type"]) for each in _columns(table)]
    rows = connection.execute(sa.select(*columns).select_from(sa.table(table))).mappings().all()
    op.drop_index(index, table)
    op.drop_table(table)
    return [dict(each) for each in rows]


def _columns(table: str) -> Sequence[Mapping[str, Any]]:
    return sa.inspect(op.get_bind()).get_columns(table)


def _sessions() -> None:
    before = _taken("sessions", "ix_sessions_user_id")
    made = op.create_table(
        "sessions",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=False),
        sa.Column("methods", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("program", sa.String(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_from", sa.String(), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_sessions"),
        sa.UniqueConstraint("id", name="uq_sessions_id"),
        _of_user("sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    unknown = {"address": "", "program": "", "seen_from": ""}
    for row in before:
        op.get_bind().execute(made.insert(), {**row, "id": str(uuid.uuid4()), **unknown})


def _families() -> None:
    before = _taken("token_families", "ix_token_families_user_id")
    made = op.create_table(
        "token_families",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("flow", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=False),
        sa.Column("methods", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.String(), nullable=False),
        sa.Column("is_revoked", sa.Boolean(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("program", sa.String(), nullable=False),
        sa.Column("seen_at", sa.BigInteger()),
        sa.Column("seen_from", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_token_families"),
        _of_user("token_families"),
    )
    op.create_index("ix_token_families_user_id", "token_families", ["user_id"])
    unknown = {"address": "", "program": "", "seen_at": None, "seen_from": ""}
    for row in before:
        op.get_bind().execute(made.insert(), {**row, **unknown})
