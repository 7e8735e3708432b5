"""What is new among the blocked attempts, kept until the server has taken it.

The kernel counts by source and port and forgets a source ten minutes after its last attempt;
its table, and with it all counts, may be made anew. So each look is held against the one
before: what grew is new, and what is smaller than it was began again. What the total grew by
beyond that has no name: others.

An agent that starts takes what it finds as told: nobody knows when it came. Looks cost one
reading of the table, in a pass that is made anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from bascule.domain.knocks import LONGEST_AGE, OTHERS, Knock
from bascule.domain.net import Address, PortKey
from bascule.interfaces.driver import Blocked

MOST_AT_ONCE = 256  # of one report
MOST_KEPT = 4096  # while the server is away; what is beyond has no name
LOOK_SECONDS = 60.0  # how often it is looked while nothing can be reported
_SLOT_SECONDS = 900  # what was seen within so long is told together

_Key = tuple[int, str, PortKey | None]  # slot, source, port


class KnockTally:
    def __init__(self) -> None:
        self._total: int | None = None  # at the last look; None: there was none
        self._seen: dict[tuple[str, PortKey], Blocked] = {}
        self._looked_at = 0.0
        self._unnamed = 0  # of the total; below nothing while its counter is read too early
        self._new: dict[_Key, tuple[int, float]] = {}  # attempts, and when they were seen last

    def look(self, total: int, read: Callable[[], Sequence[Blocked]], now: float) -> None:
        """Count what is new; ``total`` is the counter of all, ``now`` seconds since boot."""
        if total == self._total:
            return
        blocked = {(each.source, each.port): each for each in read()}
        if self._total is not None:
            self._count(total, self._total, blocked, now)
        self._total, self._seen, self._looked_at = total, blocked, now

    def look_seldom(self, total: int, read: Callable[[], Sequence[Blocked]], now: float) -> None:
        """The same while nothing is reported: before the kernel forgets who it was."""
        if self._total is None or now - self._looked_at >= LOOK_SECONDS:
            self.look(total, read, now)

    def batch(self, now: float, at: Collection[Address] = ()) -> tuple[Knock, ...]:
        """The oldest of what is not told yet, as much as one report takes; ``at``: of what was tried
        at these addresses behind.
        """
        self._forget_old(now)
        return tuple(
            Knock(source, port and port.own, *self._told(key, now))
            for key in self._keys(at)[:MOST_AT_ONCE]
            for _, source, port in [key]
        )

    def _told(self, key: _Key, now: float) -> tuple[int, timedelta]:
        attempts, seen_at = self._new[key]
        return attempts, timedelta(seconds=now - seen_at)

    def _keys(self, at: Collection[Address]) -> list[_Key]:
        return [key for key in self._new if not at or (key[2] is not None and key[2].at in at)]

    def forget(self, told: Sequence[Knock], at: Collection[Address] = ()) -> None:
        """The server has this batch, the last that was made."""
        for key in self._keys(at)[: len(told)]:
            del self._new[key]

    def _count(
        self, total: int, before: int, blocked: dict[tuple[str, PortKey], Blocked], now: float
    ) -> None:
        if total < before:  # the table was made anew
            before, self._unnamed = 0, 0
        elapsed = now - self._looked_at
        named = 0
        for key, each in blocked.items():
            grown = _growth(each, self._seen.get(key), elapsed)
            if grown:
                named += grown
                self._add(each.source, each.port, grown, now)
        self._unnamed += total - before - named
        if self._unnamed > 0:
            self._add(OTHERS, None, self._unnamed, now)
            self._unnamed = 0

    def _add(self, source: str, port: PortKey | None, attempts: int, now: float) -> None:
        slot = int(now // _SLOT_SECONDS)
        key = slot, source, port
        if key not in self._new and len(self._new) >= MOST_KEPT:
            key = slot, OTHERS, None
        self._new[key] = self._new.get(key, (0, 0.0))[0] + attempts, now

    def _forget_old(self, now: float) -> None:
        oldest = now - LONGEST_AGE.total_seconds()
        for key in [key for key, (_, seen_at) in self._new.items() if seen_at < oldest]:
            del self._new[key]


def _growth(each: Blocked, before: Blocked | None, elapsed: float) -> int:
    """New attempts of one source and port; one that was forgotten meanwhile begins at none."""
    if before is None or each.packets < before.packets:
        return each.packets
    ended = elapsed >= before.remaining.total_seconds() and each.remaining > before.remaining
    if each.packets == before.packets and ended:
        return each.packets
    return each.packets - before.packets
