"""What half a year leaves behind beside the record: exposure's history, and who knocked.

It is written in bulk, from the machines and grants that ``bench.estate`` made, as a server that
was there all the time would have written it.
"""

from __future__ import annotations

import random
import sqlite3
from datetime import datetime, timedelta

from bascule.domain.knocks import SOURCES_OF_SCOPE
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.store.columns import to_microseconds

_HOUR = 3_600_000_000
_KNOCKED = 48  # hours in which somebody knocked
_SOURCES_OF_GROUP = 100  # of an hour; of the whole as many as are kept by name
_CLOSED = '[["TCP", 22, "keep"]]'
_PORT = '[["TCP", 22]]'
_SPAN = (
    "INSERT INTO exposure_spans (id, ports, sources, request_id, requestor_id, requestor, is_long, "
    "machine_uid, machine_key, machine_id, kind, protocol, number, began_at, ended_at, ends_by) SELECT "
)
_NO_OPENING = "'', '[]', '[]', '', '', '', 0, m.uid, m.id_key, m.id, "
_OPENING = f"g.id, '{_PORT}', g.sources, g.request_id, g.requestor_id, g.requestor, 0, m.uid, m.id_key, m.id, "
_AT_GRANTS = "FROM grants g JOIN machines m ON m.uid = g.machine_uid "
_HELD = "m.uid IN (SELECT machine_uid FROM held_rules)"
_STEPS = """
INSERT INTO exposure_steps (scope_key, kind, hour, change, moment)
SELECT {scope} AS scope, kind, at / :hour * :hour, sum(change), sum(change * (at % :hour)) FROM (
  SELECT machine_key, kind, began_at AS at, 1 AS change FROM exposure_spans WHERE kind != 'opening'
  UNION ALL SELECT machine_key, kind, ended_at, -1 FROM exposure_spans
    WHERE kind != 'opening' AND ended_at IS NOT NULL
  UNION ALL SELECT id_key, 'known', created_at, 1 FROM machines
) GROUP BY scope, kind, at / :hour
"""
_NUMBERS = (  # how many there are now, at the hour 0
    "INSERT INTO exposure_steps SELECT scope_key, kind, 0, sum(change), 0 FROM exposure_steps "
    "GROUP BY scope_key, kind"
)


def write_history(database: sqlite3.Connection, subscription: str, began: datetime) -> None:
    """Since ``began`` agents have kept port 22 closed wherever a policy names it; a grant is open
    from its beginning to its end.
    """
    at = {"began": to_microseconds(began)}
    database.execute("UPDATE machines SET created_at = :began", at)
    database.execute(
        "INSERT OR REPLACE INTO held_rules (machine_uid, generation, since, closed, local) "
        f"SELECT machine_uid, 3, :began, '{_CLOSED}', '[]' FROM closed_ports "
        "WHERE machine_uid IN (SELECT machine_uid FROM agents)",
        at,
    )
    for table in ("spans", "steps", "history"):
        database.execute(f"DELETE FROM exposure_{table}")
    closed = f"'closed', 'TCP', 22, :began, NULL, NULL FROM machines m WHERE {_HELD}"
    bare = f"'bare', '', 0, :began, NULL, NULL FROM machines m WHERE NOT {_HELD}"
    past = f"'open', 'TCP', 22, g.started_at, g.ended_at, g.ends_at {_AT_GRANTS}WHERE {_HELD}"
    now = f"'open', 'TCP', 22, min(g.started_at), NULL, max(g.ends_at) {_AT_GRANTS}WHERE {_HELD}"
    one = f"'opening', '', 0, g.started_at, g.ended_at, g.ends_at {_AT_GRANTS}WHERE {_HELD}"
    span = f"{_SPAN}{_NO_OPENING}"
    database.execute(span + closed, at)
    database.execute(span + bare, at)
    database.execute(f"{span}{past} AND g.ended_at IS NOT NULL ORDER BY g.sequence")
    database.execute(f"{span}{now} AND g.ended_at IS NULL GROUP BY m.uid")
    database.execute(f"{_SPAN}{_OPENING}{one} ORDER BY g.sequence")
    whole = subscription_scope(subscription).key
    group = len(group_scope(subscription, "rg-000").key)
    for scope in (f"'{whole}'", f"substr(machine_key, 1, {group})"):
        database.execute(_STEPS.format(scope=scope), {"hour": _HOUR})
    database.execute(_NUMBERS)
    database.execute("INSERT INTO exposure_history VALUES (1, :began)", at)
    database.commit()


_KNOCK_HOURS = (
    "INSERT OR REPLACE INTO knock_hours "
    "SELECT scope, hour, SUM(attempts) FROM knocks GROUP BY scope, hour"
)


def write_knocks(
    database: sqlite3.Connection, subscription: str, groups: list[str], now: datetime
) -> None:
    """As many sources as are kept by name at the whole, and some at each group."""
    chance = random.Random(2)
    hour = now.replace(minute=0, second=0, microsecond=0)
    scopes = [(subscription_scope(subscription).key, SOURCES_OF_SCOPE)]
    scopes += [(group_scope(subscription, each).key, _SOURCES_OF_GROUP) for each in groups]
    for before in range(_KNOCKED):
        began = to_microseconds(hour - timedelta(hours=before))
        for scope, sources in scopes:
            some = {f"203.0.{number >> 8}.{number & 255}" for number in range(sources)}
            database.executemany(
                "INSERT OR REPLACE INTO knocks VALUES (?, ?, ?, 'TCP', 22, ?, ?)",
                (
                    (scope, began, each, chance.randrange(1, 90), began + chance.randrange(_HOUR))
                    for each in sorted(some)
                ),
            )
    database.execute(_KNOCK_HOURS)
    database.commit()
