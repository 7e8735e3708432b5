"""Closed ports and openings on real packets: who gets in, until when, and who does not."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from bascule.domain.desired import RuleSet
from tests.netns.driver_process import DriverProcess
from tests.netns.network import (
    BROADCAST,
    CLIENT,
    CLIENT6,
    HOST,
    HOST6,
    PATIENCE,
    STRANGER,
    Network,
    is_alive,
)
from tests.netns.rulesets import KILL, SHORT, closed, make_so, openings, tcp, udp


def test_a_closed_port_is_shut_and_the_others_are_not(
    network: Network, driver: DriverProcess
) -> None:
    network.echo(22, 2200)
    make_so(driver, RuleSet(closed(tcp(22))))
    for space in (network.client, network.stranger):
        assert not space.reaches(22)
        assert not space.reaches(22, HOST6)
        assert space.lets_in(2200)
        assert space.lets_in(2200, HOST6)
    assert network.host.lets_in(22, "127.0.0.1"), "loopback is never touched"
    assert network.host.lets_in(22, HOST), "nor is the host's way to itself"


@pytest.mark.parametrize(
    ("source", "address", "lets_stranger_in"),
    [
        (CLIENT, HOST, False),
        (CLIENT6, HOST6, False),
        ("10.77.0.0/24", HOST, False),
        ("10.77.0.0/16", HOST, True),
        ("fd77:0:1::/64", HOST6, False),
        ("fd77::/32", HOST6, True),
        ("*", HOST, True),
        ("*", HOST6, True),
        ("0.0.0.0/0", HOST, True),
        ("::/0", HOST6, True),
        ("128.0.0.0/1", HOST, None),
        ("0.0.0.0/1", HOST, True),
    ],
)
def test_an_opening_lets_its_source_in_and_nobody_else(
    network: Network,
    driver: DriverProcess,
    source: str,
    address: str,
    lets_stranger_in: bool | None,
) -> None:
    """None: not even the client is within it."""
    network.echo(22, 23)
    make_so(driver, RuleSet(closed(tcp(22), tcp(23)), openings((source, tcp(22), 60))))
    for space, lets_in in (
        (network.client, lets_stranger_in is not None),
        (network.stranger, bool(lets_stranger_in)),
    ):
        assert space.lets_in(22, address) if lets_in else not space.reaches(22, address)
    assert not network.client.reaches(23, address), "another port stays shut"


def test_one_family_of_everybody_is_not_the_other(network: Network, driver: DriverProcess) -> None:
    network.echo(22)
    make_so(driver, RuleSet(closed(tcp(22)), openings(("::/0", tcp(22), 60))))
    assert network.client.lets_in(22, HOST6)
    assert not network.client.reaches(22, HOST)


def test_an_opening_ends_on_time_when_its_writer_is_dead(
    network: Network, driver: DriverProcess
) -> None:
    """EDGES A9: open at 4 s and shut at 8.25 s, with nobody left to shut it."""
    network.echo(22)
    before = time.monotonic()
    make_so(driver, RuleSet(closed(tcp(22)), openings((CLIENT, tcp(22), 8))))
    after = time.monotonic()
    driver.kill()
    time.sleep(max(0.0, before + 4.0 - time.monotonic()))
    assert network.client.reaches(22)
    time.sleep(max(0.0, after + 8.25 - time.monotonic()))
    assert not network.client.reaches(22)


def test_extending_shortening_and_dropping_take_effect_at_once(
    network: Network, driver: DriverProcess
) -> None:
    network.echo(22)
    shut = closed(tcp(22))
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 0.6))))
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 60))))
    time.sleep(0.8)
    assert network.client.lets_in(22)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 0.5))))
    time.sleep(0.7)
    assert not network.client.reaches(22)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 60))))
    assert network.client.lets_in(22)
    make_so(driver, RuleSet(shut))
    assert not network.client.reaches(22)


def test_overlapping_openings_end_each_for_itself(network: Network, driver: DriverProcess) -> None:
    network.echo(22)
    shut = closed(tcp(22))
    given = openings((CLIENT, tcp(22), 60), ("10.77.0.0/16", tcp(22), 60))
    make_so(driver, RuleSet(shut, given))
    assert network.stranger.lets_in(22)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 60))))
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)


def test_udp_is_looked_up_for_every_packet(network: Network, driver: DriverProcess) -> None:
    """EDGES A4: asked all through its opening, a UDP conversation still ends with it."""
    server = network.echo_udp(161)
    assert network.client.asks(161, wait=PATIENCE)
    make_so(driver, RuleSet(closed(udp(161)), openings((CLIENT, udp(161), 3))))
    began = time.monotonic()
    with network.client.udp() as talk:
        talk.settimeout(0.1)
        asked, answered = [], []
        while time.monotonic() < began + 4:
            asked.append(time.monotonic() - began)
            talk.sendto(str(len(asked)).encode(), (HOST, 161))
            try:
                answered.append(asked[int(talk.recv(64)) - 1])  # echoed late, it was let in before
            except TimeoutError:
                continue
    assert answered, "never let in"
    assert max(answered) < 3.1
    assert not network.stranger.asks(161)
    assert not network.stranger.asks(161, HOST6)
    assert server.received


def test_what_is_not_unicast_reaches_no_closed_port(
    network: Network, driver: DriverProcess
) -> None:
    """EDGES A2: ``prerouting`` alone let broadcast and multicast through."""
    server = network.echo_udp(161)
    make_so(driver, RuleSet(closed(udp(161), kill=[tcp(22)])))

    def cast(address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            scope = socket.if_nametoindex("e0")
            target = (address, 161, 0, scope) if family == socket.AF_INET6 else (address, 161)
            made.sendto(address.encode(), target)

    addresses = (BROADCAST, "255.255.255.255", "224.0.0.1", "ff02::1", "ff02::114")
    for address in addresses:
        network.stranger.inside(lambda address=address: cast(address))  # type: ignore[misc]  # reason: bound at once
    time.sleep(0.2)
    assert server.received == []
    driver.remove()
    for address in addresses:
        network.stranger.inside(lambda address=address: cast(address))  # type: ignore[misc]  # reason: bound at once
    wanted = {b"ff02::1", BROADCAST.encode()}
    deadline = time.monotonic() + PATIENCE
    while not wanted <= set(server.received) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert wanted <= set(server.received), "they do arrive when the gate is gone"


def test_a_redirect_does_not_lead_around_the_gate(network: Network, driver: DriverProcess) -> None:
    network.echo(22)
    network.redirect(2222, 22)
    assert network.stranger.lets_in(2222)
    shut = closed(tcp(22))
    make_so(driver, RuleSet(shut))
    assert not network.stranger.reaches(2222)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 60))))
    assert network.client.lets_in(2222)
    assert not network.stranger.reaches(2222)


def test_a_published_container_port_is_closed_and_opened_too(
    network: Network, driver: DriverProcess
) -> None:
    """An input hook alone never sees it: the packet is forwarded."""
    network.echo(22, space=network.inner)
    network.publish(8022, 22)
    assert network.stranger.lets_in(8022)
    shut = closed(kill=[tcp(8022)])
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(8022), 60))))
    session = network.session(network.client, 8022)
    assert not network.stranger.reaches(8022)
    assert driver.sessions([(tcp(8022), CLIENT)]) == [1]
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(8022), SHORT))))
    time.sleep(SHORT + 0.1)
    assert not is_alive(session)
    assert not network.client.reaches(8022)


def test_knocks_are_counted_by_source(network: Network, driver: DriverProcess) -> None:
    network.echo(22)
    make_so(driver, RuleSet(closed(tcp(22), udp(161))))
    assert not network.stranger.reaches(22, wait=0.2)
    assert not network.client.reaches(22, HOST6, wait=0.2)
    network.client.asks(161, wait=0.1)
    found = driver.blocked()
    seen = {(each.source, str(each.port)): each.packets for each in found}
    assert seen == {("10.77.1.3", "22/tcp"): 1, (CLIENT6, "22/tcp"): 1, (CLIENT, "161/udp"): 1}
    assert driver.observe().blocked_attempts == 3
    minutes = {round(each.remaining.total_seconds() / 60) for each in found}
    assert minutes == {10}, "and forgotten, if nothing more comes"


def test_releasing_opens_and_changing_what_happens_at_expiry_reads_back(
    network: Network, driver: DriverProcess
) -> None:
    network.echo(22)
    make_so(driver, RuleSet(closed(tcp(22))))
    make_so(driver, RuleSet(closed(kill=[tcp(22)])))
    assert {each.on_expiry for each in driver.observe().rules.closed} == {KILL}
    make_so(driver, RuleSet())
    assert network.stranger.lets_in(22)


def test_a_source_that_is_translated_on_its_way_in_is_no_grants(
    network: Network, driver: DriverProcess
) -> None:
    """At the end of ``input`` the stranger looks like the one whom a grant names."""
    network.echo(22)
    network.redirect(2222, 22)
    network.host.nft(
        "table ip inward {\nchain come {\ntype nat hook input priority srcnat;\n"
        f"ip saddr {STRANGER} tcp dport 22 snat to {CLIENT}\n}}\n}}\n"
    )
    assert network.stranger.lets_in(2222)
    make_so(driver, RuleSet(closed(tcp(22)), openings((CLIENT, tcp(22), 60))))
    assert not network.stranger.reaches(2222)
    assert network.client.lets_in(2222)


@pytest.mark.parametrize("priority", [300, 2**31 - 1])
@pytest.mark.parametrize("address", [HOST, HOST6])
def test_a_number_written_into_a_packet_later_does_not_lead_around_the_gate(
    network: Network, driver: DriverProcess, address: str, priority: int
) -> None:
    """EDGES A2: without connection tracking, after the gate's first look in ``input``."""
    network.echo(22)
    shut = closed(tcp(22))
    make_so(driver, RuleSet(shut))
    network.rewrite(2222, 22, priority)
    assert not network.stranger.reaches(2222, address)
    make_so(driver, RuleSet(shut, openings(("*", tcp(22), 60))))
    assert network.stranger.lets_in(2222, address)


@pytest.mark.parametrize("protocol", [33, 132, 136], ids=["DCCP", "SCTP", "UDP-Lite"])
@pytest.mark.parametrize("address", [HOST, HOST6])
def test_a_closed_number_is_closed_for_every_protocol_with_ports(
    network: Network, driver: DriverProcess, protocol: int, address: str
) -> None:
    """Raw sockets get what the gate lets in, whether or not the kernel has such sockets.

    Nothing opens these: an opening is for TCP or UDP.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = CLIENT6 if ":" in address else CLIENT
    given = openings((source, tcp(22), 60), (source, udp(161), 60))
    make_so(driver, RuleSet(closed(tcp(22), udp(161), kill=[tcp(23)]), given))

    def raw() -> socket.socket:
        return socket.socket(family, socket.SOCK_RAW, protocol)

    with network.host.inside(raw) as receiver, network.client.inside(raw) as sender:
        receiver.settimeout(PATIENCE)
        for port in (22, 23, 161, 2200):
            head = struct.pack(">HHHH", 40000, port, 8, 0)
            sender.sendto(head + struct.pack(">H", port) * 8, (address, 0))
        assert receiver.recv(256)[-2:] == struct.pack(">H", 2200), "the open number's alone"
    assert driver.observe().blocked_attempts == 3


def test_loopback_is_known_by_what_it_is_and_not_by_its_name(
    network: Network, driver: DriverProcess
) -> None:
    """Root renamed ``lo`` and gave its name to the interface of everybody else."""
    network.echo(22)
    for line in ("lo down", "lo name self", "self up", "br0 down", "br0 name lo", "lo up"):
        network.host.run("ip", "link", "set", *line.split())
    network.host.run("ip", "addr", "replace", f"{HOST}/16", "brd", "+", "dev", "lo")
    assert network.stranger.lets_in(22)
    make_so(driver, RuleSet(closed(tcp(22))))
    assert not network.stranger.reaches(22)
    assert network.host.lets_in(22, "127.0.0.1")
