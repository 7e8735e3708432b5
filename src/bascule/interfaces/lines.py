"""Which connection of each point is the newest, over all servers on one database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ClaimedLine:
    """The newest connection of a point has this number."""

    number: int
    point_uid: str


class LineReads(Protocol):
    def line_number(self, point_uid: str) -> int:
        """Of its newest connection; 0: it never had one."""
        ...

    def lines_after(self, number: int, limit: int) -> Sequence[ClaimedLine]:
        """Those that were claimed after that one, in order."""
        ...


class LineWrites(LineReads, Protocol):
    def claim_lines(self, point_uids: Sequence[str]) -> Mapping[str, int]:
        """A connection of each is its newest from now on; their numbers."""
        ...

    def pass_line_over(self, point_uid: str) -> None:
        """Outdate every connection of the point: it has reported over HTTP since."""
        ...
