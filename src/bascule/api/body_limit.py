"""How much of bodies the server keeps: by route, by caller, and in all (EDGES E1).

Before a caller has proved an identity, a body is at most 4 KiB; a route that needs more says so
(``allow_body``), up to 64 KiB. Bodies in flight of callers without identity share one pool, in
which a network has its share (an IPv4 address or a /64, and once more the /48 around it); a
newcomer takes the room of whoever of that network has kept us waiting for the rest of a body
longest. Those with identity have a pool of their own, in which each principal has a share. What is
full for all is taken from the network that keeps most there, one that never signed in before one
that did (EDGES E6): its calls are cut off.

A body is in flight from its first byte until its call is answered. It is pure ASGI and reads
nothing ahead; a body that is announced as too large is refused before any of it is read.
What is not here: the time that a body may take (``protocol``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import cast

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bascule.api.envelope import CompactJson, envelope
from bascule.api.networks import KnownNetworks, network_or_nothing
from bascule.api.origin import caller_address
from bascule.domain.sign_in import wide_network_of
from bascule.errors import TooManyRequests, Unavailable

KIB, MIB = 1024, 1024 * 1024
LARGEST_BODY = MIB  # of a caller with identity; a policy of 1,000 machines has about 300,000
LARGEST_UNPROVED = 4 * KIB  # without identity, where a route says nothing else
MOST_UNPROVED = 64 * KIB  # what such a route may say
SHARE_OF_NETWORK = MIB  # of bodies in flight without identity
SHARE_OF_WIDE_NETWORK = 8 * MIB  # the same of a /48, which one customer may hold whole
UNPROVED_IN_ALL = 64 * MIB
SHARE_OF_PRINCIPAL = 4 * MIB
PROVED_IN_ALL = 64 * MIB
RETRY_SECONDS = 30  # as long as a body may take
_STATE = "body_allowance"


class TooLarge(HTTPException):
    """The body is larger than this caller may send here."""

    def __init__(self, largest: int) -> None:
        super().__init__(413, _too_large(largest), {"Connection": "close"})


def _too_large(largest: int) -> str:
    size = f"{largest // MIB} MiB" if largest >= MIB else f"{largest // KIB} KiB"
    return f"The body is too large. At most {size} is accepted here."


class Pool:
    """Bytes of bodies in flight, by who sends them. Use from one event loop."""

    def __init__(self, in_all: int) -> None:
        self._in_all = in_all
        self._total = 0
        self._of: Counter[str] = Counter()  # by share
        self._held: dict[str, dict[Allowance, None]] = {}  # by share, the oldest first

    @property
    def total(self) -> int:
        return self._total

    def has_room(self, shares: dict[str, int], size: int, newcomer: Allowance) -> bool:
        """Is there room in each share, be it that of bodies which do not come to their end?"""
        for name, most in shares.items():
            while self._of[name] + size > most:
                slowest = next((each for each in self._held.get(name, ()) if each.gives_way), None)
                if slowest is None or slowest is newcomer:
                    return False
                slowest.lose()
        return True

    def put(self, holder: Allowance, shares: dict[str, int], size: int) -> None:
        self._total += size
        self._of.update(dict.fromkeys(shares, size))
        for name in shares:
            self._held.setdefault(name, {})[holder] = None

    def remove(self, holder: Allowance, shares: dict[str, int], size: int) -> None:
        self._total -= size
        for name in shares:
            self._of[name] -= size
            self._held[name].pop(holder)
            if not self._held[name]:
                del self._of[name], self._held[name]

    def make_room(self, size: int, newcomer: str, known: KnownNetworks) -> bool:
        """Take back what those keep who lose first; False when that is the newcomer."""
        while self._total + size > self._in_all:
            networks = {each.network for held in self._held.values() for each in held}
            name = max(networks, key=lambda each: (each not in known, self._of[each]))
            if name == newcomer or (newcomer not in known and name in known):
                return False
            for holder in tuple(self._held[name]):
                holder.lose()
        return True


class Pools:
    """The two pools of one server, and who goes first in them."""

    def __init__(self, known: KnownNetworks) -> None:
        self.known = known
        self.unproved = Pool(UNPROVED_IN_ALL)
        self.proved = Pool(PROVED_IN_ALL)


class Allowance:
    """What one call's body may be, and what of it is here."""

    def __init__(self, pools: Pools, address: str, announced: int) -> None:
        self._pools = pools
        self._announced = announced
        self._largest = LARGEST_UNPROVED
        self._pool = pools.unproved
        network = network_or_nothing(address)
        self.network = network  # or the principal: the first of the shares
        self.gives_way = True  # to others of its network, until its body is whole
        self._shares = {network: SHARE_OF_NETWORK}
        if wide := wide_network_of(address) if network else "":
            self._shares[wide] = SHARE_OF_WIDE_NETWORK
        self._received = 0
        self._is_lost = False
        self.cut: Callable[[], None] = lambda: None  # ends the connection

    def allow(self, largest: int) -> None:
        """Take larger bodies here, although no identity is proved."""
        if largest > MOST_UNPROVED:
            raise ValueError(f"{largest} bytes are more than is accepted without identity")
        self._largest = max(self._largest, largest)

    def be_proved(self, principal_id: str) -> None:
        """The caller has proved to be this principal; to be said before the body is read."""
        self.release()
        self._largest = LARGEST_BODY
        self._pool = self._pools.proved
        self._shares = {principal_id: SHARE_OF_PRINCIPAL}
        self.network, self.gives_way = principal_id, False

    def check_announced(self) -> None:
        if self._announced > self._largest:
            raise TooLarge(self._largest)

    def take(self, size: int) -> None:
        """Count what has come; raise when the call may not keep it."""
        if self._is_lost:
            raise _full()
        if self._received + size > self._largest:
            raise TooLarge(self._largest)
        if not self._pool.has_room(self._shares, size, self):
            raise TooManyRequests(
                "You, or others in your network, are sending too much at once.",
                advice="Try again in half a minute.",
                retry_after=RETRY_SECONDS,
            )
        if not self._pool.make_room(size, self.network, self._pools.known):
            raise _full()
        self._pool.put(self, self._shares, size)
        self._received += size

    def lose(self) -> None:
        """Somebody else goes first: this body is given up, and its connection."""
        self._is_lost = True
        self.release()
        self.cut()

    def release(self) -> None:
        """The call is over; safe to repeat."""
        if self._received:
            self._pool.remove(self, self._shares, self._received)
        self._received = 0


def _full() -> Unavailable:
    return Unavailable(
        "The server is receiving too much at once.",
        advice="Try again in half a minute.",
        retry_after=RETRY_SECONDS,
    )


def allowance_of(connection: HTTPConnection) -> Allowance:
    return cast("Allowance", connection.scope["state"][_STATE])


def allow_body(connection: HTTPConnection, largest: int) -> None:
    """Say that this route takes a body of up to ``largest`` bytes without identity."""
    allowance_of(connection).allow(largest)


class BodyLimit:
    """ASGI middleware; inside ``OriginGate``, which says whose address it is."""

    def __init__(self, app: ASGIApp, known: KnownNetworks) -> None:
        self._app = app
        self._pools = Pools(known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        text = Headers(scope=scope).get("content-length", "0")
        announced = int(text[:20]) if text.isascii() and text.isdigit() else 0
        if announced > LARGEST_BODY:  # whoever it is
            content = envelope("RequestEntityTooLarge", _too_large(LARGEST_BODY))
            await CompactJson(content, 413, {"Connection": "close"})(scope, receive, send)
            return
        allowance = Allowance(self._pools, caller_address(HTTPConnection(scope)), announced)
        allowance.cut = scope["state"].get("cut", allowance.cut)
        scope["state"][_STATE] = allowance

        async def receive_counted() -> Message:
            allowance.check_announced()
            message = await receive()
            if body := message.get("body"):
                allowance.take(len(body))
            if not message.get("more_body"):
                allowance.gives_way = False
            return message

        try:
            await self._app(scope, receive_counted, send)
        finally:
            allowance.release()
