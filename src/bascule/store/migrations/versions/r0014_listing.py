"""What lists of machines filter and order by, kept beside each machine.

What is known already is written here: from events and grants who was last let in and when,
and how many requests were made of each machine. All requests count as recent at first; the
server forgets the old ones as soon as it runs.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_UNSETTLED = sa.text("state IN ('opening', 'open', 'closing')")
_MACHINES = (
    "SELECT machines.uid, machines.id_key, machines.group_key, machines.os_type, machines.tags, "
    "agents.facts, agents.last_contact_at, agents.observed_generation, "
    "COALESCE(machine_generations.generation, 0) AS generation, "
    "EXISTS (SELECT 1 FROM closed_ports c WHERE c.machine_uid = machines.uid "
    "AND NOT c.is_released) AS is_shut, "
    "EXISTS (SELECT 1 FROM policy_machines m JOIN policy_ports p ON p.policy_key = m.policy_key "
    "AND p.machine_position = m.position WHERE m.machine_key = machines.id_key) AS is_named "
    "FROM machines "
    "LEFT JOIN agents ON agents.machine_uid = machines.uid "
    "LEFT JOIN machine_generations ON machine_generations.machine_uid = machines.uid"
)
_REQUESTS = (
    "SELECT machine_uid, COUNT(DISTINCT request_id) AS number FROM grants GROUP BY machine_uid"
)
_OPENED = "SELECT at, record FROM events WHERE kind = 'GrantOpened' ORDER BY sequence"
_GRANTS = "SELECT id, machine_uid, requestor_id, requestor FROM grants"


def upgrade() -> None:
    listed = op.create_table(
        "listed_machines",
        sa.Column("machine_uid", sa.String(), nullable=False),
        sa.Column("id_key", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("group_key", sa.String(), nullable=False),
        sa.Column("os_type", sa.String(), nullable=False),
        sa.Column("traits", sa.Integer(), nullable=False),
        sa.Column("is_shut", sa.Boolean(), nullable=False),
        sa.Column("is_silent", sa.Boolean(), nullable=False),
        sa.Column("is_behind", sa.Boolean(), nullable=False),
        sa.Column("recent_requests", sa.Integer(), nullable=False),
        sa.Column("last_access_at", sa.BigInteger(), nullable=False),
        sa.Column("last_user_id", sa.String(), nullable=False),
        sa.Column("last_user", sa.String(), nullable=False),
        sa.Column("last_user_key", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("machine_uid", name="pk_listed_machines"),
        sa.ForeignKeyConstraint(
            ["machine_uid"],
            ["machines.uid"],
            name="fk_listed_machines_machine_uid_machines",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("id_key", name="uq_listed_machines_id_key"),
    )
    for first in ("name_key", "last_access_at", "recent_requests", "last_user_key"):
        op.create_index(f"ix_listed_machines_{first}_id_key", "listed_machines", [first, "id_key"])
    op.create_index(
        "ix_listed_machines_group_key_traits", "listed_machines", ["group_key", "traits"]
    )
    op.create_table(
        "recent_window",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("begins_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recent_window"),
        sa.CheckConstraint("id = 1", name=op.f("ck_recent_window_one_row")),
    )
    op.create_index(
        "ix_grants_unsettled",
        "grants",
        ["state", "machine_uid"],
        sqlite_where=_UNSETTLED,
        postgresql_where=_UNSETTLED,
    )
    _fill(listed)


def _fill(listed: sa.Table) -> None:
    connection = op.get_bind()
    counted = {row.machine_uid: row.number for row in connection.execute(sa.text(_REQUESTS))}
    seen = _last_seen(connection)
    rows = [
        _row(machine, counted.get(machine.uid, 0), seen.get(machine.uid, (0, "", "")))
        for machine in connection.execute(sa.text(_MACHINES))
    ]
    if rows:
        connection.execute(listed.insert(), rows)


def _last_seen(connection: sa.Connection) -> dict[str, tuple[int, str, str]]:
    """By machine uid: when a port was last open, and for whom."""
    opened = {
        _data(record).get("grant_id"): at for at, record in connection.execute(sa.text(_OPENED))
    }
    seen: dict[str, tuple[int, str, str]] = {}
    if opened:
        for grant, uid, user_id, user in connection.execute(sa.text(_GRANTS)):
            at = opened.get(grant)
            if at is not None and at >= seen.get(uid, (0, "", ""))[0]:
                seen[uid] = (at, user_id, user)
    return seen


def _data(record: object) -> dict[str, Any]:
    data = _read(record).get("data")
    return data if isinstance(data, dict) else {}


def _read(value: object) -> dict[str, Any]:
    """A JSON column, which a driver may have read already."""
    if isinstance(value, str):
        value = json.loads(value)
    return value if isinstance(value, dict) else {}


def _row(machine: sa.Row[Any], requests: int, seen: tuple[int, str, str]) -> dict[str, Any]:
    has_point = machine.facts is not None
    bits = (
        (_read(machine.tags).get("bascule-managed") != "false", 16),
        (has_point, 8),
        (has_point and bool(_read(machine.facts).get("flushed by")), 4),
        (machine.is_named, 1),
    )
    at, user_id, user = seen
    return {
        "machine_uid": machine.uid,
        "id_key": machine.id_key,
        "name_key": machine.id_key.rpartition("/")[2],
        "group_key": machine.group_key,
        "os_type": machine.os_type,
        "traits": sum(bit for is_so, bit in bits if is_so),
        "is_shut": bool(machine.is_shut),
        "is_silent": has_point and machine.last_contact_at is None,
        "is_behind": has_point and machine.generation > machine.observed_generation,
        "recent_requests": requests,
        "last_access_at": at,
        "last_user_id": user_id,
        "last_user": user,
        "last_user_key": user.casefold(),
    }
