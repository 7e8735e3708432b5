"""The link by which a fresh installation gets its first person.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "set_up_link",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_set_up_link"),
        sa.CheckConstraint("id = 1", name=op.f("ck_set_up_link_one_row")),
    )
