"""Principals and what they may do: users, groups, service principals, roles.

A principal's id is a key of one of three tables; memberships and assignments carry no
foreign key to it, and its deletion takes them along in the same transaction.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table

from bascule.store.columns import Instant, Json, Key
from bascule.store.tables.metadata import metadata

users = Table(
    "users",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name_key", Key, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("display_name", String, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("epoch", Integer, nullable=False),
)

service_principals = Table(
    "service_principals",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name_key", Key, nullable=False),
    Column("display_name", String, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "name_key", "id"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("key_id", Key, primary_key=True),
    Column(
        "principal_id",
        Key,
        ForeignKey(service_principals.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    Column("kind", String, nullable=False),
    Column("proof", String, nullable=False),
    Column("display_name", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Index(None, "principal_id"),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name_key", Key, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("description", String, nullable=False),
    Column("created_at", Instant, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_id", Key, ForeignKey(groups.c.id, ondelete="CASCADE"), primary_key=True),
    Column("member_id", Key, primary_key=True),
    Column("provider_id", Key, primary_key=True),  # empty: by hand
    Column("member_kind", String, nullable=False),
    Column("expires_at", Instant),
    Index(None, "member_id"),
    Index(None, "expires_at"),
)

role_definitions = Table(
    "role_definitions",  # custom ones; the built-in are in the program
    metadata,
    Column("id", Key, primary_key=True),
    Column("name_key", Key, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("description", String, nullable=False),
    Column("permissions", Json, nullable=False),
    Column("assignable_scopes", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("created_by", Key, nullable=False),
    Column("updated_by", Key, nullable=False),
)

role_assignments = Table(
    "role_assignments",
    metadata,
    Column("id", Key, primary_key=True),
    Column("scope_key", Key, nullable=False),
    Column("scope", String, nullable=False),
    Column("role_id", Key, nullable=False),
    Column("principal_id", Key, nullable=False),
    Column("principal_kind", String, nullable=False),
    Column("description", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Key, nullable=False),
    Index(None, "principal_id"),
    Index(None, "scope_key", "role_id", "principal_id", unique=True),
)

# Another random value after each change of the tables above (credentials apart): what was
# worked out from them holds for as long as it stays.
access_stamp = Table(
    "access_stamp",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("stamp", String, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
