"""The index of when spans ended is of those that did; by it those that go on are not looked for.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_exposure_spans_ended_at", "exposure_spans")
    ended = sa.column("ended_at").is_not(None)
    op.create_index(
        "ix_exposure_spans_ended",
        "exposure_spans",
        ["ended_at"],
        sqlite_where=ended,
        postgresql_where=ended,
    )
