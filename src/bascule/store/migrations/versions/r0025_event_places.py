"""At which machines a refusal is found beside its own resource.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_places",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resource_key", sa.String(), nullable=False),
        sa.Column("among", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", "resource_key", name=op.f("pk_event_places")),
    )
    op.create_index(
        "ix_event_places_resource_key_sequence", "event_places", ["resource_key", "sequence"]
    )
