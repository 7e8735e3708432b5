"""Sockets to listen on: ours, handed over, or not to be had."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bascule.api.listening import address_of, bind_to, listen, take_over
from bascule.errors import ConfigurationError
from tests.support.own import free_port


def test_both_families_on_one_port() -> None:
    port = free_port()
    (first,) = bind_to([("127.0.0.1", port)])
    (second,) = bind_to([("::1", port)])
    assert (address_of(first), address_of(second)) == (("127.0.0.1", port), ("::1", port))
    first.close()
    second.close()


def test_nobody_is_connected_before_it_listens() -> None:
    """Else a caller would wait on a server that may yet refuse to start."""
    (bound,) = bind_to([("127.0.0.1", 0)])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address_of(bound), 5)
    listen([bound])
    socket.create_connection(address_of(bound), 5).close()
    bound.close()


def test_who_listens_first_has_it() -> None:
    port = free_port()
    (first,), (second,) = bind_to([("127.0.0.1", port)]), bind_to([("127.0.0.1", port)])
    listen([first])
    with pytest.raises(ConfigurationError, match="in use"):
        listen([second])
    first.close()
    second.close()


def test_a_port_in_use_is_named_and_what_was_had_before_is_given_back() -> None:
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"Port {port} on 127\.0\.0\.1 is in use"):
            bind_to([("127.0.0.1", free), ("127.0.0.1", port)])
        (again,) = bind_to([("127.0.0.1", free)])
        again.close()


def test_an_address_that_is_not_here_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"no address 192\.0\.2\.1 "):
        bind_to([("192.0.2.1", 8443)])


FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="another account is needed beside this one")
def test_a_port_that_takes_a_capability_is_told_with_the_ways_to_it() -> None:
    if int(FIRST_FREE.read_text()) <= 443:
        pytest.skip("here every account may listen on 443")
    os.seteuid(65_534)
    try:
        with pytest.raises(ConfigurationError, match="Port 443") as refused:
            bind_to([("127.0.0.1", 443)])
    finally:
        os.seteuid(0)
    assert "CAP_NET_BIND_SERVICE" in refused.value.advice
    assert "--listen" in refused.value.advice


def test_a_bound_socket_that_was_handed_over_listens() -> None:
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        take_over([passed])
        socket.create_connection(passed.getsockname(), 5).close()


@pytest.mark.parametrize(
    ("family", "kind"),
    [(socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM)],
)
def test_what_is_no_tcp_socket_is_refused(family: int, kind: int) -> None:
    with socket.socket(family, kind) as passed, pytest.raises(ConfigurationError, match="TCP"):
        take_over([passed])
