"""Answers that go back through a gateway or past it: what the kernel's routes say, and what packets do
(EDGES G7).

The machine is ``app``. Its neighbours on the gateway's link are the gateway and ``other``, a router by
which answers reach the client too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.bootstrap.drivers import HostParts
from bascule.domain.bindings import GatewayInFront, InFront
from bascule.domain.desired import DesiredState, Lease, RuleSet
from bascule.domain.net import Address, AddressPrefix
from bascule.reconcile.returning import Returning, Unanswered
from tests.netns.driver_process import DriverProcess
from tests.netns.gateway import APP, APP6, Gateway, at, public, through
from tests.netns.network import (
    CLIENT,
    CLIENT6,
    HOST,
    INNER_GATEWAY,
    PATIENCE,
    Network,
    Space,
    is_alive,
)
from tests.netns.rulesets import closed, make_so, openings, tcp

OTHER, OTHER6 = "10.78.0.99", "fd78::99"  # on the link between gateway and app
NEAR = "10.77.0.99"  # the same router on the clients' link
GATEWAY6 = "fd78::1"
SSH = tcp(22)
MINUTE = 60.0
PORTS = [SSH.behind(ip_address(each)) for each in (APP, APP6)]


@dataclass
class World:
    network: Network
    gateway: Gateway
    other: Space

    @property
    def app(self) -> Space:
        return self.gateway.app

    def route(self, *words: str, version: int = 4) -> None:
        self.app.run("ip", f"-{version}", "route", *words)

    def told(self) -> frozenset[Address]:
        """By which addresses the gateway says that app's answers come back."""
        (found,) = self.network.host.inside(lambda: HostParts().answered_by([PORTS]))
        return frozenset(found)

    def refused(self, source: str, *, is_translated: bool = True) -> str:
        """Why app's agent refuses a lease to that client now; empty: it does not."""
        mapped = {SSH: tuple(public(2222, each) for each in (HOST, "fd77::1"))}
        where = (ip_address(APP), ip_address(APP6))
        gateway = GatewayInFront("gw-1", tuple(self.told()), mapped if is_translated else {})
        return str(self.judged(source, InFront((gateway,), where)).refused.get("g", ""))

    def judged(self, source: str, front: InFront) -> Unanswered:
        lease = Lease("g", (SSH,), (AddressPrefix.parse(source),), timedelta(seconds=MINUTE))
        state = DesiredState("app", 1, frozenset(), {}, (lease,), in_front=front)

        def look() -> Unanswered:
            parts = HostParts()
            return Returning(parts.next_hops, parts.own_addresses).judge(state, ())

        return self.app.inside(look)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Network() as network:
        gateway = Gateway(network)
        host = network.host
        other = network.keep(Space(f"{host.name}o"))
        # Gateway, app and the other router on one link, in place of the cable between the first two.
        host.run("ip", "link", "add", "in0", "address", "02:00:00:00:00:02", "type", "bridge")
        host.run("ip", "link", "set", "in0", "up")
        host.run("ip", "link", "set", "v9", "master", "in0")
        for address in (f"{INNER_GATEWAY}/24", f"{GATEWAY6}/64"):
            host.run("ip", "addr", "del", address, "dev", "v9", check=False)
            host.run("ip", "addr", "add", address, "dev", "in0", *_nodad(address))
        for link, name, bridge, addresses in (
            ("w0", "in", "in0", (f"{OTHER}/24", f"{OTHER6}/64")),
            ("w1", "out", "br0", (f"{NEAR}/16", "fd77:0:9::99/32")),
        ):
            host.run("ip", "link", "add", link, "type", "veth", "peer", name, "netns", other.name)
            host.run("ip", "link", "set", link, "master", bridge, "up")
            other.run("ip", "link", "set", name, "up")
            for address in addresses:
                other.run("ip", "addr", "add", address, "dev", name, *_nodad(address))
        for key in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            other.run("sysctl", "-q", "-w", key)
        for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
            host.run("sysctl", "-q", "-w", f"net.bridge.{name}=0", check=False)
        network.echo(22, space=gateway.app)
        yield World(network, gateway, other)


def _nodad(address: str) -> tuple[str, ...]:
    return ("nodad",) if ":" in address else ()


@pytest.fixture(autouse=True)
def usual_routes(world: World) -> Iterator[None]:
    yield
    for version, gateway in ((4, INNER_GATEWAY), (6, GATEWAY6)):
        for table in ("main", "77"):
            world.app.run("ip", f"-{version}", "rule", "del", "table", "77", check=False)
            world.app.run(
                *("ip", f"-{version}", "route", "flush", "table", table, "proto", "boot"),
                check=False,
            )
        world.route("replace", "default", "via", gateway, version=version)
    world.network.host.run("nft", "delete", "table", "inet", "odd", check=False)


@contextmanager
def masking(world: World, rule: str) -> Iterator[None]:
    world.network.host.nft(
        "table inet odd {\nchain post {\ntype nat hook postrouting priority srcnat\n"
        f"{rule}\n}}\n}}\n"
    )
    yield
    world.network.host.run("nft", "delete", "table", "inet", "odd")


def test_the_right_route_refuses_nobody(world: World) -> None:
    assert {ip_address(INNER_GATEWAY), ip_address(GATEWAY6), ip_address(HOST)} <= world.told()
    for source in (CLIENT, CLIENT6):
        assert world.refused(source) == ""


def test_a_default_route_elsewhere_is_found_and_mended_no_more(world: World) -> None:
    world.route("replace", "default", "via", OTHER)
    assert world.refused(CLIENT) == "past"
    assert world.refused(CLIENT6) == "", "IPv6 has routes of its own"
    assert world.refused(CLIENT, is_translated=False) == "", "it may be answered by another way"
    world.route("replace", "default", "via", INNER_GATEWAY)
    assert world.refused(CLIENT) == ""


def test_a_route_of_one_client_alone_and_one_without_any(world: World) -> None:
    world.route("add", f"{CLIENT}/32", "via", OTHER)
    assert world.refused(CLIENT) == "past"
    assert world.refused("10.77.0.7") == ""
    world.route("add", "unreachable", "10.77.0.8/32")
    for is_translated in (True, False):
        assert world.refused("10.77.0.8", is_translated=is_translated) == "nowhere"
    world.route("add", "blackhole", "10.77.0.9/32")
    assert world.refused("10.77.0.9") == "", "the kernel says the same of a source that has gone"
    world.route("del", "default")
    assert world.refused("203.0.113.5") == "nowhere"
    world.route("del", "default", version=6)
    assert world.refused("2001:db8::5") == "nowhere"


def test_rules_for_the_machine_s_own_address_are_followed(world: World) -> None:
    """The main table leads elsewhere; what has app's address goes by another table, or the reverse."""
    world.route("replace", "default", "via", OTHER)
    world.route("replace", "default", "via", INNER_GATEWAY, "table", "77")
    world.app.run("ip", "rule", "add", "from", APP, "table", "77")
    assert world.refused(CLIENT) == ""
    world.route("replace", "default", "via", INNER_GATEWAY)
    world.route("replace", "default", "via", OTHER, "table", "77")
    assert world.refused(CLIENT) == "past"
    for selector in (
        *("fwmark 7", "ipproto tcp sport 22", "tos 0x10", "uidrange 0-5"),
        *("oif e0", "iif lo"),
    ):
        world.app.run("ip", "rule", "add", *selector.split(), "table", "77")
        assert world.refused(CLIENT) == "", f"by {selector} they may go back by the gateway"
        world.app.run("ip", "rule", "del", *selector.split(), "table", "77")
    assert world.refused(CLIENT) == "past"


def test_one_of_several_next_hops_is_enough(world: World) -> None:
    hops = ("nexthop", "via", OTHER, "nexthop", "via", INNER_GATEWAY)
    world.route("replace", "default", *hops)
    assert [world.refused(f"10.77.0.{each}") for each in range(2, 12)] == [""] * 10
    six = ("nexthop", "via", OTHER6, "nexthop", "via", GATEWAY6)
    world.route("del", "default", version=6)
    world.route("add", "default", *six, version=6)
    assert [world.refused(f"fd77:0:1::{each}") for each in range(2, 12)] == [""] * 10


def test_a_link_local_next_hop_is_the_gateway_s_or_another_s(world: World) -> None:
    for space, link, expected in (
        (world.network.host, "in0", ""),
        (world.other, "in", "past"),
    ):
        shown = space.run("ip", "-6", "-o", "addr", "show", "dev", link, "scope", "link")
        hop = shown.split()[3].split("/")[0]
        world.route("replace", "default", "via", hop, "dev", "e0", version=6)
        assert world.refused(CLIENT6) == expected


def test_a_neighbour_of_the_machine_is_answered_past_the_gateway(world: World) -> None:
    assert world.refused(OTHER) == "past"
    assert world.refused(INNER_GATEWAY) == ""


def test_where_who_asks_may_be_written_over_nothing_is_told(world: World) -> None:
    """Then app answers the gateway, whatever its routes are. What goes out elsewhere is masked always."""
    world.route("replace", "default", "via", OTHER)
    for rule in (
        "oifname in0 masquerade",
        "masquerade",
        f"ip daddr {APP} snat ip to {INNER_GATEWAY}",
        'oifname vmap { "in0" : jump mask }\n}\nchain mask {\nmasquerade',
    ):
        with masking(world, rule):
            assert world.told() == frozenset(), rule
            assert world.refused(CLIENT) == ""
    for rule in (
        "oifname br0 masquerade",
        "ip daddr 10.79.0.0/24 masquerade",
        "tcp dport 80 masquerade",
    ):
        with masking(world, rule):
            assert world.refused(CLIENT) == "past", rule


def test_of_a_machine_beyond_a_router_nothing_is_told(world: World) -> None:
    beyond = SSH.behind(ip_address("10.99.0.2"))
    world.network.host.run("ip", "route", "add", "10.99.0.0/24", "via", OTHER)
    (found,) = world.network.host.inside(lambda: HostParts().answered_by([[beyond]]))
    assert frozenset(found) == frozenset()
    world.network.host.run("ip", "route", "del", "10.99.0.0/24")


def test_past_the_gateway_a_public_port_does_not_work_and_a_routed_connection_ends_with_its_grant(
    world: World,
) -> None:
    """The gateway sees half of it. It passes by the grant alone, because it is never established there."""
    client = world.network.client
    driver = DriverProcess(world.network.host.name)
    try:
        own = RuleSet(closed(SSH), openings((CLIENT, SSH, MINUTE)))
        make_so(driver, through(own, {SSH: (public(2222),)}))
        assert client.lets_in(22, APP)
        assert client.lets_in(2222)
        world.route("replace", "default", "via", OTHER)
        assert not client.reaches(2222, HOST, 2.0)
        half = client.connect(22, APP, wait=PATIENCE)
        assert half is not None
        assert is_alive(half, PATIENCE), "the client is answered by the other router"
        make_so(driver, RuleSet(closed(*(at(each, SSH) for each in (APP, APP6)))))
        assert not is_alive(half, 1.5), "although its port is keep"
        half.close()
        world.route("replace", "default", "via", INNER_GATEWAY)
        make_so(driver, RuleSet(closed(*PORTS), openings((CLIENT, PORTS[0], 3.0))))
        whole = client.connect(22, APP, wait=PATIENCE)
        assert whole is not None
        assert is_alive(whole, PATIENCE)
        time.sleep(3.2)
        assert is_alive(whole, PATIENCE), "one that the gateway sees both ways of is kept"
        whole.close()
    finally:
        driver.close()


def test_of_two_gateways_the_one_by_which_answers_leave_is_told(world: World) -> None:
    """As the gateways themselves say by which of their addresses answers come back."""

    def answered_by(space: Space) -> tuple[Address, ...]:
        (found,) = space.inside(lambda: HostParts().answered_by([PORTS]))
        return tuple(sorted(found, key=str))

    pair = [
        GatewayInFront(uid, answered_by(space), {SSH: (public(2222, at_),)}, is_parallel=True)
        for uid, space, at_ in (("gw-1", world.network.host, HOST), ("gw-2", world.other, NEAR))
    ]
    assert all(each.addresses for each in pair)
    both = InFront(tuple(pair), (ip_address(APP), ip_address(APP6)))
    assert world.judged(CLIENT, both) == Unanswered({}, {"g": frozenset({"gw-2"})})
    world.route("replace", "default", "via", OTHER)
    assert world.judged(CLIENT, both) == Unanswered({}, {"g": frozenset({"gw-1"})})
    world.route("add", f"{CLIENT}/32", "via", INNER_GATEWAY)
    assert world.judged(CLIENT, both) == Unanswered({}, {"g": frozenset({"gw-2"})})
    world.route("del", f"{CLIENT}/32")
    hops = ("nexthop", "via", OTHER, "nexthop", "via", INNER_GATEWAY)
    world.route("replace", "default", *hops)
    assert world.judged(CLIENT, both) == Unanswered({}, {})


def test_a_routed_connection_may_come_by_one_gateway_and_be_answered_by_the_other(
    world: World,
) -> None:
    """Both judge what comes to the machine, and neither what it sends: an answer to a connection that a
    gateway has not seen begin passes there, unless another program drops what conntrack calls invalid.
    """
    client, stranger = world.network.client, world.network.stranger
    drivers = [DriverProcess(each.name) for each in (world.network.host, world.other)]
    opened = RuleSet(closed(*PORTS), openings((CLIENT, PORTS[0], MINUTE)))
    try:
        for each in drivers:
            make_so(each, opened)
        world.route("replace", "default", "via", OTHER)
        assert client.lets_in(22, APP)
        kept = client.connect(22, APP, wait=PATIENCE)
        assert kept is not None
        assert is_alive(kept, PATIENCE)
        kept.close()
        client.run("ip", "route", "add", f"{APP}/32", "via", NEAR)
        stranger.run("ip", "route", "add", f"{APP}/32", "via", NEAR)
        assert client.lets_in(22, APP), "by the other gateway, and back by it"
        assert not stranger.reaches(22, APP, 1.5), "at the other gateway neither"
        world.route("replace", "default", "via", INNER_GATEWAY)
        assert client.lets_in(22, APP), "by the other gateway, and back by the first"
        assert not stranger.reaches(22, APP, 1.5)
        with masking(
            world, "}\nchain f {\ntype filter hook forward priority 10\nct state invalid drop"
        ):
            assert not client.reaches(22, APP, 2.0)
        assert client.lets_in(22, APP)
    finally:
        for space in (client, stranger):
            space.run("ip", "route", "del", f"{APP}/32", check=False)
        for each in drivers:
            each.close()
