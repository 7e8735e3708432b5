"""When a grant's sessions were cut, which may be long after its end.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_grants_cut", "grants")
    op.add_column("grants", sa.Column("cut_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE grants SET cut_at = ended_at WHERE is_cut")
    op.drop_column("grants", "is_cut")
    is_cut = sa.column("cut_at").is_not(None)
    op.create_index(
        "ix_grants_cut",
        "grants",
        ["machine_uid", "cut_at"],
        sqlite_where=is_cut,
        postgresql_where=is_cut,
    )
