"""What a server tells an enforcement point when it is asked: what to hold, and of its record.

Times of leases are what remains of them: an agent counts them from the moment it asked (EDGES A8).
What no server of ours can send makes the whole state refused, and what is held stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from bascule.domain.bindings import MOST_BEHIND
from bascule.domain.desired import DesiredState
from bascule.domain.restoration import MOST_TOLD, Restoration
from bascule.domain.retention import LONGEST_FLOOR, SHORTEST_FLOOR
from bascule.protocol.shape import INLINE, LENIENT, Most
from bascule.protocol.shapes import LONGEST_NAME, GrantId
from bascule.protocol.trust import Trust

LONGEST_HASH = 128  # characters; ours have 64


@dataclass(frozen=True, slots=True)
class RecordMark:
    """Where the record begins and ends, and its hashes at the places that the agent names."""

    position: int
    hash: Annotated[str, Most(LONGEST_HASH)]
    begin: Annotated[int | None, LENIENT] = None  # events up to here were deleted
    # Nothing younger is deleted.
    floor: Annotated[timedelta | None, LENIENT, Most(LONGEST_FLOOR, SHORTEST_FLOOR)] = None
    seen_hash: Annotated[str | None, LENIENT, Most(LONGEST_HASH)] = None  # that it verified last
    told_hash: Annotated[str | None, LENIENT, Most(LONGEST_HASH)] = (
        None  # that it was told of since
    )
    # The public half of the recovery key, and the restores from backups that it signed, last first.
    recovery_key: Annotated[str | None, LENIENT, Most(LONGEST_HASH)] = None
    restored: Annotated[tuple[Restoration, ...] | None, LENIENT, Most(MOST_TOLD)] = None


@dataclass(frozen=True, slots=True)
class State:
    """The answer to an agent that asks what it is to hold."""

    desired: Annotated[DesiredState, INLINE]
    machine_name: Annotated[str, Most(LONGEST_NAME)] = ""
    server_time: datetime | None = None
    record: Annotated[RecordMark | None, LENIENT] = None
    # The other machines that the point guards, with their generations; None: beats tell it.
    guards: Annotated[Mapping[GrantId, int] | None, Most(MOST_BEHIND)] = None
    # Told where the agent said that it trusts an older one; None: nothing newer, or a line tells it.
    trust: Annotated[Trust | None, LENIENT] = None
