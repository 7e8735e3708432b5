"""EDGES E3: a closed published port is not reached by routing to the container behind it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from bascule.domain.desired import RuleSet
from bascule.domain.net import PortKey
from bascule.drivers.linux.nat_rules import translations
from tests.netns.conftest import StartDriver
from tests.netns.containers import ONE, ONE6, TWO, Containers
from tests.netns.driver_process import DriverProcess
from tests.netns.network import (
    CLIENT,
    CLIENT6,
    HOST,
    HOST6,
    PATIENCE,
    EchoServer,
    Network,
    Space,
    is_alive,
)
from tests.netns.rulesets import closed, make_so, openings, tcp, udp

SHUT = closed(tcp(2222))


@pytest.fixture
def containers(network: Network) -> Containers:
    made = Containers(network)
    network.echo(22, 80, space=made.one)
    return made


@pytest.mark.parametrize(
    ("source", "host", "one"), [(CLIENT, HOST, ONE), (CLIENT6, HOST6, ONE6)], ids=["IPv4", "IPv6"]
)
def test_a_closed_published_port_is_closed_by_routing_as_well(
    network: Network,
    driver: DriverProcess,
    containers: Containers,
    source: str,
    host: str,
    one: str,
) -> None:
    """Whom its port is open for comes in by that port, and nobody by another way."""
    containers.publish(2222, one, 22)
    containers.publish(8080, one, 80)
    assert network.stranger.lets_in(22, one), "before it is closed it is reached past the host"
    old = network.session(network.stranger, 22, one)
    make_so(driver, RuleSet(SHUT, openings((source, tcp(2222), 60))))
    driver.tidy()
    assert network.client.lets_in(2222, host)
    for space in (network.client, network.stranger):
        assert not space.reaches(22, one)
        assert space.lets_in(80, one), "what no policy closes is reached as before"
        assert space.lets_in(8080, host)
    assert not network.stranger.reaches(2222, host)
    assert is_alive(old, PATIENCE), "who was there lives on"
    assert network.host.lets_in(22, one), "the host's own connections pass, a userland proxy's too"
    make_so(driver, RuleSet())
    driver.tidy()
    assert network.stranger.lets_in(22, one)


def test_traffic_between_containers_is_not_touched(
    network: Network, driver: DriverProcess, containers: Containers
) -> None:
    containers.publish(2222, ONE, 22)
    network.host.run("sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1", check=False)
    make_so(driver, RuleSet(SHUT))
    assert containers.two.lets_in(22, ONE)
    assert containers.other.lets_in(22, ONE), "from another container network too"
    assert not network.stranger.reaches(22, ONE)


def test_an_interface_with_the_default_route_is_no_container_networks(
    network: Network, driver: DriverProcess, containers: Containers
) -> None:
    """A bridge of veths as well: of a host that is a container itself that is the way out."""
    containers.publish(2222, ONE, 22)
    make_so(driver, RuleSet(SHUT))
    assert containers.other.lets_in(22, ONE)
    network.host.run("ip", "route", "add", "default", "via", "172.18.0.9", "metric", "9")
    driver.tidy()
    assert not containers.other.reaches(22, ONE)


def test_another_port_to_the_same_container_stays_open(
    network: Network, driver: DriverProcess, containers: Containers
) -> None:
    containers.publish(2222, ONE, 22)
    containers.publish(2223, ONE, 22)
    make_so(driver, RuleSet(SHUT))
    assert network.stranger.lets_in(2223)
    assert not network.stranger.reaches(2222)
    assert not network.stranger.reaches(22, ONE)


def test_a_service_with_an_address_of_its_own_is_no_published_port(
    network: Network, driver: DriverProcess, containers: Containers
) -> None:
    """As a cluster's: its other hosts reach the container behind it by routes, and go on to."""
    containers.publish(2299, ONE, 22)
    rule = f"add rule ip nat DOCKER ip daddr 10.96.0.1 tcp dport 2222 dnat to {ONE}:22\n"
    network.host.nft(rule)
    make_so(driver, RuleSet(SHUT))
    assert network.stranger.lets_in(22, ONE)
    network.host.run("ip", "addr", "add", "10.96.0.1/32", "dev", "br0")
    driver.tidy()
    assert not network.stranger.reaches(22, ONE), "unless it comes to be this host's"


def test_containers_that_come_and_go_are_followed_by_the_next_look(
    network: Network, driver: DriverProcess, containers: Containers
) -> None:
    network.echo(22, space=containers.two)
    make_so(driver, RuleSet(SHUT))
    assert not network.stranger.reaches(22, ONE), "the engine's own rules drop it"
    for address, former in ((ONE, TWO), (TWO, ONE)):
        containers.unpublish()
        containers.publish(2222, address, 22)
        containers.publish(2299, former, 22)
        driver.tidy()
        assert not network.stranger.reaches(22, address)
        assert network.stranger.lets_in(22, former), "what it was is nobody's closed port any more"
    assert driver.observe().is_intact


NATIVE = """table inet elsewhere {
map pool {
type inet_service : ipv4_addr . inet_service
elements = { 99 : 10.0.0.3 . 23 }
}
map hosts {
type inet_service : ipv4_addr
flags interval
elements = { 500-599 : 10.0.0.4, 600 : 10.0.0.5, 65000-65535 : 10.0.0.6 }
}
map ways {
type inet_proto . inet_service : verdict
}
chain others {
meta l4proto tcp dnat ip to 10.0.0.7:7
}
chain asked {
dnat ip to 10.0.0.8
}
chain not_hooked {
dnat ip to 10.0.0.99
}
chain pre {
type nat hook prerouting priority dstnat - 5
tcp dport { 22, 80-90 } dnat ip to 10.0.0.1:22
dnat ip to tcp dport map @pool
dnat ip to tcp dport map @hosts
meta l4proto . th dport vmap @ways
fib daddr type local udp dport vmap { 53 : jump asked }
tcp dport 8003 dnat ip6 to [fd00::5]:22-24
tcp dport > 20 tcp dport < 22 dnat ip to 10.0.0.9-10.0.0.10
tcp dport 2222 redirect to :22
tcp dport 443 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.20, 1 : 10.0.0.21 }
tcp dport != 1-65534 dnat ip to 10.0.0.30:1
ip daddr . tcp dport { 192.0.2.1 . 70, 198.51.100.2 . 71-79 } dnat ip to 10.0.0.31:2
ip daddr 192.0.2.1 tcp dport 60 dnat ip to 10.0.0.32
ip daddr 198.51.100.2 tcp dport 60 dnat ip to 10.0.0.33
ip daddr != 198.51.100.2 tcp dport 61 dnat ip to 10.0.0.34
ip6 daddr fd44::1 tcp dport 60 dnat ip6 to fd00::6
ip6 daddr fd45::1 tcp dport 60 dnat ip6 to fd00::7
ip6 daddr . tcp dport { fd45::1 . 62, fd44::1 . 63 } dnat ip6 to fd00::8
ip saddr 198.51.100.2 ip daddr 203.0.113.7 tcp dport 64 dnat ip to 10.0.0.35
}
}
add element inet elsewhere ways { tcp . 777 : jump others, udp . 54 : goto asked }
"""


@pytest.mark.parametrize(
    ("port", "targets"),
    [
        (tcp(22), {"10.0.0.1 22/tcp"}),
        (tcp(90), {"10.0.0.1 22/tcp"}),
        (tcp(91), set()),
        (udp(22), set()),
        (tcp(99), {"10.0.0.3 23/tcp"}),
        (tcp(500), {"10.0.0.4 500/tcp"}),
        (tcp(599), {"10.0.0.4 599/tcp"}),
        (tcp(600), {"10.0.0.5 600/tcp"}),
        (tcp(601), set()),
        (tcp(65534), {"10.0.0.6 65534/tcp"}),
        (tcp(65535), {"10.0.0.6 65535/tcp", "10.0.0.30 1/tcp"}),
        (tcp(777), {"10.0.0.7 7/tcp"}),
        (udp(54), {"10.0.0.8 54/udp"}),
        (udp(53), {"10.0.0.8 53/udp"}),
        (tcp(53), set()),
        (tcp(8003), {"fd00::5 22/tcp", "fd00::5 23/tcp", "fd00::5 24/tcp"}),
        (tcp(21), {"10.0.0.9 21/tcp", "10.0.0.10 21/tcp"}),
        (tcp(2222), set()),
        (tcp(443), {"10.0.0.20 443/tcp", "10.0.0.21 443/tcp"}),
        (tcp(70), {"10.0.0.31 2/tcp"}),
        (tcp(75), set()),
        (tcp(60), {"10.0.0.32 60/tcp", "fd00::6 60/tcp"}),
        (tcp(69), set()),
        (tcp(61), {"10.0.0.34 61/tcp"}),
        (tcp(62), set()),
        (tcp(63), {"fd00::8 63/tcp"}),
        (tcp(64), {"10.0.0.35 64/tcp"}),
    ],
    ids=str,
)
def test_where_a_port_leads_by_nfts_own_rules(
    host: Space, port: PortKey, targets: set[str]
) -> None:
    found = host.inside(lambda: translations([port]))
    assert {f"{address} {own}" for address, own in found.targets} == targets
    assert found.unread == ()


@pytest.fixture(scope="module")
def host() -> Iterator[Space]:
    space = Space(f"bt{os.getpid()}rules")
    for line in (
        "link set lo up",
        "addr add 192.0.2.1/32 dev lo",
        "route add local 203.0.113.0/24 dev lo",
        "addr add fd44::1/128 dev lo",
    ):
        space.run("ip", *line.split())
    space.nft(NATIVE)
    yield space
    space.close()


def test_a_udp_conversation_past_a_closed_port_ends(
    network: Network, driver: DriverProcess, containers: Containers
) -> None:
    network.keep(EchoServer(containers.one, 53, socket.SOCK_DGRAM))
    containers.publish(5300, ONE, 53, "udp")
    with network.stranger.udp() as talk:
        talk.settimeout(PATIENCE)
        talk.sendto(b"ask", (ONE, 53))
        assert talk.recv(64) == b"ask"
        make_so(driver, RuleSet(closed(udp(5300))))
        talk.settimeout(0.3)
        talk.sendto(b"again", (ONE, 53))
        with pytest.raises(TimeoutError):
            talk.recv(64)
    make_so(driver, RuleSet(closed(udp(5300)), openings((CLIENT, udp(5300), 60))))
    assert network.client.asks(5300, wait=PATIENCE)
    assert not network.client.asks(53, ONE)


def test_what_cannot_be_read_is_a_weakness_and_connections_tell_the_rest(
    network: Network, driver: DriverProcess, containers: Containers
) -> None:
    """A whole network is too many to write down; where a granted connection went is known."""
    known = driver.condition().weaknesses
    mapped, address = "10.77.0.9", "172.17.0.9"
    network.host.run("ip", "addr", "add", f"{mapped}/16", "dev", "br0")
    containers.one.run("ip", "addr", "add", f"{address}/16", "dev", "e0")
    network.echo(2222, space=containers.one)
    network.host.nft(
        "add rule ip nat DOCKER tcp dport 2222 counter "
        "dnat ip prefix to ip daddr map { 10.77.0.0/16 : 172.17.0.0/16 }\n"
        'add rule ip filter DOCKER oifname "docker0" tcp dport 2222 counter accept\n'
    )
    make_so(driver, RuleSet(SHUT, openings((CLIENT, tcp(2222), 60))))
    (said,) = set(driver.condition().weaknesses) - set(known)
    assert "chain DOCKER" in said.text
    assert network.stranger.lets_in(2222, address)
    assert network.client.lets_in(2222, mapped)
    driver.tidy()
    assert not network.stranger.reaches(2222, address)
    containers.unpublish()
    driver.tidy()
    assert driver.condition().weaknesses == known, "and over when it is gone"


def test_the_targets_of_before_are_put_back_and_handed_over(
    network: Network, start_driver: StartDriver, containers: Containers
) -> None:
    containers.publish(2222, ONE, 22)
    first = start_driver(use_owner=False)
    make_so(first, RuleSet(SHUT))
    for text in (
        "flush set inet bascule target4",
        'add element inet bascule inside { "br0" }',
        "flush chain inet bascule routed",
        "flush ruleset",
    ):
        network.host.nft(text + "\n")
        if text == "flush ruleset":
            containers.translate("ip")
            network.host.nft(f"add rule ip nat DOCKER tcp dport 2222 dnat to {ONE}:22\n")
        first.tidy()
        make_so(first, RuleSet(SHUT))
        assert not network.stranger.reaches(22, ONE), text
        assert first.observe().is_intact
    first.kill()
    second = start_driver()
    second.observe()
    second.take_over(lambda: None)
    assert not network.stranger.reaches(22, ONE)
    make_so(second, RuleSet(SHUT))
    assert not network.stranger.reaches(22, ONE)
    assert second.observe().is_intact
