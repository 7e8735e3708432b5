"""What was asked and what was answered, with the moments: all that the judge goes by.

Moments are seconds of CLOCK_BOOTTIME. ``answered`` None: the connection broke, and whether
the act was done is not known. Written by several threads.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from bascule.lab.units import SERVER
from tests.faults.schedule import BEHIND, DATABASE, GATEWAYS, LINKS, MACHINES, REPLICAS

Rules = dict[int, tuple[str, ...]]  # port -> sources


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

    kind: str  # set, remove, delete, add, release
    machine: str
    rules: Rules
    sent: float
    answered: float | None = None
    lost: int = 0  # tries whose answer did not come
    denied: str = ""


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
