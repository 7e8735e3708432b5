"""Silent points, and those never heard of, have indexes of their own: they are counted at a glance.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    silent = sa.column("is_silent").is_(True)
    op.create_index(
        "ix_listed_machines_silent",
        "listed_machines",
        ["id_key"],
        sqlite_where=silent,
        postgresql_where=silent,
    )
    never = sa.column("last_contact_at").is_(None)
    op.create_index(
        "ix_agents_never_heard",
        "agents",
        ["machine_uid"],
        sqlite_where=never,
        postgresql_where=never,
    )
