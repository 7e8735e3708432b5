"""EDGES J14: when a run of ``bascule ssh --close`` counts as ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bascule.domain.runs import BOUND, HEARTBEAT, counted_until
from tests.samples import NOW

SECOND = timedelta(seconds=1)


def test_three_heartbeats_are_missed_before() -> None:
    assert 3 * HEARTBEAT == BOUND == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("until", "since", "found"),
    [
        # It ends when it was said to, without or with a server that has listened for long.
        (NOW, None, NOW),
        (NOW, NOW - timedelta(days=1), NOW),
        # While no server was there it could not be heard: BOUND counts from the start.
        (NOW - SECOND, NOW - 5 * SECOND, NOW - 5 * SECOND + BOUND),
        (NOW - timedelta(hours=2), NOW, NOW + BOUND),
        # A server that has listened for BOUND waits no longer.
        (NOW - SECOND, NOW - BOUND, NOW),
        # If the clock went back, no more is left than BOUND; a start after now gives nothing either.
        (NOW + timedelta(hours=1), None, NOW + BOUND),
        (NOW - SECOND, NOW + timedelta(hours=1), NOW - SECOND),
    ],
)
def test_when_it_counts_as_ended(until: object, since: object, found: object) -> None:
    assert counted_until(until, NOW, since) == found  # type: ignore[arg-type]  # reason: a table
