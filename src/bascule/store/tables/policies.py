"""Policies: what they say of each machine and port, and when a machine was last told of one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from bascule.store.columns import Json, Key, Span
from bascule.store.tables.metadata import metadata

policies = Table(
    "policies",
    metadata,
    Column("id_key", Key, primary_key=True),
    Column("id", String, nullable=False),
    Column("group_key", Key, nullable=False),
    Column("location_key", Key, nullable=False),
    Column("kind", String, nullable=False),
    Column("etag", String, nullable=False),
    Column("rules", Json, nullable=False),
    Column("self_approval", Boolean, nullable=False),
    Column("pending_for", Span),  # null: as usual
    Column("tickets", Json),  # where they are asked for; null: nowhere
    Column("ticket_secret", String),  # sealed
    Column("has_approval", Boolean, nullable=False),  # rules, or a port with an approval
    Index(None, "group_key", "id_key"),
    Index(None, "location_key"),
)

policy_machines = Table(
    "policy_machines",
    metadata,
    Column("policy_key", Key, ForeignKey(policies.c.id_key, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("machine_key", Key, nullable=False),
    Column("machine_id", String, nullable=False),
    Column("public_ip_address", String),
    UniqueConstraint("policy_key", "machine_key"),
    Index(None, "machine_key", "policy_key"),
)

policy_ports = Table(
    "policy_ports",
    metadata,
    Column("policy_key", Key, primary_key=True),
    Column("machine_position", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
    Column("protocol", String, nullable=False),
    Column("sources", Json, nullable=False),
    Column("max_duration", Span, nullable=False),
    Column("on_expiry", String, nullable=False),
    Column("justification_required", Boolean, nullable=False),
    Column("is_source_list", Boolean, nullable=False),
    Column("public_port", Integer),  # null: one is chosen
    Column("public_address", String),  # null: the gateway's first
    Column("drain_for", Span),  # null: connections do not stay for a time
    Column("approval", Json, nullable=False),  # stages
    ForeignKeyConstraint(
        ["policy_key", "machine_position"],
        [policy_machines.c.policy_key, policy_machines.c.position],
        ondelete="CASCADE",
    ),
    CheckConstraint("number BETWEEN 1 AND 65535", name="port_number"),
)

policy_generations = Table(
    "policy_generations",
    metadata,
    Column("policy_key", Key, ForeignKey(policies.c.id_key, ondelete="CASCADE"), primary_key=True),
    Column("machine_uid", Key, primary_key=True),
    Column("generation", BigInteger, nullable=False),
)
