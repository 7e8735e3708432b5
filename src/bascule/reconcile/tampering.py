"""Which edits of elements a plan would undo, in words, when nobody of us wanted a change. Pure.

The driver's drift speaks of chains, rules and sets; this speaks of what stands in the sets: a
port that is closed no more, an opening that nobody granted, one that is gone or lasts longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from bascule.domain.plan import (
    ClosePort,
    DropDrain,
    DropOpening,
    Observed,
    Operation,
    PutDrain,
    PutOpening,
    ReleasePort,
)

SLACK = timedelta(seconds=1)  # what ends about now is nobody's edit
MOST_NAMED = 8


def name_edits(operations: Iterable[Operation], observed: Observed) -> str:
    """One sentence for the record; empty when the plan only follows time."""
    named = list(_edits(operations, observed))
    if not named:
        return ""
    return f"The firewall table's elements were changed by another program: {_listed(named)}."


def _edits(operations: Iterable[Operation], observed: Observed) -> Iterator[str]:
    openings = observed.rules.openings
    for operation in operations:
        match operation:
            case ClosePort(closed):
                yield f"port {closed.port} was not closed as it should be"
            case ReleasePort(port):
                yield f"port {port} was closed"
            case DropOpening(key) if openings[key].remaining > SLACK:
                yield f"port {key.port} was open for {key.source}, which nobody granted"
            case DropDrain(key) if observed.rules.drains[key] > SLACK:
                yield f"connections of {key.source} to port {key.port} could stay, which nobody granted"
            case PutDrain(key, remaining) if remaining > SLACK:
                left = observed.rules.drains.get(key, timedelta(0))
                how = "lasted longer than granted" if left > remaining else "was cut short"
                yield f"the time in which connections of {key.source} to port {key.port} may stay {how}"
            case PutOpening(opening) if opening.remaining > SLACK:
                existing = openings.get(opening.key)
                where = f"of port {opening.key.port} for {opening.key.source}"
                if existing is None:
                    yield f"the opening {where} was gone"
                elif existing.remaining - opening.remaining > SLACK:
                    yield f"the opening {where} lasted longer than granted"
            case _:
                pass


def _listed(named: Sequence[str]) -> str:
    more = f"; and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return "; ".join(named[:MOST_NAMED]) + more
