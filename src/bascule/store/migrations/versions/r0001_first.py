"""The first revision: every table, and the moves that a grant may make.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_CUT = sa.column("is_cut", sa.Boolean).is_(True)
_IS_LIVE = sa.text("state IN ('opening', 'open')")

# domain.grant.TRANSITIONS as it was at this revision: (from, to).
_TRANSITIONS = (
    ("opening", "open"),
    ("opening", "failed"),
    ("opening", "closing"),
    ("open", "closing"),
    ("closing", "closed"),
)


def upgrade() -> None:
    _create_inventory()
    _create_policies()
    _create_access()
    _create_fleet()
    _create_record()


def _create_inventory() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("subscription_id", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    op.create_table(
        "resource_groups",
        sa.Column("key", _KEY, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_resource_groups"),
    )
    op.create_table(
        "credentials",
        sa.Column("client_key", _KEY, nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("client_key", name="pk_credentials"),
    )
    op.create_table(
        "machines",
        sa.Column("uid", _KEY, nullable=False),
        sa.Column("id_key", _KEY, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("group_key", _KEY, nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("os_type", sa.String(), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_machines"),
        sa.UniqueConstraint("id_key", name="uq_machines_id_key"),
    )
    op.create_index("ix_machines_group_key_id_key", "machines", ["group_key", "id_key"])
    op.create_table(
        "machine_generations",
        sa.Column("machine_uid", _KEY, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("machine_uid", name="pk_machine_generations"),
    )
    op.create_table(
        "closed_ports",
        sa.Column("machine_uid", _KEY, nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("on_expiry", sa.String(), nullable=False),
        sa.Column("is_released", sa.Boolean(), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 65535", name=op.f("ck_closed_ports_port_number")),
        sa.ForeignKeyConstraint(
            ["machine_uid"],
            ["machines.uid"],
            name="fk_closed_ports_machine_uid_machines",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_uid", "protocol", "number", name="pk_closed_ports"),
    )


def _create_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id_key", _KEY, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("group_key", _KEY, nullable=False),
        sa.Column("location_key", _KEY, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("etag", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id_key", name="pk_policies"),
    )
    op.create_index("ix_policies_group_key_id_key", "policies", ["group_key", "id_key"])
    op.create_table(
        "policy_machines",
        sa.Column("policy_key", _KEY, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("machine_key", _KEY, nullable=False),
        sa.Column("machine_id", sa.String(), nullable=False),
        sa.Column("public_ip_address", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["policy_key"],
            ["policies.id_key"],
            name="fk_policy_machines_policy_key_policies",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("policy_key", "position", name="pk_policy_machines"),
        sa.UniqueConstraint(
            "policy_key", "machine_key", name="uq_policy_machines_policy_key_machine_key"
        ),
    )
    op.create_index(
        "ix_policy_machines_machine_key_policy_key",
        "policy_machines",
        ["machine_key", "policy_key"],
    )
    op.create_table(
        "policy_ports",
        sa.Column("policy_key", _KEY, nullable=False),
        sa.Column("machine_position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("max_duration", sa.BigInteger(), nullable=False),
        sa.Column("on_expiry", sa.String(), nullable=False),
        sa.Column("justification_required", sa.Boolean(), nullable=False),
        sa.Column("is_source_list", sa.Boolean(), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 65535", name=op.f("ck_policy_ports_port_number")),
        sa.ForeignKeyConstraint(
            ["policy_key", "machine_position"],
            ["policy_machines.policy_key", "policy_machines.position"],
            name="fk_policy_ports_policy_key_machine_position_policy_machines",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "policy_key", "machine_position", "position", name="pk_policy_ports"
        ),
    )
    op.create_table(
        "policy_generations",
        sa.Column("policy_key", _KEY, nullable=False),
        sa.Column("machine_uid", _KEY, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_key"],
            ["policies.id_key"],
            name="fk_policy_generations_policy_key_policies",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("policy_key", "machine_uid", name="pk_policy_generations"),
    )


def _create_access() -> None:
    op.create_table(
        "requests",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("policy_key", _KEY, nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("requestor_id", _KEY, nullable=False),
        sa.Column("requestor", sa.String(), nullable=False),
        sa.Column("justification", sa.String(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("machines", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_index(
        "ix_requests_policy_key_started_at_id", "requests", ["policy_key", "started_at", "id"]
    )
    op.create_index(
        "ix_requests_requestor_id_started_at_id", "requests", ["requestor_id", "started_at", "id"]
    )
    op.create_index("ix_requests_started_at_id", "requests", ["started_at", "id"])
    op.create_table(
        "grant_transitions",
        sa.Column("from_state", sa.String(), nullable=False),
        sa.Column("to_state", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("from_state", "to_state", name="pk_grant_transitions"),
    )
    op.bulk_insert(
        sa.table(
            "grant_transitions",
            sa.column("from_state", sa.String),
            sa.column("to_state", sa.String),
        ),
        [{"from_state": old, "to_state": new} for old, new in _TRANSITIONS],
    )
    op.create_table(
        "grants",
        sa.Column("sequence", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", _KEY, nullable=False),
        sa.Column("request_id", _KEY, nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("machine_uid", _KEY, nullable=False),
        sa.Column("machine_id", sa.String(), nullable=False),
        sa.Column("requestor_id", sa.String(), nullable=False),
        sa.Column("requestor", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("on_expiry", sa.String(), nullable=False),
        sa.Column("max_duration", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at_text", sa.String(), nullable=False),
        sa.Column("previous_state", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("extension", sa.BigInteger(), nullable=False),
        sa.Column("is_source_list", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("is_cut", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "previous_state IS NOT NULL OR state = 'opening'", name=op.f("ck_grants_begins_opening")
        ),
        sa.CheckConstraint("number BETWEEN 1 AND 65535", name=op.f("ck_grants_port_number")),
        sa.ForeignKeyConstraint(
            ["previous_state", "state"],
            ["grant_transitions.from_state", "grant_transitions.to_state"],
            name="fk_grants_previous_state_state_grant_transitions",
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["requests.id"], name="fk_grants_request_id_requests"
        ),
        sa.PrimaryKeyConstraint("sequence", name="pk_grants"),
        sa.UniqueConstraint("id", name="uq_grants_id"),
    )
    op.create_index(
        "ix_grants_cut",
        "grants",
        ["machine_uid", "ended_at"],
        sqlite_where=_IS_CUT,
        postgresql_where=_IS_CUT,
    )
    op.create_index(
        "ix_grants_live", "grants", ["ends_at"], sqlite_where=_IS_LIVE, postgresql_where=_IS_LIVE
    )
    op.create_index("ix_grants_machine_uid_state", "grants", ["machine_uid", "state"])
    op.create_index("ix_grants_request_id", "grants", ["request_id"])


def _create_fleet() -> None:
    op.create_table(
        "agents",
        sa.Column("machine_uid", _KEY, nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_generation", sa.BigInteger(), nullable=False),
        sa.Column("last_contact_at", sa.BigInteger(), nullable=True),
        sa.Column("agent_version", sa.String(), nullable=False),
        sa.Column("local_port_low", sa.Integer(), nullable=True),
        sa.Column("local_port_high", sa.Integer(), nullable=True),
        sa.Column("weaknesses", sa.JSON(), nullable=False),
        sa.Column("blocked_attempts", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_uid"],
            ["machines.uid"],
            name="fk_agents_machine_uid_machines",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_uid", name="pk_agents"),
    )
    op.create_table(
        "enrolments",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("machine_uid", _KEY, nullable=False),
        sa.Column("token_hash", _KEY, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("replaces", sa.Boolean(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["machine_uid"],
            ["machines.uid"],
            name="fk_enrolments_machine_uid_machines",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_enrolments"),
        sa.UniqueConstraint("token_hash", name="uq_enrolments_token_hash"),
    )
    op.create_index("ix_enrolments_machine_uid", "enrolments", ["machine_uid"])


def _create_record() -> None:
    op.create_table(
        "events",
        sa.Column("sequence", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", _KEY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("principal_id", _KEY, nullable=False),
        sa.Column("resource_key", _KEY, nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_principal_id_sequence", "events", ["principal_id", "sequence"])
    op.create_index("ix_events_resource_key_sequence", "events", ["resource_key", "sequence"])
