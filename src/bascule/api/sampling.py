"""Which log lines about callers without identity are written: a few per minute; the rest are counted.

A stranger may call as often as the network lets them; the log must not grow with it. A network
(an IPv4 address or a /64) has its share, and all together have one. What was left out is one
line when a minute with calls follows. What is not here: events of the record (``Denials``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog

from bascule.api.networks import network_or_nothing

log = structlog.get_logger("bascule.api")

SPAN = 60.0  # seconds
PER_NETWORK = 20
IN_ALL = 200  # lines, and so networks that are told apart


class Sampler:
    """Counts of the current minute. Use from one event loop."""

    def __init__(
        self,
        what: str,
        per_network: int = PER_NETWORK,
        in_all: int = IN_ALL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what  # the lines that are left out, in the plural
        self._per_network, self._in_all, self._clock = per_network, in_all, clock
        self._minute = -1
        self._written: Counter[str] = Counter()
        self._left_out = 0

    def is_written(self, source: str) -> bool:
        """Count one line about ``source``, an address or another name of a caller."""
        self._begin_minute()
        source = network_or_nothing(source) or source
        is_over = self._written[source] >= self._per_network
        if is_over or self._written.total() >= self._in_all:
            self._left_out += 1
            return False
        self._written[source] += 1
        return True

    def _begin_minute(self) -> None:
        minute = int(self._clock() // SPAN)
        if minute == self._minute:
            return
        if self._left_out:
            log.warning("lines left out", what=self._what, count=self._left_out)
        self._minute, self._left_out = minute, 0
        self._written.clear()
