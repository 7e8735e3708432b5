"""Security plans of scopes; what enforcement points were last read back to hold.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("scope_key", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("is_enforced", sa.Boolean(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope_key", name="pk_plans"),
    )
    op.create_table(
        "held_rules",
        sa.Column("machine_uid", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.JSON(), nullable=False),
        sa.Column("local", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("machine_uid", name="pk_held_rules"),
        sa.ForeignKeyConstraint(
            ["machine_uid"],
            ["agents.machine_uid"],
            name="fk_held_rules_machine_uid_agents",
            ondelete="CASCADE",
        ),
    )
