"""What is scheduled: it opens at its start, once, or it lapses (EDGES J9).

What is not here: when a request is scheduled (``begin_waiting``, ``waiting``).
"""

from __future__ import annotations

from typing import Protocol

from bascule.errors import Problem
from bascule.services.act import Act
from bascule.services.leaps import ClockWrites, has_leapt, note_clock, note_leap
from bascule.services.waiting import MOST_AT_ONCE, WaitingWrites, find_waiting, lapse, reconsider

LEAPT = Problem("ClockLeapt", "The server's clock jumped by more than a minute.")


class StartWrites(WaitingWrites, ClockWrites, Protocol):
    """What is scheduled, and how the clock stood."""


def start_scheduled(tx: StartWrites, act: Act) -> int:
    """Open what is to open now, a bounded number; how many. The clock is looked at first, in the same
    transaction, so that nothing is opened by one that has just jumped.
    """
    if lapsed := lapse_leapt(tx, act):
        return lapsed
    due = tx.due_starts(act.now, MOST_AT_ONCE)
    for request_id in due:
        found = find_waiting(tx, request_id)
        if found is not None:
            reconsider(tx, act, *found)
    return len(due)


def lapse_leapt(tx: StartWrites, act: Act) -> int:
    """Where the clock has jumped, let all lapse that has a start; how many."""
    if act.boottime is None:
        return 0
    if not has_leapt(tx, act.boot, act.now, act.boottime):
        note_clock(tx, act)
        return 0
    note_leap(tx, act)
    ended = 0
    while several := tx.with_starts(MOST_AT_ONCE):
        for request_id in several:
            found = find_waiting(tx, request_id)
            if found is not None:
                lapse(tx, act, *found, LEAPT)
        ended += len(several)
    return ended
