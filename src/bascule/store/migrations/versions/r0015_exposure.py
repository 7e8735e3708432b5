"""What was kept shut and who was let in, as it was read back; and the same by the hour.

What points hold already begins the history: since when it was reported so, what is open since
its event, and every other machine with nothing kept shut since it was made.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_HOUR = 3_600_000_000
_AT_ONCE = 1000  # rows of one statement
# The last that an older program noted: from then on the history is whole.
_LAST_WRITTEN = (
    "SELECT max(at) FROM (SELECT max(created_at) AS at FROM installation "
    "UNION ALL SELECT max(at) FROM events UNION ALL SELECT max(last_contact_at) FROM agents) AS a"
)


def upgrade() -> None:
    _spans()
    _openings()
    _by_the_hour()
    _begin()


def _spans() -> None:
    op.create_table(
        "exposure_spans",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("machine_uid", sa.String(), nullable=False),
        sa.Column("machine_key", sa.String(), nullable=False),
        sa.Column("machine_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("ends_by", sa.BigInteger()),
        sa.PrimaryKeyConstraint("sequence", name="pk_exposure_spans"),
    )
    _index("spans", "machine_uid_kind", ["machine_uid", "kind"])
    _index("spans", "machine_key_ended_at", ["machine_key", "ended_at"])
    _index("spans", "ended_at", ["ended_at"])
    _index("spans", "current", ["machine_uid"], "ended_at IS NULL")
    _index("spans", "due", ["ends_by"], "ended_at IS NULL AND ends_by IS NOT NULL")
    _index("spans", "machines", ["machine_key", "began_at", "ended_at"], "kind != 'open'")
    _index("spans", "bare", ["machine_key", "began_at", "ended_at"], "kind = 'bare'")


def _openings() -> None:
    op.create_table(
        "exposure_openings",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("machine_uid", sa.String(), nullable=False),
        sa.Column("machine_key", sa.String(), nullable=False),
        sa.Column("machine_id", sa.String(), nullable=False),
        sa.Column("ports", sa.JSON(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("requestor_id", sa.String(), nullable=False),
        sa.Column("requestor", sa.String(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_by", sa.BigInteger()),
        sa.Column("shut_at", sa.BigInteger()),
        sa.Column("is_long", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_exposure_openings"),
    )
    _index("openings", "machine_uid_opened_at", ["machine_uid", "opened_at"])
    _index("openings", "opened_at", ["opened_at"])
    _index("openings", "shut_at", ["shut_at"])
    _index("openings", "current", ["machine_uid"], "shut_at IS NULL")
    _index("openings", "keys", ["machine_key"], "shut_at IS NULL")
    is_long = sa.column("is_long").is_(True)
    op.create_index(
        "ix_exposure_openings_long",
        "exposure_openings",
        ["opened_at"],
        sqlite_where=is_long,
        postgresql_where=is_long,
    )


def _index(table: str, name: str, columns: list[str], where: str | None = None) -> None:
    part = None if where is None else sa.text(where)
    op.create_index(
        f"ix_exposure_{table}_{name}",
        f"exposure_{table}",
        columns,
        sqlite_where=part,
        postgresql_where=part,
    )


def _by_the_hour() -> None:
    op.create_table(
        "exposure_steps",
        sa.Column("scope_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope_key", "kind", "hour", name="pk_exposure_steps"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "exposure_counts",
        sa.Column("scope_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope_key", "kind", name="pk_exposure_counts"),
    )
    op.create_table(
        "exposure_history",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_exposure_history"),
        sa.CheckConstraint("id = 1", name=op.f("ck_exposure_history_one_row")),
    )


def _begin() -> None:
    """Tell what is known already; in a database without machines there is nothing to tell."""
    connection = op.get_bind()
    subscription = connection.execute(sa.text("SELECT subscription_id FROM installation")).scalar()
    if subscription is None:
        return
    since = connection.execute(sa.text(_LAST_WRITTEN)).scalar()
    connection.execute(sa.text("INSERT INTO exposure_history VALUES (1, :at)"), {"at": since})
    opened = list(_opened(connection))
    changes: Counter[tuple[str, str, int]] = Counter()
    moments: Counter[tuple[str, str, int]] = Counter()
    rows: list[dict[str, Any]] = []
    for row in _found(connection, opened):
        group = row["machine_key"].split("/")[4]
        for scope in ("", f"/resourcegroups/{group}"):
            where = (f"/subscriptions/{subscription.lower()}{scope}", row["kind"])
            hour = row["began_at"] // _HOUR * _HOUR
            changes[*where, hour] += 1
            moments[*where, hour] += row["began_at"] - hour
        if row["kind"] != "known":
            rows.append(row)
    _insert("exposure_spans", rows)
    _insert("exposure_openings", opened)
    _insert(
        "exposure_steps",
        [
            {"scope_key": scope, "kind": kind, "hour": hour, "change": n, "moment": moments[key]}
            for key, n in changes.items()
            for scope, kind, hour in (key,)
        ],
    )
    numbers: Counter[tuple[str, str]] = Counter()
    for (scope, kind, _), n in changes.items():
        numbers[scope, kind] += n
    _insert(
        "exposure_counts",
        [{"scope_key": s, "kind": kind, "number": n} for (s, kind), n in numbers.items()],
    )


def _found(connection: sa.Connection, opened: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every span that goes on, and what is only counted."""
    statement = sa.text(
        "SELECT m.uid, m.id_key, m.id, m.created_at, h.since, h.closed FROM machines m "
        "LEFT JOIN held_rules h ON h.machine_uid = m.uid"
    )
    open_ports: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for opening in opened:
        for protocol, number in json.loads(opening["ports"]):
            here = (opening["machine_uid"], protocol, number)
            open_ports.setdefault(here, []).append(opening)
    for machine in connection.execute(statement):
        closed = machine.closed or []
        closed = json.loads(closed) if isinstance(closed, str) else closed
        row = {
            "machine_uid": machine.uid,
            "machine_key": machine.id_key,
            "machine_id": machine.id,
            "protocol": "",
            "number": 0,
            "began_at": machine.created_at,
            "ended_at": None,
            "ends_by": None,
        }
        yield {**row, "kind": "known"}
        if not closed:
            yield {**row, "kind": "bare"}
        for protocol, number, *_ in closed:
            port = {**row, "protocol": protocol, "number": number}
            yield {**port, "kind": "shut", "began_at": machine.since}
            if some := open_ports.get((machine.uid, protocol, number)):
                began_at = max(machine.since, min(each["opened_at"] for each in some))
                ends_by = max(each["ends_by"] for each in some)
                yield {**port, "kind": "open", "began_at": began_at, "ends_by": ends_by}


def _opened(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Grants that were read back open and not yet shut, each since its event."""
    statement = sa.text(
        "SELECT g.*, m.id_key FROM machines m JOIN grants g ON g.machine_uid = m.uid "
        "WHERE g.state = 'open' OR (g.state = 'closing' AND g.previous_state = 'open')"
    )
    for grant in connection.execute(statement):
        protocols = ["TCP", "UDP"] if grant.protocol == "*" else [grant.protocol]
        sources = grant.sources
        yield {
            "id": grant.id,
            "machine_uid": grant.machine_uid,
            "machine_key": grant.id_key,
            "machine_id": grant.machine_id,
            "ports": json.dumps([[protocol, grant.number] for protocol in protocols]),
            "sources": sources if isinstance(sources, str) else json.dumps(sources),
            "request_id": grant.request_id,
            "requestor_id": grant.requestor_id,
            "requestor": grant.requestor,
            "opened_at": _seen_at(connection, grant),
            "ends_by": grant.ends_at,
            "shut_at": None,
            "is_long": False,
        }


def _seen_at(connection: sa.Connection, grant: sa.Row[Any]) -> int:
    """When it was read back open; its beginning, where the record has been pruned."""
    statement = sa.text(
        "SELECT at, record FROM events WHERE resource_key = :key AND kind = 'GrantOpened' "
        "AND at >= :since"
    )
    wanted = {"key": grant.id_key, "since": grant.started_at}
    for event in connection.execute(statement, wanted):
        record = event.record
        record = json.loads(record) if isinstance(record, str) else record
        if record["data"]["grant_id"] == grant.id:
            return int(event.at)
    return int(grant.started_at)


def _insert(table: str, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        op.bulk_insert(sa.table(table, *(sa.column(name) for name in some[0])), some)
