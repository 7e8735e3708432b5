"""Heartbeats of runs of ``bascule ssh --close``: kept here, and stored every few seconds by one write for all.

Losing what is not stored yet ends access earlier, never later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from bascule.domain.runs import BOUND, Run


class Heartbeats:
    """What was heard since it was last stored, of runs that are there. Use from one event loop."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], Run] = {}

    def note(self, run: Run, now: datetime) -> Run:
        """Keep that it goes on; its end now. One whose request waits has none."""
        if run.until is None:
            return run
        heard = replace(run, until=now + BOUND)
        self._heard[run.request_id, run.id] = heard
        return heard

    def take(self) -> Sequence[Run]:
        """All that is kept, to be stored; it is kept no longer."""
        heard, self._heard = self._heard, {}
        return tuple(heard.values())

    def give_back(self, runs: Iterable[Run]) -> None:
        """Keep again what could not be stored, unless something newer is kept."""
        for run in runs:
            self._heard.setdefault((run.request_id, run.id), run)
