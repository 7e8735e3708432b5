"""Do answers of this machine go back through the gateways in front of it? (EDGES G7)

The kernel is asked where it would send them. They go past the gateways for certain where each gateway
and this machine are neighbours and the next hop is an address of none of them; and past one of several
where it is an address of another. Where a router stands between, or the next hop is not known, nothing is
said, nor of a gateway of which an owner says that the route is right. A public port cannot work then,
because the client would be answered by an address that it does not know; a routed connection may, by
another way. Where there is no route to who asks, nothing over TCP can. UDP need not be answered.

What is not here: which gateways there are, which the server says (``domain.bindings.InFront``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from bascule.domain.bindings import GatewayInFront, InFront
from bascule.domain.bounds import Objection
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.held import HeldLease
from bascule.domain.net import Address, AddressPrefix, PortKey, TransportProtocol
from bascule.domain.weaknesses import (
    ANSWERS_BY_ANOTHER,
    ANSWERS_ELSEWHERE,
    NO_ROUTE,
    ROUTE_ELSEWHERE,
    Weakness,
)

NextHops = Callable[[Address, Address | None], Collection[Address] | None]  # as of ``HostParts``

ANYWHERE = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))  # RFC 5737, RFC 3849
MOST_ASKED = 64  # clients of which it is told whether their answers go elsewhere
MOST_LOOKUPS = 1024  # of routes for one state or one look; of what is beyond nothing is said
MOST_TOLD = 8
SHORTEST = 1.5  # seconds between two looks
SHARE = 50  # a look of a second is followed by 50 s without one


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Whose leases would get no answer."""

    refused: Mapping[str, Objection] = field(default_factory=dict)  # by grant id
    # Of others, the gateways (uids) by whose public ports they would get none; by grant id.
    past: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Way:
    """How answers to an address go, as far as it is certain."""

    hops: tuple[Address, ...]  # empty: nowhere
    past: tuple[GatewayInFront, ...] = ()  # the gateways through which they do not go
    is_past_all: bool = False

    @property
    def objection(self) -> Objection:
        return Objection.PAST if self.hops else Objection.NOWHERE


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
        self._past: Mapping[
            str, frozenset[str]
        ] = {}  # as first found, of the leases that there are

    def judge(self, state: DesiredState, held: Collection[str]) -> Unanswered:
        """What of this state's leases would get no answer. None is refused that is held already.

        What it says of gateways counts from now on.
        """
        if state.in_front != self._in_front:
            self._in_front, self._next, self._past = state.in_front, float("-inf"), {}
        if self._in_front is None:
            return Unanswered()
        self._hops.clear()
        own = self._own()
        judged = {
            each.grant_id: self._objection(each, own)
            for each in state.leases
            if each.grant_id not in held
        }
        refused = {key: each for key, each in judged.items() if each is not None}
        if sum(each.is_parallel for each in self._in_front.gateways) > 1:
            known = self._past
            self._past = {
                key: known[key] if key in known else self._past_of(each, own)
                for each in state.leases
                if (key := each.grant_id) not in refused
            }
        return Unanswered(refused, {key: each for key, each in self._past.items() if each})

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
            way = None if address is None else self._way(address, own)
            for port in lease.ports:
                if way is None or address is None or not _is_hopeless(way, port, address):
                    return None
                found = way.objection
        return found

    def _past_of(self, lease: Lease, own: Mapping[int, Address]) -> frozenset[str]:
        """The gateways by whose public ports none of its sources is answered, while by others they are."""
        found: frozenset[str] | None = None
        for source in lease.sources:
            address = _one_address(source)
            way = None if address is None else self._way(address, own)
            if way is None or address is None or way.is_past_all:
                return frozenset()
            if way.hops:
                here = {e.uid for e in way.past if _is_mapped(e, lease.ports, address.version)}
                found = frozenset(here) if found is None else found & here
        return found or frozenset()

    def _way(self, to: Address, own: Mapping[int, Address]) -> _Way | None:
        """None: it cannot be told."""
        source = own.get(to.version)
        hops = None if source is None else self._asked(to, source)
        if self._in_front is None or source is None or hops is None:
            return None
        gateways = self._in_front.gateways
        if not hops:
            return _Way(())
        # Of any version: the next hop of IPv4 may have an address of IPv6 (RFC 5549).
        others = [each for each in gateways if not any(hop in each.addresses for hop in hops)]
        past = tuple(
            each
            for each in others
            if not each.is_trusted and self._is_neighbour(each.addresses, to.version)
        )
        if len(others) == len(gateways) and len(past) < len(others):
            return None  # what is between may lead to one of them
        return _Way(tuple(sorted(hops, key=str)), past, len(past) == len(gateways))

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
        by_another: list[Weakness] = []
        for anywhere in ANYWHERE if is_for_all else ():
            found = self._way(anywhere, own)
            if found is not None and found.is_past_all:
                usual.add(found.hops)
                yield ROUTE_ELSEWHERE(route=_words(found.hops), gateway=self._gateway(anywhere))
            elif found is not None:
                by_another += [
                    ANSWERS_BY_ANOTHER(
                        version=anywhere.version,
                        route=_words(found.hops),
                        gateway=each.name or each.uid,
                        point=each.uid,
                    )
                    for each in found.past
                    if each.is_parallel and anywhere.version in each.versions
                ]
        yield from by_another[:MOST_TOLD]
        sources = {
            address: None
            for lease in held
            for each in lease.sources
            if (address := _one_address(each)) is not None
        }
        told = 0
        for address in list(sources)[:MOST_ASKED]:
            found = self._way(address, own)
            if found is None or found.hops in usual or told == MOST_TOLD:
                continue
            if not found.hops:
                told += 1
                yield NO_ROUTE(source=address)
            elif found.is_past_all:
                told += 1
                by = self._gateway(address)
                yield ANSWERS_ELSEWHERE(source=address, route=_words(found.hops), gateway=by)

    def _gateway(self, to: Address) -> str:
        """An address of one gateway that is a neighbour: a route by any of them will do."""
        gateways = () if self._in_front is None else self._in_front.gateways
        found = (
            str(each)
            for gateway in gateways
            for each in gateway.addresses
            if each.version == to.version and self._is_on_link(each)
        )
        return next(found, "")


def _is_mapped(gateway: GatewayInFront, ports: Iterable[PortKey], version: int) -> bool:
    """Does a public port there stand for one of these over TCP?"""
    return any(
        public.address.version == version
        for port in ports
        if port.protocol is TransportProtocol.TCP
        for public in gateway.mapped.get(port, ())
    )


def _is_hopeless(way: _Way, port: PortKey, address: Address) -> bool:
    if port.protocol is not TransportProtocol.TCP:
        return False
    return not way.hops or (
        way.is_past_all and any(_is_mapped(each, (port,), address.version) for each in way.past)
    )


def _one_address(source: AddressPrefix) -> Address | None:
    """A network may be reached by several routes."""
    networks = source.networks
    if len(networks) != 1 or networks[0].prefixlen != networks[0].max_prefixlen:
        return None
    return networks[0].network_address


def _words(addresses: Iterable[Address]) -> str:
    return ", ".join(map(str, addresses))
