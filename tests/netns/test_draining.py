"""EDGES J14: connections that may stay beyond their opening, on real packets; the kernel ends them."""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.behind import behind
from bascule.domain.desired import RuleSet
from bascule.domain.net import PortKey, PublicPort
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.gateway import APP, APP6, Gateway, at
from tests.netns.network import (
    CLIENT,
    CLIENT6,
    HOST,
    HOST6,
    PATIENCE,
    STRANGER,
    Network,
    is_alive,
)
from tests.netns.rulesets import closed, make_so, openings, tcp
from tests.netns.rulesets import cuts as timed

MINUTE = 60.0
SSH = tcp(22)
CLOSED = closed(kill=[SSH])
FAMILIES = pytest.mark.parametrize(
    ("source", "host"), [(CLIENT, HOST), (CLIENT6, HOST6)], ids=["IPv4", "IPv6"]
)


def leased(
    source: str, seconds: float, stay: float, port: PortKey = SSH, on: PortKey | None = None
) -> RuleSet:
    """An opening, and beside it until when its connections may stay."""
    shut = closed(kill=[on or port])
    given = openings((source, port, seconds)) if seconds else {}
    return RuleSet(shut, given, drains=timed((source, port, stay)) if stay else {})


def assert_reset(session: socket.socket) -> None:
    """By a reset at once, not by silence."""
    session.settimeout(PATIENCE)
    session.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        session.recv(8)


def until(began: float, seconds: float) -> None:
    time.sleep(max(0.0, began + seconds - time.monotonic()))


@FAMILIES
def test_it_stays_for_its_time_and_is_cut_by_the_kernel_alone(
    network: Network, driver: DriverProcess, source: str, host: str
) -> None:
    """The driver's process is dead before the opening ends; nobody new is let in meanwhile."""
    network.echo(22)
    make_so(driver, leased(source, 4, 7))
    began = time.monotonic()
    session = network.session(network.client, 22, host)
    driver.kill()
    until(began, 4.3)
    assert not network.client.reaches(22, host)
    assert is_alive(session, PATIENCE)
    assert not network.stranger.reaches(22, host)
    until(began, 7.2)
    assert_reset(session)
    assert not network.client.reaches(22, host)


def test_a_prefix_and_everybody(network: Network, driver: DriverProcess) -> None:
    network.echo(22)
    for source in ("10.77.0.0/24", "*"):
        make_so(driver, leased(source, MINUTE, MINUTE))
        session = network.session(network.client, 22)
        make_so(driver, leased(source, 0, MINUTE))
        assert is_alive(session, PATIENCE)
        assert not network.client.reaches(22)
        make_so(driver, leased(source, 0, 0))
        assert_reset(session)


def test_another_source_does_not_stay(network: Network, driver: DriverProcess) -> None:
    network.echo(22)
    given = openings((CLIENT, SSH, MINUTE), (STRANGER, SSH, MINUTE))
    stays = timed((CLIENT, SSH, MINUTE))
    make_so(driver, RuleSet(CLOSED, given, drains=stays))
    mine, other = network.session(network.client, 22), network.session(network.stranger, 22)
    make_so(driver, RuleSet(CLOSED, drains=stays))
    assert_reset(other)
    assert is_alive(mine, PATIENCE)


def test_a_cut_ends_who_may_stay(network: Network, driver: DriverProcess) -> None:
    """In the kernel, and the sockets of the host: tidied, none is left."""
    network.echo(22)
    make_so(driver, leased(CLIENT, MINUTE, MINUTE))
    session, other = (network.session(network.client, 22) for _ in range(2))
    stays = timed((CLIENT, SSH, MINUTE))
    make_so(driver, RuleSet(CLOSED, {}, timed((CLIENT, SSH, 120)), stays))
    assert_reset(session)
    driver.tidy()
    assert driver.sessions([(SSH, CLIENT)]) == [0]
    assert not is_alive(other)


def test_tidying_spares_who_may_stay_and_ends_them_after(
    network: Network, driver: DriverProcess
) -> None:
    network.echo(22)
    make_so(driver, leased(CLIENT, MINUTE, MINUTE))
    session = network.session(network.client, 22)
    make_so(driver, leased(CLIENT, 0, MINUTE))
    driver.tidy()
    assert is_alive(session, PATIENCE)
    assert driver.sessions([(SSH, CLIENT)]) == [1]
    make_so(driver, leased(CLIENT, 0, 0))
    driver.tidy()
    assert driver.sessions([(SSH, CLIENT)]) == [0]


def test_the_same_source_port_comes_in_no_more(network: Network, driver: DriverProcess) -> None:
    """EDGES A1: conntrack still calls a bare SYN of a draining connection established."""
    network.echo(22)
    make_so(driver, leased(CLIENT, MINUTE, MINUTE))
    session = network.session(network.client, 22, source_port=40022)
    make_so(driver, leased(CLIENT, 0, MINUTE))
    session.settimeout(PATIENCE)
    session.sendall(b"reset")  # by the other side
    with pytest.raises(ConnectionResetError):
        session.recv(8)
    session.close()
    for _ in range(4):
        assert network.client.connect(22, source_port=40022, wait=0.25) is None


def test_an_element_without_a_time_ends_within_a_second(
    network: Network, driver: DriverProcess
) -> None:
    network.echo(22)
    make_so(driver, leased(CLIENT, MINUTE, MINUTE))
    session = network.session(network.client, 22)
    driver.kill()
    network.host.run("nft", "flush", "set", "inet", "bascule", "g4")
    network.host.run("nft", "flush", "set", "inet", "bascule", "drain4")
    network.host.run(
        "nft", "add", "element", "inet", "bascule", "drain4", f"{{ {CLIENT} . tcp . 22 }}"
    )
    time.sleep(1.3)
    assert_reset(session)


def test_a_flush_and_another_agent_leave_it_its_time(
    network: Network, driver: DriverProcess, start_driver: StartDriver
) -> None:
    """What another program takes away is put back; the next agent takes the table over with it."""
    network.echo(22)
    make_so(driver, leased(CLIENT, MINUTE, MINUTE))
    session = network.session(network.client, 22)
    driver.kill()
    following = start_driver()
    desired = leased(CLIENT, 0, MINUTE)
    make_so(following, desired)
    assert is_alive(session, PATIENCE)
    assert not network.client.reaches(22)
    assert following.observe().rules.drains.keys() == desired.drains.keys()


def test_time_is_set_anew_in_either_direction(network: Network, driver: DriverProcess) -> None:
    for seconds in (60.0, 120.0, 30.0):
        make_so(driver, leased(CLIENT, 0, seconds))
        (remaining,) = driver.observe().rules.drains.values()
        assert timedelta(seconds=seconds - 5) < remaining <= timedelta(seconds=seconds)


@pytest.mark.parametrize(("source", "app"), [(CLIENT, APP), (CLIENT6, APP6)], ids=["IPv4", "IPv6"])
def test_through_a_gateway(network: Network, driver: DriverProcess, source: str, app: str) -> None:
    """By the kernel alone, as on a host."""
    gateway = Gateway(network)
    network.echo(22, space=gateway.app)
    make_so(driver, leased(source, 4, 7, at(app, SSH)))
    began = time.monotonic()
    session = network.session(network.client, 22, app)
    driver.kill()
    until(began, 4.3)
    assert not network.client.reaches(22, app)
    assert is_alive(session, PATIENCE)
    until(began, 7.2)
    assert_reset(session)


@pytest.mark.parametrize(
    ("source", "app", "host"), [(CLIENT, APP, HOST), (CLIENT6, APP6, HOST6)], ids=["IPv4", "IPv6"]
)
def test_through_a_public_port(
    network: Network, driver: DriverProcess, source: str, app: str, host: str
) -> None:
    """The client is reset by the address that it knows."""
    gateway = Gateway(network)
    network.echo(22, space=gateway.app)
    mapped = {SSH: (PublicPort(ip_address(host), 2222),)}
    rules = behind(leased(source, 4, 7), (ip_address(app),), (), mapped)
    make_so(driver, rules)
    began = time.monotonic()
    session = network.session(network.client, 2222, host)
    driver.kill()
    until(began, 4.3)
    assert not network.client.reaches(2222, host)
    assert is_alive(session, PATIENCE)
    until(began, 7.2)
    assert_reset(session)
