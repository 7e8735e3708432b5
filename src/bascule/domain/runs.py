"""Runs of ``bascule ssh --close``: a request is closed when the last run that uses it has ended (EDGES J14).

A *run* says every HEARTBEAT that it goes on. BOUND after the last heartbeat that was heard it counts as
ended, whatever became of it: killed, asleep, or cut off. A run never makes a grant longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

HEARTBEAT = timedelta(seconds=30)
BOUND = 3 * HEARTBEAT
MOST_RUNS = 20  # of one request


@dataclass(frozen=True, slots=True)
class Run:
    request_id: str
    id: str
    principal_id: str  # whose run it is
    until: (
        datetime | None
    )  # when it counts as ended; None: its request waits, for approval or its start


def counted_until(until: datetime, now: datetime, serving_since: datetime | None) -> datetime:
    """When a run counts as ended, by what is known now.

    A server that was not there heard nothing: it waits for BOUND from its own start. If the clock went
    back, what is left is BOUND at most.
    """
    if until > now + 2 * BOUND:
        return now + BOUND
    if serving_since is not None and serving_since <= now:
        return max(until, serving_since + BOUND)
    return until
