"""What the store keeps of runs of ``bascule ssh --close``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.runs import Run


class RunReads(Protocol):
    def run(self, request_id: str, run_id: str) -> Run | None: ...

    def runs_of(self, request_id: str) -> Sequence[Run]:
        """By id."""
        ...

    def requests_with_runs(self, request_ids: Collection[str]) -> frozenset[str]:
        """Those of these requests that have one."""
        ...

    def due_runs(self, now: datetime, limit: int) -> Sequence[Run]:
        """Those that have ended, the longest first, and those whose end is so far ahead that the clock
        must have gone back.
        """
        ...

    def next_run_end(self, now: datetime) -> datetime | None:
        """When the first is due; None: none waits for an end."""
        ...


class RunWrites(RunReads, Protocol):
    def put_run(self, run: Run) -> None: ...

    def hear_runs(self, runs: Collection[Run]) -> None:
        """Move the ends of those that are still there and end earlier."""
        ...

    def begin_runs(self, request_id: str, until: datetime) -> None:
        """Give this end to those of the request that wait with it."""
        ...

    def remove_run(self, request_id: str, run_id: str) -> bool:
        """False when it is not there (any more)."""
        ...

    def remove_runs(self, request_id: str) -> None: ...
