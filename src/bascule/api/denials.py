"""Denied callers on record, in bounded number (EDGES B8).

The first few of a source in a minute are audit events; the rest of that minute are only
counted and logged, so that 100,000 bad tokens leave a bounded number of rows.
"""

from __future__ import annotations

from datetime import datetime

import structlog

log = structlog.get_logger("bascule.api")

RECORDED_PER_SOURCE = 5  # events a minute
RECORDED_IN_ALL = 100  # events a minute


class Denials:
    """Counts of the current minute. Use from one event loop."""

    def __init__(self) -> None:
        self._minute: datetime | None = None
        self._counts: dict[str, int] = {}
        self._recorded = 0

    def is_recorded(self, source: str, now: datetime) -> bool:
        """Count one denial; should it become an audit event?"""
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._log_rest()
            self._minute, self._counts, self._recorded = minute, {}, 0
        count = self._counts.get(source, 0) + 1
        if source in self._counts or len(self._counts) < RECORDED_IN_ALL:
            self._counts[source] = count
        if count > RECORDED_PER_SOURCE or self._recorded >= RECORDED_IN_ALL:
            return False
        self._recorded += 1
        return True

    def _log_rest(self) -> None:
        for source, count in self._counts.items():
            if count > RECORDED_PER_SOURCE:
                log.warning("denied callers", source=source, count=count, minute=str(self._minute))
