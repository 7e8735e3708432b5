"""What bounds retention: the clocks as they were last seen, and events held for sinks.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "record_clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("boottime", sa.Float(), nullable=False),
        sa.Column("stepped", sa.BigInteger(), nullable=False),
        sa.Column("has_leapt", sa.Boolean(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_record_clock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_clock")),
    )
    op.create_table(
        "record_holds",
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("first <= last", name=op.f("ck_record_holds_is_span")),
        sa.PrimaryKeyConstraint("first", name=op.f("pk_record_holds")),
    )
