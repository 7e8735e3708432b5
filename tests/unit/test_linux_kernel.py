"""The kernel's answers to the drivers' questions, on loopback; and netlink's bytes."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest

from bascule.drivers.linux import facts, netlink, sockets
from bascule.drivers.linux.addresses import local_addresses
from bascule.drivers.linux.sockets import Connection, State, destroy, local_connections

pytestmark = pytest.mark.sockets


@pytest.mark.parametrize(
    ("family", "address", "seen"),
    [
        (socket.AF_INET, "127.0.0.1", IPv4Address("127.0.0.1")),
        (socket.AF_INET6, "::1", IPv6Address("::1")),
        (socket.AF_INET, "mapped", IPv4Address("127.0.0.1")),
    ],
)
@pytest.mark.parametrize("number_of_ports", [1, 20])
def test_a_connection_is_listed_by_its_local_port(
    family: socket.AddressFamily, address: str, seen: object, number_of_ports: int
) -> None:
    """Both ways of asking: filtered by the kernel, and all of them. Dual-stack shows IPv4."""
    listening = socket.AF_INET6 if address == "mapped" else family
    with socket.socket(listening) as server, socket.socket(family) as client:
        if address == "mapped":
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::" if address == "mapped" else address, 0))
        server.listen()
        port = server.getsockname()[1]
        ports = [port, *range(1, number_of_ports)]
        assert local_connections(ports) == [], "a listener is no connection"
        client.connect(("127.0.0.1" if address == "mapped" else address, port))
        accepted, _ = server.accept()
        with accepted:
            (found,) = local_connections(ports)
            assert found.source == seen
            assert (found.source_port, found.port) == (client.getsockname()[1], port)
            assert found.state == State.ESTABLISHED
            assert found in local_connections()
    assert local_connections([]) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: destroying sockets")
def test_a_destroyed_connection_is_over_at_both_ends() -> None:
    if not sockets.can_destroy():
        pytest.skip("this kernel cannot destroy sockets")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        port = server.getsockname()[1]
        client.connect(("127.0.0.1", port))
        accepted, _ = server.accept()
        with accepted:
            found = local_connections([port])
            assert destroy(found) == 1
            with pytest.raises(ConnectionError):
                accepted.recv(1)
            with pytest.raises(ConnectionError):
                client.recv(1)
            assert destroy(found) == 0, "one that is gone is no error"
    assert destroy([]) == 0


def test_what_the_kernel_refuses_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "request", lambda *_: [1])
    nobody = Connection(IPv4Address("192.0.2.1"), 1, IPv4Address("192.0.2.2"), 2, 1, 2, b"x")
    with pytest.raises(OSError, match="destroyed"):
        destroy([nobody])
    assert not sockets.can_destroy()


def test_loopback_is_an_address_of_ours() -> None:
    assert IPv4Address("127.0.0.1") in local_addresses()
    assert IPv4Address("192.0.2.1") not in local_addresses()


def test_facts() -> None:
    first, last = facts.local_port_range() or (0, 0)
    assert 1 <= first <= last <= 65535
    assert facts.kernel_version().split(".")[0].isdigit()
    assert facts.nft_version()


def test_facts_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr("bascule.drivers.linux.facts._PORT_RANGE", tmp_path)
    assert facts.local_port_range() is None
    monkeypatch.setattr("bascule.drivers.linux.facts._SBIN", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert facts.nft_version() == facts.UNKNOWN


def test_attributes_there_and_back() -> None:
    data = netlink.attribute(1, b"abc") + netlink.attribute(2 | netlink.NESTED, b"") + b"\1"
    assert list(netlink.attributes(data)) == [(1, b"abc"), (2, b"")]


@pytest.mark.parametrize("length", [0, 3, 9])
def test_an_attribute_that_does_not_fit_ends_the_reading(length: int) -> None:
    good = netlink.attribute(1, b"abcd")
    assert list(netlink.attributes(good + struct.pack("=HHI", length, 2, 0))) == [(1, b"abcd")]


def test_an_error_of_the_kernel_is_an_oserror() -> None:
    with pytest.raises(OSError) as caught:  # reason: its number is asserted
        netlink.dump(4, 20, b"\xff" * 56)  # SOCK_DIAG_BY_FAMILY of no family
    assert caught.value.errno
