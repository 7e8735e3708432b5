"""Who may hold a connection open, and for how long (EDGES A27).

A connection *waits* while we wait for its peer: in the handshake, for headers, for a body,
until it takes of an answer what we hold back for it, or idle between two requests. It is
*busy* while a whole request is being answered, streams
and long-polls too. Waiting costs the peer nothing, so waiting is bounded, in time and in
number: a newcomer takes the place of the one that waited longest, of the same address if
that has too many, else of anybody's. Busy ones are never cut for others; an address that is
busy on its whole share gets no more.

IPv6 addresses count by /64, which is one customer. What is not here: rates of requests.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network

from bascule.domain.net import Address, parse_address
from bascule.errors import InvalidInput

RESERVED_DESCRIPTORS = 256  # database, files, sockets of our own
MOST_CONNECTIONS = 16_384  # about 64 KiB each under TLS
MOST_WAITING = 1_000  # of one address


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers of connections, and how long a peer may keep us waiting, in seconds."""

    in_all: int
    per_address: int
    waiting_per_address: int
    headers_seconds: float = 10.0  # handshake and first headers together; later headers
    body_seconds: float = 30.0
    idle_seconds: float = 60.0  # between two requests
    taking_seconds: float = 60.0  # of an answer at least a step: the kernel's may be 2 MB wide
    header_bytes: int = 65_536

    @classmethod
    def for_descriptors(cls, limit: int) -> Bounds:
        """Bounds for a process that may have ``limit`` open files."""
        in_all = max(16, min(limit - RESERVED_DESCRIPTORS, MOST_CONNECTIONS))
        return cls(in_all, in_all // 2, min(MOST_WAITING, in_all // 8))


class Place:
    """One connection's place among the others."""

    __slots__ = ("_crowd", "cut", "group")

    def __init__(self, crowd: Crowd, group: str, cut: Callable[[], None]) -> None:
        self._crowd = crowd
        self.group = group  # empty: not counted by address
        self.cut = cut  # ends the connection at once

    def wait(self) -> None:
        """The peer's turn now; how long it has waited counts from here."""
        self._crowd.put_waiting(self)

    def be_busy(self) -> None:
        self._crowd.put_busy(self)

    def leave(self) -> None:
        """The connection is over; safe to repeat."""
        self._crowd.remove(self)


class Crowd:
    """All connections of a server. Use from one event loop."""

    def __init__(self, bounds: Bounds, trusted: frozenset[Address] = frozenset()) -> None:
        self.bounds = bounds
        self._trusted = trusted  # reverse proxies: many callers behind one address
        self._places: set[Place] = set()
        self._waiting: OrderedDict[Place, None] = OrderedDict()  # longest first
        self._waiting_of: dict[str, OrderedDict[Place, None]] = {}
        self._count_of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def admit(self, peer: str, cut: Callable[[], None]) -> Place | None:
        """A waiting place for a new connection, None when there is none to be had."""
        place = Place(self, self._group(peer), cut)
        if place.group and self._count_of[place.group] >= self.bounds.per_address:
            self._cut_longest(self._waiting_of.get(place.group))
            if self._count_of[place.group] >= self.bounds.per_address:
                return None
        if len(self._places) >= self.bounds.in_all and not self.make_room():
            return None
        self._places.add(place)
        if place.group:
            self._count_of[place.group] += 1
        self.put_waiting(place)
        return place

    def make_room(self) -> bool:
        """Cut whoever waited longest; False when nobody waits."""
        return self._cut_longest(self._waiting)

    def put_waiting(self, place: Place) -> None:
        if place not in self._places:
            return
        self._stop_waiting(place)
        self._waiting[place] = None
        if place.group:
            of_group = self._waiting_of.setdefault(place.group, OrderedDict())
            of_group[place] = None
            if len(of_group) > self.bounds.waiting_per_address:
                self._cut_longest(of_group)

    def put_busy(self, place: Place) -> None:
        self._stop_waiting(place)

    def remove(self, place: Place) -> None:
        if place not in self._places:
            return
        self._places.discard(place)
        self._stop_waiting(place)
        if place.group:
            self._count_of[place.group] -= 1
            if not self._count_of[place.group]:
                del self._count_of[place.group]

    def _stop_waiting(self, place: Place) -> None:
        self._waiting.pop(place, None)
        of_group = self._waiting_of.get(place.group)
        if of_group is not None:
            of_group.pop(place, None)
            if not of_group:
                del self._waiting_of[place.group]

    def _cut_longest(self, waiting: OrderedDict[Place, None] | None) -> bool:
        if not waiting:
            return False
        place = next(iter(waiting))
        self.remove(place)
        place.cut()
        return True

    def _group(self, peer: str) -> str:
        try:
            address = parse_address(peer.partition("%")[0])
        except InvalidInput:
            return "unknown"
        if address in self._trusted:
            return ""
        if isinstance(address, IPv6Address):
            return str(ip_network((address, 64), strict=False))
        return str(address)
