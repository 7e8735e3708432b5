"""Lists of machines with what happened at them: filtered, in an order, page by page.

What such a list filters and orders by is kept beside each machine, written in the same
transaction as what it follows from; a list never reads requests or events.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Protocol, Self

from bascule.domain.grant import Grant
from bascule.domain.machine import Machine, OsType
from bascule.domain.machine_access import AccessState
from bascule.domain.roles import Reach

RECENT = timedelta(days=7)  # for so long a request counts among the recent ones


@dataclass(frozen=True, slots=True)
class Access:
    """Who was let in at a machine last."""

    at: datetime
    user_id: str
    user: str


class ListKind(Enum):
    """What the values of a column are, and how rows are ordered by it."""

    TEXT = "text"  # without regard to case; empty: nothing
    NUMBER = "number"
    INSTANT = "instant"  # None: never, before all others


class ListOrder(StrEnum):
    """A column of the list of machines that rows may be ordered by; said once.

    The store's columns, the API's ``$orderby`` and fields, and the portal's addresses follow from
    it. The value is what addresses of the portal say.
    """

    wire: str  # what the API calls it
    kept: str  # the field of ListedMachine, kept in a column of that name beside each machine
    kind: ListKind

    def __new__(cls, said: str, wire: str, kept: str, kind: ListKind) -> Self:
        made = str.__new__(cls, said)
        made._value_ = said
        made.wire, made.kept, made.kind = wire, kept, kind
        return made

    NAME = "name", "name", "name", ListKind.TEXT
    REQUESTS = "approvedRequests", "approvedRequests", "recent_requests", ListKind.NUMBER
    LAST_ACCESS = "lastAccess", "lastAccessTimeUtc", "last_access_at", ListKind.INSTANT
    LAST_USER = "lastUser", "lastUser", "last_user", ListKind.TEXT

    @property
    def ordered_by(self) -> str:
        """The store's column: a text is ordered by a folded copy of it."""
        return f"{self.kept}_key" if self.kind is ListKind.TEXT else self.kept

    @property
    def is_number(self) -> bool:
        """Is a place in it a number? An instant's is its microseconds."""
        return self.kind is not ListKind.TEXT


KEPT = tuple(each for each in ListOrder if each is not ListOrder.NAME)  # a machine has its name


@dataclass(frozen=True, slots=True)
class ListChoice:
    """What a list of machines is filtered by; said once, as ``ListOrder``."""

    field: str  # of ListFilter
    wire: str  # in the API's $filter
    said: str  # in addresses of the portal
    kept: str = ""  # the store's column that holds it, folded; empty: it takes more than that
    is_part: bool = False  # the column contains it; else is equal to it
    kind: type[StrEnum] | None = None  # what it is one of; None: any text
    longest: int = 90
    is_tag: bool = False  # name=value, or a name alone


CHOICES = (
    ListChoice("name_part", "name", "q", "name_key", is_part=True, longest=64),
    ListChoice("resource_group", "resourceGroup", "group", "group_key"),
    ListChoice("state", "accessState", "state", kind=AccessState),
    ListChoice("os_type", "osType", "os", "os_type", kind=OsType),
    ListChoice("tag", "tag", "tag", "tags_key", longest=512, is_tag=True),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in an order: its value there, then its id key."""

    value: str | int  # a number where the order ``is_number``; microseconds, 0: never
    key: str


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which machines are meant; what is left as it is excludes none."""

    within: Reach | None = None  # scopes, of which one must contain it
    traits: frozenset[int] | None = None  # codes of ``domain.classify.Traits``
    groups_off: frozenset[str] = frozenset()  # folded names of groups where the plan is off
    name_part: str = ""  # the name contains it, without regard to case
    resource_group: str = ""
    os_type: OsType | None = None
    tag: str = ""  # name=value, or a name alone
    versions: frozenset[str] | None = None  # an agent of its own has one of these
    state: AccessState | None = None
    now: datetime | None = None  # for a state: what is *ended, not confirmed* by then is no opening
    is_silent: bool | None = None  # its point was not heard of, or can enforce nothing
    is_behind: bool | None = None  # its point has not applied the newest generation
    order: ListOrder = ListOrder.NAME
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class ListedMachine:
    """A machine with what is kept beside it."""

    machine: Machine
    traits: int  # code of ``domain.classify.Traits``; the plan's bit is never set
    is_closed: bool  # some port is to be kept closed
    is_behind: bool  # its point has not applied the newest generation
    recent_requests: int  # that were allowed within RECENT
    last_access_at: datetime | None  # when a port was last read back open; None: never
    last_user_id: str  # who had asked for that; empty: nobody
    last_user: str
    place: Place  # in the order that was asked for


class ListingReads(Protocol):
    def listed_machines(
        self, wanted: ListFilter, after: Place | None = None, limit: int = 1000
    ) -> Sequence[ListedMachine]:
        """In the order of ``wanted``; ``after`` is the place of the last of the page before."""
        ...

    def agent_versions(self) -> frozenset[str]:
        """The versions that agents say they have, each once."""
        ...

    def count_listed(self, wanted: ListFilter) -> int:
        """How many machines ``listed_machines`` would give, on all pages."""
        ...

    def unsettled_grants_at(self, machine_uids: Sequence[str]) -> Sequence[Grant]:
        """opening, open and closing ones of these machines. Ordered by end."""
        ...

    def has_old_requests(self, before: datetime) -> bool:
        """Is a request counted as recent that was made before that instant?"""
        ...


class ListingWrites(ListingReads, Protocol):
    def note_access(self, machine_uid: str, access: Access) -> None:
        """Keep that a port of the machine was read back open, and who had asked for it."""
        ...

    def mark_silent(self, machine_uids: Collection[str]) -> None:
        """Keep that these points are silent; the next word of one takes it back."""
        ...

    def forget_requests(self, before: datetime, limit: int = 1000) -> bool:
        """Count requests of before that instant as recent no longer, about ``limit`` of them;
        False when none is left.
        """
        ...
