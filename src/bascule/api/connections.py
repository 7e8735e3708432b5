"""Who may hold a connection open, and for how long (EDGES A27).

A connection *waits* while we wait for its peer: in the handshake, for headers, for a body,
until it takes of an answer what we hold back for it, or idle between two requests. It is
*busy* while a whole request is being answered, streams
and long-polls too. Waiting costs the peer nothing, so waiting is bounded, in time and in
number: a newcomer takes the place of the one that waited longest, of the same address if
that has too many. An address that is busy on its whole share gets no more.

When all places are taken, those lose theirs first that come from networks from which nobody
has signed in, the busiest of them first (EDGES E6); then whoever waits longest; then the
busiest network, the last to come of its busy ones. An eighth of the places is kept from the
known networks, so that somebody new can sign in while two of them hold all they get.

An agent that has proved itself *holds* its place: nobody takes it, and it counts for no network,
since 10,000 agents may come from one address (EDGES H8). An eighth of all places is kept from
agents, for people, and for agents that have not proved themselves yet.

IPv6 addresses count by /64, which is one customer. What is not here: rates of requests.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass

from bascule.api.networks import KnownNetworks, network_or_nothing
from bascule.api.turns import Turn
from bascule.domain.net import parse_address

RESERVED_DESCRIPTORS = 256  # database, files, sockets of our own
MOST_CONNECTIONS = 16_384  # about 64 KiB each under TLS
MOST_WAITING = 1_000  # of one address
SHARE_OF_UNPROVED = 8  # one in so many places is kept from agents
SHARE_OF_STRANGERS = 8  # one in so many places is kept for networks that are not known


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


class ConnectionPlace:
    """One connection's place among the others."""

    __slots__ = ("_crowd", "cut", "group", "turn")

    def __init__(self, crowd: Crowd, group: str, cut: Callable[[], None]) -> None:
        self._crowd = crowd
        self.group = group  # empty: not counted by address
        self.cut = cut  # ends the connection at once
        self.turn: Turn | None = None  # in which it comes up; None: not yet, or that is over

    def wait(self) -> None:
        """The peer's turn now; how long it has waited counts from here."""
        self._crowd.put_waiting(self)

    def be_busy(self) -> None:
        self._crowd.put_busy(self)

    def hold(self) -> bool:
        """An agent has proved itself on it; False when agents hold all that they may."""
        return self._crowd.put_holding(self)

    def end_turn(self) -> None:
        """It has come up; safe to repeat."""
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.end()

    def leave(self) -> None:
        """The connection is over; safe to repeat."""
        self.end_turn()
        self._crowd.remove(self)


class _Ranking:
    """Networks by how many places each holds."""

    def __init__(self) -> None:
        self.total = 0  # places
        self._by_count: list[dict[str, None]] = [{}]

    def change(self, network: str, before: int, after: int) -> None:
        if before:
            del self._by_count[before][network]
        if after:
            while len(self._by_count) <= after:
                self._by_count.append({})
            self._by_count[after][network] = None
        while len(self._by_count) > 1 and not self._by_count[-1]:
            self._by_count.pop()
        self.total += after - before

    def busiest(self) -> str:
        """Empty when there is none."""
        return next(iter(self._by_count[-1]), "")


class Crowd:
    """All connections of a server. Use from one event loop."""

    def __init__(
        self,
        bounds: Bounds,
        trusted: Container[object] = (),
        known: KnownNetworks | None = None,
    ) -> None:
        self.bounds = bounds
        self._trusted = trusted  # reverse proxies: many callers behind one address
        self._known = known or KnownNetworks()
        self._known.on_change = self._rank_anew
        self._places: set[ConnectionPlace] = set()  # without those that are held
        self._held: set[ConnectionPlace] = set()
        self.turned_away = 0  # newcomers without a place, and places taken from others, so far
        self._waiting: OrderedDict[ConnectionPlace, None] = OrderedDict()  # longest first
        self._waiting_of: dict[str, OrderedDict[ConnectionPlace, None]] = {}
        self._of: dict[str, dict[ConnectionPlace, None]] = {}  # by network, the last to come last
        self._familiar, self._strange = _Ranking(), _Ranking()

    def __len__(self) -> int:
        return len(self._places) + len(self._held)

    @property
    def _most(self) -> int:
        """Places for all that are not held."""
        return self.bounds.in_all - len(self._held)

    def admit(self, peer: str, cut: Callable[[], None]) -> ConnectionPlace | None:
        """A waiting place for a new connection, None when there is none to be had."""
        place = ConnectionPlace(self, self._group(peer), cut)
        if place.group and self._count(place.group) >= self.bounds.per_address:
            self._cut_longest(self._waiting_of.get(place.group))
            if self._count(place.group) >= self.bounds.per_address:
                self.turned_away += 1
                return None
        if len(self._places) >= self._most:
            self.turned_away += 1
            if not self.make_room(place.group):
                return None
        self._places.add(place)
        if place.group:
            self._rank(place.group, 1)
            self._of.setdefault(place.group, {})[place] = None
        self.put_waiting(place)
        return place

    def make_room(self, newcomer: str = "") -> bool:
        """Cut whoever loses first to a newcomer of this network; False when it is the newcomer."""
        if self._strange.total > self._most // SHARE_OF_STRANGERS:
            return self._cut_stranger(newcomer)
        if self._cut_longest(self._waiting):
            return True
        return self._cut_busy(self._familiar.busiest(), self._count(newcomer) + 1)

    def _cut_stranger(self, newcomer: str) -> bool:
        network, least = self._strange.busiest(), 0
        if newcomer and newcomer not in self._known:
            if self._count(newcomer) >= self._count(network):  # it is the busiest itself
                return self._cut_longest(self._waiting_of.get(newcomer))
            least = self._count(newcomer) + 1
        return (
            self._cut_longest(self._waiting_of.get(network))
            or self._cut_busy(network, least)
            or self._cut_longest(self._waiting)
        )

    def _cut_busy(self, network: str, least: int) -> bool:
        """Cut the last to come of a network that has more than ``least`` places."""
        places = self._of.get(network, {})
        if len(places) <= least:
            return False
        self._cut(next(reversed(places)))
        return True

    def put_waiting(self, place: ConnectionPlace) -> None:
        if place not in self._places:
            return
        self._stop_waiting(place)
        self._waiting[place] = None
        if place.group:
            of_group = self._waiting_of.setdefault(place.group, OrderedDict())
            of_group[place] = None
            if len(of_group) > self.bounds.waiting_per_address:
                self._cut_longest(of_group)

    def put_busy(self, place: ConnectionPlace) -> None:
        self._stop_waiting(place)

    def put_holding(self, place: ConnectionPlace) -> bool:
        if place in self._held:
            return True
        most = self.bounds.in_all - self.bounds.in_all // SHARE_OF_UNPROVED
        if place not in self._places or len(self._held) >= most:
            return False
        self.remove(place)
        self._held.add(place)
        return True

    def remove(self, place: ConnectionPlace) -> None:
        self._held.discard(place)
        if place not in self._places:
            return
        self._places.discard(place)
        self._stop_waiting(place)
        if place.group:
            self._rank(place.group, -1)
            del self._of[place.group][place]
            if not self._of[place.group]:
                del self._of[place.group]

    def _stop_waiting(self, place: ConnectionPlace) -> None:
        self._waiting.pop(place, None)
        of_group = self._waiting_of.get(place.group)
        if of_group is not None:
            of_group.pop(place, None)
            if not of_group:
                del self._waiting_of[place.group]

    def _cut_longest(self, waiting: OrderedDict[ConnectionPlace, None] | None) -> bool:
        if not waiting:
            return False
        self._cut(next(iter(waiting)))
        return True

    def _cut(self, place: ConnectionPlace) -> None:
        self.remove(place)
        place.cut()

    # -- networks -------------------------------------------------------------------------

    def _count(self, network: str) -> int:
        return len(self._of.get(network, ()))

    def _rank(self, network: str, more: int) -> None:
        """Say that it is about to hold so many more."""
        ranking = self._familiar if network in self._known else self._strange
        ranking.change(network, self._count(network), self._count(network) + more)

    def _rank_anew(self, network: str) -> None:
        """It has become known just now, or was forgotten."""
        if count := self._count(network):
            is_known = network in self._known
            here, there = self._familiar, self._strange
            (there if is_known else here).change(network, count, 0)
            (here if is_known else there).change(network, 0, count)

    def _group(self, peer: str) -> str:
        network = network_or_nothing(peer)
        if not network:
            return "unknown"
        if parse_address(peer.partition("%")[0]) in self._trusted:
            return ""
        return network
