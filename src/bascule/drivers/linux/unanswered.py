"""Connections that a gateway let through to a machine behind it, and that got no answer through it
(EDGES G7).

The rules count the first packets of TCP that a client repeats although the one before left this host,
while nothing came back through it. A client that goes on repeating has no answer by any route. A client
that was answered by a route past this host stops repeating, so it is not a finding. A refused connection
leaves conntrack, so it is not one either. A finding is withdrawn when a later connection of the same
client is answered. What is not here: UDP, which need not be answered; why there is no answer (``returns`` asks).
Source: net/netfilter/nf_conntrack_proto_tcp.c; rtnetlink(7), RTM_GETNEIGH; linux/neighbour.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from bascule.domain.net import Address, PortBehind, port_order
from bascule.domain.weaknesses import NO_NEIGHBOUR, UNANSWERED, Weakness
from bascule.drivers.linux import netlink
from bascule.drivers.linux.conntrack import answered
from bascule.drivers.linux.routes import hop_to

REPETITIONS = 2  # one alone may be a lost packet, or the next connection from the same port
SHORTEST = 1.5  # seconds between two looks
SHARE = 50  # a look of a second is followed by 50 s without one
_ROUTE, _GET_NEIGHBOURS = 0, 30
_HEADER, _DESTINATION = 12, 1  # ndmsg; NDA_DST
_INCOMPLETE, _FAILED = 0x01, 0x20  # NUD_*


@dataclass(frozen=True, slots=True)
class Repeated:
    """A connection whose client repeats its first packet, without an answer through this host."""

    source: Address
    port: PortBehind
    packets: int  # that were repeated
    ago: float  # seconds, since the last one


class Unanswered:
    """What was found at the last look."""

    def __init__(self) -> None:
        self._answered: dict[tuple[Address, PortBehind], float] = {}  # when it was last seen to be
        self._absent: dict[PortBehind, bool] = {}  # by what was seen when it was found
        self._next = float("-inf")
        self.weaknesses: tuple[Weakness, ...] = ()

    def look(self, found: Collection[Repeated], clock: Callable[[], float]) -> None:
        """Look if it is time. Where nobody repeats anything, nothing is asked of the kernel."""
        began = clock()
        if not found:
            self._answered.clear()
            self._absent.clear()
            self.weaknesses = ()
        elif began >= self._next:
            self._take(found, began)
            now = clock()
            self._next = now + max(SHORTEST, SHARE * (now - began))

    def _take(self, found: Iterable[Repeated], now: float) -> None:
        latest: dict[tuple[Address, PortBehind], float] = {}
        for each in found:
            if each.packets >= REPETITIONS:
                key = each.source, each.port
                latest[key] = max(now - each.ago, latest.get(key, 0.0))
        try:
            spoken_to = answered({port for _, port in latest})
        except OSError:  # then it is told until the kernel forgets it
            spoken_to = set()
        known = {key: at for key, at in self._answered.items() if key in latest}
        self._answered = known | dict.fromkeys(spoken_to & latest.keys(), now)
        silent = {key[1] for key, at in latest.items() if at > self._answered.get(key, 0.0)}
        self._absent = {
            port: self._absent[port] if port in self._absent else not is_neighbour(port.address)
            for port in silent
        }
        self.weaknesses = tuple(
            (NO_NEIGHBOUR if self._absent[port] else UNANSWERED)(port=port, address=port.address)
            for port in sorted(silent, key=port_order)
        )


def is_neighbour(address: Address) -> bool:
    """False where the machine is on a link of this host, and does not say which station it is."""
    try:
        hop = hop_to(address)
        if hop is None or hop.via is not None:
            return True  # another router knows
        states = _neighbour_states(address, hop.interface)
    except OSError:
        return True
    return not states or any(not each & (_INCOMPLETE | _FAILED) for each in states)


def _neighbour_states(address: Address, interface: int) -> list[int]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BxxxiHBB", family, interface, 0, 0, 0)
    found = []
    for reply in netlink.dump(_ROUTE, _GET_NEIGHBOURS, body):
        link, state = struct.unpack_from("=iH", reply, 4)
        given = dict(netlink.attributes(reply[_HEADER:]))
        if link == interface and given.get(_DESTINATION) == address.packed:
            found.append(state)
    return found
