"""What a report is settled by, read together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bascule.domain.exposure import Admitted
from bascule.domain.grant import Grant
from bascule.interfaces.points import OwnPoint


@dataclass(frozen=True, slots=True)
class Settling:
    """A machine with its own agent, and what that agent's report may settle there."""

    own: OwnPoint
    has_releases: bool  # ports of it were let go that are not closed again
    unsettled: Sequence[Grant]  # as of ``unsettled_grants``
    admitted: Admitted


class SettlingReads(Protocol):
    def settling(self, uid: str) -> Settling | None:
        """None when the machine or its agent is missing."""
        ...
