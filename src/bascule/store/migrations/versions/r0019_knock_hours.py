"""Blocked attempts of each hour together, beside those of each source.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "knock_hours",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "hour", name="pk_knock_hours"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO knock_hours (scope, hour, attempts) "
        "SELECT scope, hour, SUM(attempts) FROM knocks GROUP BY scope, hour"
    )
