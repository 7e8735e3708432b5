"""The groups that an external provider named last, beside those whose hour has not ended.

The program before leaves them as they are. That is an empty list for whoever it signs in first: a *deny*
or *approve* rule on such a group then holds for the hour in which the person is in the group.

Revision ID: 0101
Revises: 0100
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0101"
down_revision = "0100"
branch_labels = None
depends_on = None
RUNS_BESIDE = "0100"


def upgrade() -> None:
    op.add_column(
        "external_identities",
        sa.Column("named_groups", sa.JSON(), nullable=False, server_default="[]"),
    )
