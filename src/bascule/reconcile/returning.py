"""Do answers of this machine go back through the gateways in front of it? (EDGES G7)

The kernel is asked where it would send them. They go past the gateways for certain where each gateway
and this machine are neighbours and the next hop is an address of none of them. Where a router stands
between, or the next hop is not known, nothing is said. A public port cannot work then, because the
client would be answered by an address that it does not know; a routed connection may, by another way.
Where there is no route to who asks, nothing over TCP can. UDP need not be answered.

What is not here: which gateways there are, which the server says (``domain.bindings.InFront``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from bascule.domain.bindings import InFront
from bascule.domain.bounds import Objection
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.held import HeldLease
from bascule.domain.net import Address, AddressPrefix, PortKey, TransportProtocol
from bascule.domain.weaknesses import ANSWERS_ELSEWHERE, NO_ROUTE, ROUTE_ELSEWHERE, Weakness

NextHops = Callable[[Address, Address | None], Collection[Address] | None]  # as of ``HostParts``

ANYWHERE = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))  # RFC 5737, RFC 3849
MOST_ASKED = 64  # clients of which it is told whether their answers go elsewhere
MOST_LOOKUPS = 1024  # of routes for one state or one look; of what is beyond nothing is said
MOST_TOLD = 8
SHORTEST = 1.5  # seconds between two looks
SHARE = 50  # a look of a second is followed by 50 s without one


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """How answers to an address go, where that is not through a gateway."""

    objection: Objection
    hops: tuple[Address, ...] = ()


class Returning:
    """For the thread that reconciles."""

    def __init__(
        self,
        next_hops: NextHops = lambda _to, _source: None,
        own_addresses: Callable[[], Collection[Address]] = tuple,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._next_hops = next_hops
        self._own_addresses = own_addresses
        self._clock = clock
        self._in_front: InFront | None = None
        # What the kernel answered in this look, by destination and source.
        self._hops: dict[tuple[Address, Address | None], Collection[Address] | None] = {}
        self._next = float("-inf")
        self._found: tuple[Weakness, ...] = ()

    def refused(self, state: DesiredState, held: Collection[str]) -> Mapping[str, Objection]:
        """Leases of this state whose clients would get no answer, by grant id; none that is held already.

        What it says of gateways counts from now on.
        """
        if state.in_front != self._in_front:
            self._in_front, self._next = state.in_front, float("-inf")
        if self._in_front is None:
            return {}
        self._hops.clear()
        own = self._own()
        judged = {
            each.grant_id: self._objection(each, own)
            for each in state.leases
            if each.grant_id not in held
        }
        return {key: each for key, each in judged.items() if each is not None}

    def weaknesses(self, held: Iterable[HeldLease]) -> tuple[Weakness, ...]:
        """Of the routes as they are at the last look; of the clients that are let in, and of anybody."""
        now = self._clock()
        if self._in_front is None:
            return ()
        if now >= self._next:
            self._found = tuple(self._look(held))
            self._next = now + max(SHORTEST, SHARE * (self._clock() - now))
        return self._found

    def _own(self) -> Mapping[int, Address]:
        """The addresses to which gateways forward and that are on this host, by IP version."""
        here = self._own_addresses()
        wanted = () if self._in_front is None else self._in_front.addresses
        return {each.version: each for each in reversed(wanted) if each in here}

    def _objection(self, lease: Lease, own: Mapping[int, Address]) -> Objection | None:
        """Why it cannot work for any of its sources at any of its ports; None: it may."""
        found: Objection | None = None
        for source in lease.sources:
            address = _one_address(source)
            elsewhere = None if address is None else self._elsewhere(address, own)
            for port in lease.ports:
                if elsewhere is None or not self._is_hopeless(elsewhere, port, address):
                    return None
                found = elsewhere.objection
        return found

    def _is_hopeless(self, elsewhere: _Elsewhere, port: PortKey, address: Address | None) -> bool:
        if port.protocol is not TransportProtocol.TCP or self._in_front is None or address is None:
            return False
        public = self._in_front.mapped.get(port, ())
        is_translated = any(each.address.version == address.version for each in public)
        return elsewhere.objection is Objection.NOWHERE or is_translated

    def _elsewhere(self, to: Address, own: Mapping[int, Address]) -> _Elsewhere | None:
        """None: through a gateway, or it cannot be told."""
        source = own.get(to.version)
        hops = None if source is None else self._asked(to, source)
        if self._in_front is None or source is None or hops is None:
            return None
        if not hops:
            return _Elsewhere(Objection.NOWHERE)
        gateways = self._in_front.gateways
        # Of any version: the next hop of IPv4 may have an address of IPv6 (RFC 5549).
        if any(hop in addresses for hop in hops for addresses in gateways):
            return None
        if not all(self._is_neighbour(addresses, to.version) for addresses in gateways):
            return None
        return _Elsewhere(Objection.PAST, tuple(sorted(hops, key=str)))

    def _is_neighbour(self, gateway: Iterable[Address], version: int) -> bool:
        return any(each.version == version and self._is_on_link(each) for each in gateway)

    def _is_on_link(self, address: Address) -> bool:
        """Whichever table has the link's route. A link-local address tells nothing: it is on every link."""
        return not address.is_link_local and self._asked(address, None) == {address}

    def _asked(self, to: Address, source: Address | None) -> Collection[Address] | None:
        """The kernel is asked once in each look."""
        if (to, source) not in self._hops:
            if len(self._hops) >= MOST_LOOKUPS:
                return None
            self._hops[to, source] = self._next_hops(to, source)
        return self._hops[to, source]

    def _look(self, held: Iterable[HeldLease]) -> Iterator[Weakness]:
        self._hops.clear()
        own, usual = self._own(), set[tuple[Address, ...]]()
        is_for_all = self._in_front is not None and self._in_front.is_for_all
        for anywhere in ANYWHERE if is_for_all else ():
            found = self._elsewhere(anywhere, own)
            if found is not None and found.objection is Objection.PAST:
                usual.add(found.hops)
                yield ROUTE_ELSEWHERE(route=_words(found.hops), gateway=self._gateway(anywhere))
        sources = {
            address: None
            for lease in held
            for each in lease.sources
            if (address := _one_address(each)) is not None
        }
        told = 0
        for address in list(sources)[:MOST_ASKED]:
            found = self._elsewhere(address, own)
            if found is None or found.hops in usual or told == MOST_TOLD:
                continue
            told += 1
            if found.objection is Objection.NOWHERE:
                yield NO_ROUTE(source=address)
            else:
                by = self._gateway(address)
                yield ANSWERS_ELSEWHERE(source=address, route=_words(found.hops), gateway=by)

    def _gateway(self, to: Address) -> str:
        """An address of one gateway that is a neighbour: a route by any of them will do."""
        gateways = () if self._in_front is None else self._in_front.gateways
        found = (
            str(each)
            for addresses in gateways
            for each in addresses
            if each.version == to.version and self._is_on_link(each)
        )
        return next(found, "")


def _one_address(source: AddressPrefix) -> Address | None:
    """A network may be reached by several routes."""
    networks = source.networks
    if len(networks) != 1 or networks[0].prefixlen != networks[0].max_prefixlen:
        return None
    return networks[0].network_address


def _words(addresses: Iterable[Address]) -> str:
    return ", ".join(map(str, addresses))
