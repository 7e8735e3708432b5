"""What ends soon, and what was told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.principals import Credential


class EndingReads(Protocol):
    def credentials_ending(
        self, after: datetime, before: datetime
    ) -> Sequence[tuple[Credential, str]]:
        """Those that end after the one moment and by the other, of service principals that are enabled,
        each with its principal's name; the soonest first.
        """
        ...

    def told_endings(self) -> Mapping[tuple[str, datetime], int]:
        """The last number of days within which each end was told, by the thing's id and its end."""
        ...


class EndingWrites(EndingReads, Protocol):
    def put_told_ending(self, ending_id: str, ends_at: datetime, days: int) -> None: ...

    def forget_told_endings(self, before: datetime) -> None:
        """Those of ends before then."""
        ...
