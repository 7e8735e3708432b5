"""What the activity log is found and counted by; events of before are counted too.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_DAY = 86_400_000_000
_AT_ONCE = 1000  # rows of one statement
_ENDS = (
    "UPDATE events SET kind = 'GrantEnded.' || json_extract(record, '$.data.reason') "
    "WHERE kind = 'GrantEnded'"
)
_SEALED = (
    "SELECT e.at, e.kind, e.principal_id, e.resource_key FROM events AS e "
    "JOIN event_seals AS s ON s.sequence = e.sequence"
)


def upgrade() -> None:
    op.get_bind().execute(sa.text(_ENDS))
    op.drop_index("ix_events_at", "events")
    op.drop_index("ix_events_resource_key_sequence", "events")
    op.create_index("ix_events_at_kind", "events", ["at", "kind"])
    op.create_index("ix_events_kind_at", "events", ["kind", "at"])
    op.create_index("ix_events_principal_id_at_kind", "events", ["principal_id", "at", "kind"])
    op.create_index("ix_events_resource_key_at_kind", "events", ["resource_key", "at", "kind"])
    counts = op.create_table(
        "event_counts",
        sa.Column("scope_key", sa.String(), nullable=False),
        sa.Column("principal_id", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope_key", "principal_id", "day", "kind", name="pk_event_counts"),
    )
    op.create_index("ix_event_counts_day", "event_counts", ["day"])
    rows = [
        {
            "scope_key": scope_key,
            "principal_id": principal_id,
            "day": day,
            "kind": kind,
            "events": number,
        }
        for (scope_key, principal_id, day, kind), number in _counted().items()
    ]
    for start in range(0, len(rows), _AT_ONCE):
        op.bulk_insert(counts, rows[start : start + _AT_ONCE])


def _counted() -> Counter[tuple[str, str, int, str]]:
    counts: Counter[tuple[str, str, int, str]] = Counter()
    for at, kind, principal_id, resource_key in op.get_bind().execute(sa.text(_SEALED)):
        for scope_key, principal in _under(principal_id, resource_key):
            counts[scope_key, principal, at // _DAY, kind] += 1
    return counts


def _under(principal_id: str, resource_key: str) -> Iterator[tuple[str, str]]:
    """Everything, the principal, the subscription and the group."""
    yield "", ""
    if principal_id:
        yield "", principal_id
    parts = resource_key.split("/")
    if parts[1:2] == ["subscriptions"]:
        yield "/".join(parts[:3]), ""
        if len(parts) >= 5 and parts[3] == "resourcegroups":
            yield "/".join(parts[:5]), ""
