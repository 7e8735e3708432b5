"""What was asked and what was answered, with the moments: all that the judge goes by.

Moments are seconds of CLOCK_BOOTTIME. ``answered`` None: the connection broke, and whether
the act was done is not known. Written by several threads.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field

from bascule.lab.units import SERVER
from tests.faults.schedule import BEHIND, DATABASE, GATEWAYS, LINKS, MACHINES, REPLICAS, Due

Rules = dict[int, tuple[str, ...]]  # port -> sources
START_PASSED = "StartPassed"  # why a request is denied that was answered too late
LATEST = 300.0  # seconds after its start: nothing opens later (EDGES J9)


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Asked:
    tag: str  # the request's justification: finds it again when the answer was lost
    person: str
    machine: str
    ports: tuple[int, ...]
    source: str
    seconds: float
    sent: float
    answered: float | None = None
    request_id: str = ""  # of an accepted one
    denied: str = ""  # why not
    is_fixed: bool = False  # its end is so long after ``sent``, or its start, whenever it opens
    waits: bool = False  # for approval or its start, by its answer or the record
    opened: float | None = None  # when one that waited had its grants, by the record; None: never
    starts_at: float | None = None  # the start that it names; None: none

    @property
    def is_put_off(self) -> bool:
        """Does it open later than it is answered?"""
        return self.waits or self.starts_at is not None

    @property
    def counts_from(self) -> float | None:
        """From when it may be open at the earliest; None: never."""
        if self.starts_at is None or self.opened is None:
            return self.opened if self.is_put_off else self.sent
        return max(self.opened, self.starts_at) if self.opened <= self.latest else None

    @property
    def latest(self) -> float:
        """The last moment at which it may open."""
        return math.inf if self.starts_at is None else self.starts_at + LATEST

    @property
    def begun(self) -> float | None:
        """By when it surely had its grants; None: not known, or it never had any."""
        return self.counts_from if self.is_put_off else self.answered

    @property
    def earliest_end(self) -> float:
        """The end that was asked for, as early as it may be."""
        if self.is_fixed or self.counts_from is None:
            return (self.sent if self.starts_at is None else self.starts_at) + self.seconds
        return self.counts_from + self.seconds


@dataclass(slots=True)
class Answered:
    """Somebody's yes or no to a request that waits."""

    approver: str
    request_id: str
    requestor: str
    is_yes: bool
    digest: str  # of what it is about
    sent: float
    answered: float | None = None
    denied: str = ""


@dataclass(slots=True)
class Extended:
    request_id: str
    seconds: float
    sent: float
    answered: float | None = None
    denied: str = ""


@dataclass(slots=True)
class Revoked:
    request_id: str
    sent: float
    answered: float | None = None
    denied: str = ""


@dataclass(slots=True)
class Edited:
    """An owner's act on one machine, repeated until it was answered."""

    kind: str  # set, gate, remove, delete, add, release
    machine: str
    rules: Rules
    sent: float
    answered: float | None = None
    lost: int = 0  # tries whose answer did not come
    denied: str = ""
    due: Due | None = ()  # stages of what was set; None: it is denied


@dataclass(slots=True)
class Ruled:
    """A person's role was taken away, or given back; repeated until it was answered."""

    person: str
    is_given: bool
    sent: float
    answered: float | None = None
    lost: int = 0
    denied: str = ""


@dataclass(slots=True)
class Ordered:
    """The policy of all machines has these stages for one person; repeated until it was answered."""

    person: str
    due: Due
    sent: float
    answered: float | None = None
    lost: int = 0
    denied: str = ""


@dataclass(slots=True)
class Trusted:
    """An approver lost the right to approve, or has it again; repeated until it was answered."""

    person: str
    is_given: bool
    is_disabled: bool  # by or until which; False: by the groups
    sent: float
    answered: float | None = None
    lost: int = 0
    denied: str = ""


@dataclass(slots=True)
class Disturbed:
    """A fault that may keep a machine from being told, from its beginning till it was healed."""

    machines: tuple[str, ...]
    what: str
    begun: float
    healed: float | None = None
    cuts_watchers: bool = False

    def concerns(self, machine: str, way: str) -> bool:
        """Does it concern a machine, as it is reached by a gateway? (Empty: by none.)"""
        return machine in self.machines or way in self.machines


def told_by(unit: str) -> tuple[str, ...]:
    """The machines that are told of changes by a unit, or by a link to one; with a gateway those that
    are told by no other.
    """
    if unit in (SERVER, DATABASE, *REPLICAS):
        return MACHINES
    unit = LINKS.get(unit, unit)
    alone = (name for name, ways in BEHIND.items() if ways == (unit,))
    return (unit, *(alone if unit in GATEWAYS else ()))


def guarded_by(unit: str) -> tuple[str, ...]:
    """The machines that an agent guards: its own and those behind it."""
    return (unit, *(name for name, ways in BEHIND.items() if unit in ways))


@dataclass(slots=True)
class History:
    seed: int
    began: float
    asked: list[Asked] = field(default_factory=list)
    extended: list[Extended] = field(default_factory=list)
    revoked: list[Revoked] = field(default_factory=list)
    edited: list[Edited] = field(default_factory=list)
    ruled: list[Ruled] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    ordered: list[Ordered] = field(default_factory=list)
    trusted: list[Trusted] = field(default_factory=list)
    disturbed: list[Disturbed] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # found while doing, not afterwards
    healed: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def complain(self, text: str) -> None:
        with self._lock:
            self.complaints.append(text)

    def latest_of(self, person: str) -> Asked | None:
        """The person's latest accepted request."""
        mine = [each for each in self.asked if each.person == person and each.request_id]
        return mine[-1] if mine else None

    def waiting_of(self, person: str) -> list[Asked]:
        """What the person asked for and was told to wait with, the latest first."""
        mine = [each for each in self.asked if each.person == person and each.request_id]
        return [each for each in reversed(mine) if each.waits]

    def has_voice(self, person: str) -> bool:
        """By the last that was begun to be done to them."""
        done = [each for each in self.trusted if each.person == person]
        return not done or done[-1].is_given
