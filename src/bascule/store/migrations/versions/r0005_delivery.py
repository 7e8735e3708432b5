"""Where the record is sent to.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sinks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("ca_certificates", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sinks"),
        sa.UniqueConstraint("name_key", name="uq_sinks_name_key"),
    )
    op.create_table(
        "sink_secrets",
        sa.Column("sink_id", sa.String(), nullable=False),
        sa.Column("current", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("previous_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("sink_id", name="pk_sink_secrets"),
        sa.ForeignKeyConstraint(
            ["sink_id"], ["sinks.id"], name="fk_sink_secrets_sink_id_sinks", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "sink_progress",
        sa.Column("sink_id", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("delivered_position", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("alone_until", sa.BigInteger(), nullable=False),
        sa.Column("next_try_at", sa.BigInteger()),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.Column("last_error_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("sink_id", name="pk_sink_progress"),
        sa.ForeignKeyConstraint(
            ["sink_id"], ["sinks.id"], name="fk_sink_progress_sink_id_sinks", ondelete="CASCADE"
        ),
    )
