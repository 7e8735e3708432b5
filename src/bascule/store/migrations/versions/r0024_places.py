"""Who holds the places of callers without an identity, and where anybody has signed in before.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_known_networks_network", "known_networks", ["network"])
    op.add_column("pending_sign_ins", sa.Column("address", sa.String(), nullable=True))
