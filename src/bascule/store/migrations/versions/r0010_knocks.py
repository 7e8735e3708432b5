"""Blocked attempts by scope, hour, source and port.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "knocks",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "hour", "source", "protocol", "number", name="pk_knocks"),
        sa.CheckConstraint("number BETWEEN 0 AND 65535", name=op.f("ck_knocks_port_number")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_knocks_hour_scope", "knocks", ["hour", "scope"])
