"""Do answers of a machine go back through its gateways? What is certain is told, nothing else (EDGES G7)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.bindings import GatewayInFront, InFront
from bascule.domain.bounds import Objection
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.held import HeldLease
from bascule.domain.machine import ClosedPort
from bascule.domain.net import (
    Address,
    AddressPrefix,
    PortKey,
    PublicPort,
    PublicPorts,
    TransportProtocol,
)
from bascule.reconcile.reconciler import Reconciler
from bascule.reconcile.returning import MOST_LOOKUPS, SHORTEST, Returning
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_agent_behind import Memory

SSH, DNS = PortKey(TransportProtocol.TCP, 22), PortKey(TransportProtocol.UDP, 53)
OWN, GATEWAY, SECOND, ROUTER, FAR = map(
    ip_address, ("10.1.0.10", "10.1.0.1", "10.1.0.2", "10.1.0.99", "10.9.0.1")
)
OWN6, GATEWAY6, LINK6, ROUTER6 = map(ip_address, ("fd01::10", "fd01::1", "fe80::1", "fe80::99"))
BOB, EVE = ip_address("203.0.113.5"), ip_address("203.0.113.66")
ANYWHERE, ANYWHERE6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")
PUBLIC = {SSH: (PublicPort(ip_address("198.51.100.1"), 2222),)}


def front(*gateways: tuple[Address, ...], mapped: PublicPorts = PUBLIC, **more: bool) -> InFront:
    """In series; the first has public ports."""
    given = tuple(
        GatewayInFront(f"gw-{number}", each, {} if number else mapped)
        for number, each in enumerate(gateways)
    )
    return InFront(given, (OWN, OWN6), **more)


BOTH = (GATEWAY, GATEWAY6, LINK6)  # addresses of one gateway
FRONT = front(BOTH)

Routes = dict[Address, Collection[Address] | None]
ON_LINK: Routes = {each: {each} for each in (GATEWAY, SECOND, GATEWAY6)}
NOWHERE: Collection[Address] = ()


def made(routes: Routes, clock: SetClock | None = None) -> Returning:
    def next_hops(to: Address, source: Address | None) -> Collection[Address] | None:
        assert source is None or (source in (OWN, OWN6) and source.version == to.version)
        return routes.get(to)

    return Returning(next_hops, lambda: (OWN, OWN6), (clock or SetClock()).boottime)


def lease(*sources: object, ports: tuple[PortKey, ...] = (SSH,)) -> Lease:
    given = tuple(AddressPrefix.parse(str(each)) for each in sources)
    return Lease("g", ports, given, timedelta(minutes=5))


def state(*leases: Lease, front: InFront | None = FRONT, generation: int = 1) -> DesiredState:
    shut = frozenset({ClosedPort(SSH), ClosedPort(DNS)})
    return DesiredState("m", generation, shut, {}, leases, in_front=front)


def refused(routes: Routes, asked: Lease, front: InFront | None = FRONT) -> Objection | None:
    return made(routes).judge(state(asked, front=front), ()).refused.get("g")


@pytest.mark.parametrize(
    ("hops", "expected"),
    [
        ({GATEWAY}, None),
        ({ROUTER}, Objection.PAST),
        ({BOB}, Objection.PAST),  # a neighbour of the machine is answered directly
        ({ROUTER, GATEWAY}, None),  # one of several next hops is the gateway
        (NOWHERE, Objection.NOWHERE),
        (None, None),  # it cannot be told: a tunnel, or the source is this host
    ],
)
def test_a_client_of_a_public_port_gets_no_answer_past_the_gateway(
    hops: Collection[Address] | None, expected: Objection | None
) -> None:
    assert refused({**ON_LINK, BOB: hops}, lease(BOB)) is expected


def test_a_routed_connection_may_be_answered_by_another_way() -> None:
    routed = front(BOTH, mapped={})
    assert refused({**ON_LINK, BOB: {ROUTER}}, lease(BOB), routed) is None
    assert refused({**ON_LINK, BOB: NOWHERE}, lease(BOB), routed) is Objection.NOWHERE


def test_what_is_not_certain_refuses_nothing() -> None:
    """A gateway beyond a router, one of which nothing is known, and no gateway at all."""
    past = {**ON_LINK, BOB: {ROUTER}}
    assert refused({BOB: {ROUTER}, FAR: {ROUTER}}, lease(BOB), front((FAR,))) is None
    for gateways in (((GATEWAY,), (FAR,)), ((GATEWAY,), ()), ((LINK6,),)):
        assert refused(past, lease(BOB), front(*gateways)) is None
    assert refused(past, lease(BOB), replace(FRONT, addresses=(ip_address("10.1.0.77"),))) is None
    assert refused(past, lease(BOB), None) is None
    assert refused(past, lease(BOB)) is Objection.PAST


def test_any_of_several_gateways_will_do() -> None:
    two = front((GATEWAY,), (SECOND,))
    assert refused({**ON_LINK, BOB: {SECOND}}, lease(BOB), two) is None
    assert refused({**ON_LINK, BOB: {ROUTER}}, lease(BOB), two) is Objection.PAST


def test_networks_are_judged_by_nothing_and_one_good_source_is_enough() -> None:
    routes: Routes = {**ON_LINK, BOB: {ROUTER}, EVE: {GATEWAY}}
    for others in ("203.0.113.0/24", "*", str(EVE)):
        assert refused(routes, lease(BOB, others)) is None
    assert refused({**routes, EVE: {ROUTER}}, lease(BOB, EVE)) is Objection.PAST


def test_udp_need_not_be_answered() -> None:
    both = front(BOTH, mapped={**PUBLIC, DNS: PUBLIC[SSH]})
    for hops in ({ROUTER}, NOWHERE):
        routes: Routes = {**ON_LINK, BOB: hops}
        assert refused(routes, lease(BOB, ports=(DNS,)), both) is None
        assert refused(routes, lease(BOB, ports=(SSH, DNS)), both) is None


def test_ipv6_goes_by_the_gateway_s_link_local_address_too() -> None:
    """A public port of IPv4 says nothing of clients with IPv6."""
    six = ip_address("2001:db8:5::5")
    translated = front(BOTH, mapped={SSH: (PublicPort(ip_address("2001:db8:1::1"), 2222),)})
    for hop, expected in ((LINK6, None), (GATEWAY6, None), (ROUTER6, Objection.PAST)):
        assert refused({**ON_LINK, six: {hop}}, lease(six), translated) is expected
    assert refused({**ON_LINK, six: {ROUTER6}}, lease(six)) is None


def test_an_ipv4_route_by_an_ipv6_address_of_the_gateway_leads_there() -> None:
    """RFC 5549. By one of nobody's it leads elsewhere."""
    for hop, expected in ((LINK6, None), (GATEWAY6, None), (ROUTER6, Objection.PAST)):
        assert refused({**ON_LINK, BOB: {hop}}, lease(BOB)) is expected


def test_the_kernel_is_asked_once_in_each_look() -> None:
    """However many leases and gateways there are; and anew in the next."""
    asked: list[Address] = []
    routes: Routes = {**ON_LINK, BOB: {ROUTER}, EVE: {ROUTER}}

    def next_hops(to: Address, _source: Address | None) -> Collection[Address] | None:
        asked.append(to)
        return routes.get(to)

    it = Returning(next_hops, lambda: (OWN,))
    leases = [replace(lease(BOB, EVE), grant_id=f"g{number}") for number in range(20)]
    assert len(it.judge(state(*leases), ()).refused) == 20
    assert sorted(asked) == sorted((BOB, EVE, GATEWAY))
    routes[BOB] = {GATEWAY}
    assert it.judge(state(*leases), ()).refused == {}
    asked.clear()
    assert found(it, BOB, EVE) == [("AnswersElsewhere", str(EVE))]
    assert sorted(asked) == sorted((BOB, EVE, GATEWAY))


def test_more_routes_than_are_asked_for_refuse_nobody() -> None:
    many = [ip_address("10.64.0.0") + number for number in range(MOST_LOOKUPS + 1)]
    routes: Routes = {**ON_LINK, **dict.fromkeys(many, NOWHERE)}
    leases = [replace(lease(each), grant_id=str(each)) for each in many]
    assert made(routes).judge(state(*leases), ()).refused.keys() == {
        str(each) for each in many[:-1]
    }


def test_what_is_held_stays_open_and_only_a_new_lease_is_refused() -> None:
    """Nor does any answer open what the state does not say."""
    clock = SetClock()
    routes: Routes = {**ON_LINK, BOB: {GATEWAY}}
    firewall = FakeFirewall(clock)
    reconciler = Reconciler(FakeDriver(firewall), Memory(), clock, returning=made(routes, clock))
    assert reconciler.take(state(lease(BOB)), clock.boottime())
    assert reconciler.reconcile().in_force == {"g"}
    routes[BOB] = {ROUTER}
    another = replace(lease(BOB), grant_id="h")
    assert reconciler.take(state(lease(BOB), another, generation=2), clock.boottime())
    assert reconciler.reconcile().in_force == {"g"}
    assert reconciler.refused == {"h": Objection.PAST}
    assert [each.code for each in reconciler.weaknesses()] == ["AnswersElsewhere"]
    routes[BOB] = {GATEWAY}
    assert reconciler.take(state(another, generation=3), clock.boottime())
    assert reconciler.reconcile().in_force == {"h"}
    assert reconciler.refused == {}
    assert not firewall.reaches(str(EVE), SSH)


# -- what is found before anybody asks, and of who is in -----------------------------------------


def found(it: Returning, *sources: Address) -> list[tuple[str, str]]:
    held = [HeldLease((SSH,), tuple(map(AddressPrefix.of, sources)), 0.0)]
    return [
        (each.code, each.arguments.get("source") or each.arguments["route"])
        for each in it.weaknesses(held)
    ]


def test_the_default_route_is_told_where_anybody_may_ask() -> None:
    routes: Routes = {**ON_LINK, ANYWHERE: {ROUTER}, ANYWHERE6: {LINK6}}
    it = made(routes)
    assert found(it) == [], "the server has not said anything"
    it.judge(state(), ())
    assert found(it) == [], "its clients may have a route of their own"
    it.judge(state(front=replace(FRONT, is_for_all=True)), ())
    assert found(it) == [("RouteElsewhere", str(ROUTER))]
    (said,) = it.weaknesses([])
    assert said.arguments["gateway"] == str(GATEWAY)
    of_two = front(BOTH, (SECOND,), is_for_all=True)
    it.judge(state(front=of_two), ())
    (said,) = it.weaknesses([])
    assert said.arguments["gateway"] == str(GATEWAY), "one address, to be pasted into a command"


def test_who_is_let_in_is_told_of_and_a_route_that_is_mended_no_more() -> None:
    clock = SetClock()
    routes: Routes = {**ON_LINK, BOB: {ROUTER}, EVE: NOWHERE}
    it = made(routes, clock)
    it.judge(state(), ())
    assert found(it, BOB, EVE) == [("AnswersElsewhere", str(BOB)), ("NoRoute", str(EVE))]
    routes[BOB] = {GATEWAY}
    clock.pass_time(SHORTEST)
    assert found(it, BOB, EVE) == [("NoRoute", str(EVE))]
    routes[EVE] = {GATEWAY}
    clock.pass_time(SHORTEST)
    assert found(it, BOB, EVE) == []


def test_the_usual_way_is_told_once_and_many_clients_are_not_all_told() -> None:
    many = [ip_address("203.0.113.1") + number for number in range(100)]
    routes: Routes = {**ON_LINK, ANYWHERE: {ROUTER}, **{each: {ROUTER} for each in many}}
    it = made(routes)
    it.judge(state(front=replace(FRONT, is_for_all=True)), ())
    assert found(it, *many) == [("RouteElsewhere", str(ROUTER))]
    it.judge(state(), ())
    assert len(found(it, *many)) == 8


# -- two gateways in parallel --------------------------------------------------------------------

HERE, THERE = (
    PublicPort(ip_address("198.51.100.1"), 2222),
    PublicPort(ip_address("198.51.100.2"), 2022),
)
FIRST = GatewayInFront(
    "gw-0", (GATEWAY,), {SSH: (HERE,)}, frozenset({4}), is_parallel=True, name="gw-1"
)
OTHER = GatewayInFront(
    "gw-1", (SECOND,), {SSH: (THERE,)}, frozenset({4}), is_parallel=True, name="gw-2"
)
PAIR = InFront((FIRST, OTHER), (OWN, OWN6), is_for_all=True)


def past(routes: Routes, asked: Lease, front: InFront = PAIR) -> set[str]:
    told = made(routes).judge(state(asked, front=front), ())
    assert told.refused == {}
    return set(told.past.get("g", ()))


def test_by_the_other_gateway_s_public_port_nobody_is_answered() -> None:
    """It opens all the same, through the gateway by which answers leave."""
    assert past({**ON_LINK, BOB: {GATEWAY}}, lease(BOB)) == {"gw-1"}
    assert past({**ON_LINK, BOB: {SECOND}}, lease(BOB)) == {"gw-0"}
    assert past({**ON_LINK, BOB: {GATEWAY, SECOND}}, lease(BOB)) == set(), "by either"
    assert past({**ON_LINK, BOB: {GATEWAY, ROUTER}}, lease(BOB)) == {"gw-1"}
    assert past({**ON_LINK, BOB: {GATEWAY}, EVE: {SECOND}}, lease(BOB, EVE)) == set()
    assert past({**ON_LINK, BOB: {GATEWAY}, EVE: {GATEWAY}}, lease(BOB, EVE)) == {"gw-1"}
    assert past({**ON_LINK, BOB: {GATEWAY}, EVE: NOWHERE}, lease(BOB, EVE)) == {"gw-1"}
    assert past({**ON_LINK, BOB: {GATEWAY}}, lease(BOB, ports=(SSH, DNS))) == {"gw-1"}


def test_of_a_gateway_by_which_it_is_not_certain_nothing_is_said() -> None:
    by_first: Routes = {**ON_LINK, BOB: {GATEWAY}}
    for unsure in (
        replace(OTHER, mapped={}),  # it is routed only: another way may do
        replace(OTHER, mapped={SSH: (PublicPort(ip_address("2001:db8::7"), 22),)}),
        replace(OTHER, mapped={DNS: (THERE,)}),
        replace(OTHER, addresses=(FAR,)),
        replace(OTHER, addresses=()),
        replace(OTHER, is_trusted=True),
    ):
        assert past(by_first, lease(BOB), replace(PAIR, gateways=(FIRST, unsure))) == set()
    far = replace(PAIR, gateways=(FIRST, replace(OTHER, addresses=(FAR,))))
    assert past({**ON_LINK, BOB: {ROUTER}}, lease(BOB), far) == set(), "it may lead to either"
    alone = replace(PAIR, gateways=(FIRST, replace(OTHER, is_parallel=False)))
    assert past(by_first, lease(BOB), alone) == set(), "in series it takes both"
    for asked in (lease("203.0.113.0/24"), lease(BOB, "*"), lease(BOB, ports=(DNS,))):
        assert past(by_first, asked) == set()


def test_what_an_owner_says_of_a_route_is_taken() -> None:
    """A router may lead back to that gateway. Where there is no route it still is refused."""
    trusted = replace(PAIR, gateways=(replace(FIRST, is_trusted=True), OTHER))
    by_router: Routes = {**ON_LINK, BOB: {ROUTER}, ANYWHERE: {ROUTER}}
    assert refused(by_router, lease(BOB), PAIR) is Objection.PAST
    assert refused(by_router, lease(BOB), trusted) is None
    assert past(by_router, lease(BOB), trusted) == set()
    assert past({**ON_LINK, BOB: {GATEWAY}}, lease(BOB), trusted) == {"gw-1"}
    assert refused({**ON_LINK, BOB: NOWHERE}, lease(BOB), trusted) is Objection.NOWHERE
    it = made(by_router)
    it.judge(state(front=trusted), ())
    assert found(it, BOB) == []


def test_it_is_said_until_the_lease_is_over_as_it_was_found_first() -> None:
    """A report may be lost. What a route becomes meanwhile changes nothing of what is open."""
    routes: Routes = {**ON_LINK, BOB: {GATEWAY}}
    it = made(routes)
    assert it.judge(state(lease(BOB), front=PAIR), ()).past == {"g": {"gw-1"}}
    routes[BOB] = {SECOND}
    another = replace(lease(BOB), grant_id="h")
    told = it.judge(state(lease(BOB), another, front=PAIR, generation=2), ("g",))
    assert told.past == {"g": {"gw-1"}, "h": {"gw-0"}}
    assert it.judge(state(another, front=PAIR, generation=3), ("h",)).past == {"h": {"gw-0"}}
    assert it.judge(state(another, front=FRONT, generation=4), ("h",)).past == {}


def test_whose_public_ports_do_not_work_is_told_before_anybody_asks() -> None:
    """Only of a gateway that gives some, and where anybody may ask."""
    routes: Routes = {**ON_LINK, ANYWHERE: {GATEWAY}}
    for front, expected in (
        (PAIR, [("AnswersByAnotherGateway", str(GATEWAY))]),
        (replace(PAIR, is_for_all=False), []),
        (replace(PAIR, gateways=(FIRST, replace(OTHER, versions=frozenset({6})))), []),
        (replace(PAIR, gateways=(FIRST, replace(OTHER, is_parallel=False))), []),
        (replace(PAIR, gateways=(FIRST, replace(OTHER, is_trusted=True))), []),
    ):
        it = made(routes)
        it.judge(state(front=front), ())
        assert found(it) == expected
    it = made(routes)
    it.judge(state(front=PAIR), ())
    (said,) = it.weaknesses([])
    assert (said.arguments["gateway"], said.arguments["point"]) == ("gw-2", "gw-1")
    assert said.shadow is None, "access is not blocked"
    assert "not through gateway gw-2, so its public ports for IPv4 do not work" in str(said.text)
