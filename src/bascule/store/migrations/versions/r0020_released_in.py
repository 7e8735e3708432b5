"""A port that was let go knows by which generation; what was let go before counts as of old.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("closed_ports", sa.Column("released_in", sa.BigInteger(), nullable=True))
    op.execute("UPDATE closed_ports SET released_in = 0 WHERE is_released")
