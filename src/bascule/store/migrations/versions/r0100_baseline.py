"""The baseline: where upgrades begin. It changes nothing.

A new database is made by ``store.new`` from ``store.tables``; later revisions upgrade what an
earlier program made in that way. Databases with a lower revision were never released.

Revision ID: 0100
Revises: nothing
"""

from __future__ import annotations

revision = "0100"
down_revision = None
branch_labels = None
depends_on = None
RUNS_BESIDE = "0100"


def upgrade() -> None:
    """Nothing to do."""
