"""What is open now: live grants by person or by machine, page by page.

*Live* is opening and open; closing ones are with them, since their port may still let in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bascule.domain.grant import Grant
from bascule.domain.roles import Reach


class OpenOrder(StrEnum):
    """By whom or at what; those of one are together, the earliest end first."""

    PERSON = "person"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """Where a grant stands in an order."""

    name: str  # the person's name, or the machine's id key
    of: str  # the requestor's id, or the machine's uid
    ends_at: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class OpenFilter:
    """Which grants are meant; what is left as it is excludes none."""

    within: Reach | None = None  # scopes, of which one must contain the machine
    own_id: str = ""  # whose own grants are shown besides, wherever they are
    requestor_id: str = ""
    apart_from_id: str = ""  # whose grants are left out
    machine_uid: str = ""
    text: str = ""  # the person's or the machine's name contains it, without regard to case
    order: OpenOrder = OpenOrder.PERSON
    is_descending: bool = False  # the whole order, the ends too
    # With an instant: those that are *ended, not confirmed* by then (EDGES E9), or all but those.
    now: datetime | None = None
    is_believed_over: bool = False


class OpeningReads(Protocol):
    """Reads of this part"""

    def open_grants(
        self, wanted: OpenFilter, after: OpenPlace | None = None, limit: int = 1000
    ) -> Sequence[tuple[OpenPlace, Grant]]:
        """In the order of ``wanted``; ``after`` is the place of the last of the page before. What
        cannot be read is left out, and fewer than ``limit`` are all that there are.
        """
        ...

    def open_counts(self, wanted: OpenFilter) -> Mapping[str, int]:
        """How many each person has, or each machine, by id."""
        ...
