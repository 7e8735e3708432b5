"""Connections that exist: kept, killed at the lease's end, cut on revoke, or adopted."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Collection, Iterator, Sequence

import pytest

from bascule.domain.desired import RuleSet
from bascule.domain.net import PortKey
from bascule.drivers.linux.sockets import Connection
from bascule.drivers.nftables.driver import NftablesDriver
from bascule.drivers.nftables.features import probe
from bascule.drivers.nftables.library import Context
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.network import CLIENT, HOST, HOST6, PATIENCE, STRANGER, Network, Space, is_alive
from tests.netns.rulesets import SHORT, closed, cuts, make_so, openings, tcp

MINUTE = 60.0


def test_a_keep_session_outlives_its_opening_and_a_kill_session_does_not(
    network: Network, driver: DriverProcess
) -> None:
    """The kernel alone ends the second: the driver's process is dead by then."""
    network.echo(22, 23)
    given = openings((CLIENT, tcp(22), 6), (CLIENT, tcp(23), 6), ("*", tcp(24), 6))
    make_so(driver, RuleSet(closed(tcp(22), tcp(24), kill=[tcp(23)]), given))
    began = time.monotonic()
    kept, killed = network.session(network.client, 22), network.session(network.client, 23)
    driver.kill()
    time.sleep(max(0.0, began + 1.5 - time.monotonic()))
    assert is_alive(kept, PATIENCE)
    assert is_alive(killed, PATIENCE)
    time.sleep(max(0.0, began + 6.1 - time.monotonic()))
    assert is_alive(kept, PATIENCE)
    killed.sendall(b"x")
    with pytest.raises(ConnectionResetError):  # by a reset at once, not by silence
        killed.recv(8)
    assert not network.client.reaches(22)


def test_a_server_that_pushes_is_cut_too(network: Network, driver: DriverProcess) -> None:
    """Over IPv6; its socket goes by ``tidy``, since the kernel resets only the client."""
    network.echo(23)
    shut = closed(kill=[tcp(23)])
    make_so(driver, RuleSet(shut, openings(("fd77::/32", tcp(23), MINUTE))))
    session = network.session(network.client, 23, HOST6)
    assert driver.sessions([(tcp(23), "fd77::/32"), (tcp(23), "*"), (tcp(22), "*")]) == [1, 1, 0]
    make_so(driver, RuleSet(shut, openings(("fd77::/32", tcp(23), SHORT))))
    time.sleep(SHORT + 0.1)
    driver.tidy()
    assert driver.sessions([(tcp(23), "*")]) == [0]
    assert not is_alive(session)


def test_the_same_source_port_is_judged_anew(network: Network, driver: DriverProcess) -> None:
    """EDGES A1: after the server's RST conntrack still calls a bare SYN established."""
    network.echo(22)
    make_so(driver, RuleSet(closed(tcp(22)), openings((CLIENT, tcp(22), MINUTE))))
    session = network.session(network.client, 22, source_port=40022)
    make_so(driver, RuleSet(closed(tcp(22)), openings((CLIENT, tcp(22), SHORT))))
    time.sleep(SHORT + 0.1)
    assert is_alive(session, PATIENCE)
    _be_reset(session)
    for _ in range(4):
        assert network.client.connect(22, source_port=40022, wait=0.25) is None


def test_a_cut_ends_what_a_revoked_opening_admitted(
    network: Network, driver: DriverProcess
) -> None:
    network.echo(22, 2200)
    shut = closed(tcp(22))
    given = openings((CLIENT, tcp(22), MINUTE), (STRANGER, tcp(22), MINUTE))
    make_so(driver, RuleSet(shut, given))
    cut = network.session(network.client, 22)
    others = network.session(network.client, 2200), network.session(network.stranger, 22)
    make_so(driver, RuleSet(shut, openings((STRANGER, tcp(22), MINUTE))))
    assert is_alive(cut, PATIENCE), "a plain revoke leaves the session"
    ended = cuts((CLIENT, tcp(22), 120))
    make_so(driver, RuleSet(shut, openings((STRANGER, tcp(22), MINUTE)), ended))
    driver.tidy()
    assert driver.sessions([(tcp(22), CLIENT), (tcp(22), STRANGER)]) == [0, 1]
    assert not is_alive(cut)
    assert all(is_alive(each, PATIENCE) for each in others)


@pytest.mark.parametrize("source", ["10.77.0.0/24", "*"])
def test_a_cut_of_a_prefix_spares_whom_another_opening_admits(
    network: Network, driver: DriverProcess, source: str
) -> None:
    """By the kernel alone: nothing is tidied here."""
    network.echo(22)
    shut = closed(tcp(22))
    bob = openings((STRANGER, tcp(22), MINUTE))
    make_so(driver, RuleSet(shut, {**openings((source, tcp(22), MINUTE)), **bob}))
    cut, spared = network.session(network.client, 22), network.session(network.stranger, 22)
    make_so(driver, RuleSet(shut, bob, cuts((source, tcp(22), 120))))
    assert not is_alive(cut)
    assert is_alive(spared, PATIENCE)


def test_a_handshake_begun_in_an_opening_is_not_finished_after_a_cut(
    network: Network, driver: DriverProcess
) -> None:
    """EDGES A24: the half-open connection is destroyed with the others."""
    network.echo(22)
    shut = closed(tcp(22))
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), MINUTE))))
    with half_open(network.client, 22):
        deadline = time.monotonic() + PATIENCE
        while not _half_open_sockets(network) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert _half_open_sockets(network) == 1
        make_so(driver, RuleSet(shut, {}, cuts((CLIENT, tcp(22), 120))))
        driver.tidy()
        assert _half_open_sockets(network) == 0


def test_old_connections_are_adopted_by_exact_tuple(
    network: Network, driver: DriverProcess
) -> None:
    """EDGES A3: made before conntrack ran, they live on; nobody new gets in with them."""
    network.echo(22, 23)
    network.echo(22, space=network.inner)
    network.publish(8022, 22)
    old = [
        network.session(network.stranger, port, address)
        for port, address in ((22, HOST), (22, HOST6), (23, HOST), (23, HOST6), (8022, HOST))
    ]
    ending = network.session(network.stranger, 22, source_port=40033)
    shut = closed(tcp(22), kill=[tcp(23), tcp(8022)])
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(23), MINUTE))))
    _be_reset(ending)
    granted = network.session(network.client, 23)
    assert all(is_alive(each, PATIENCE) for each in old)
    for port in (22, 23, 8022):
        assert not network.stranger.reaches(port)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(23), SHORT))))
    time.sleep(SHORT + 0.1)
    driver.tidy()
    assert not is_alive(granted), "a granted session beside adopted ones ends on time"
    assert all(is_alive(each, PATIENCE) for each in old)
    for _ in range(4):  # the first may find its source port still in use
        made = network.stranger.connect(22, source_port=40033, wait=0.25)
        assert made is None, "adoption admits no SYN"


def test_adoption_is_renewed_on_keep_ports_alone(network: Network, driver: DriverProcess) -> None:
    """The window is shortened by hand (unowned table), so that ten minutes pass in a second."""
    driver.close()
    driver = DriverProcess(network.host.name, use_owner=False)
    with contextlib.closing(driver):
        network.echo(22, 23)
        keep, kill = network.session(network.stranger, 22), network.session(network.stranger, 23)
        make_so(driver, RuleSet(closed(tcp(22), kill=[tcp(23)])))
        lines = ""
        for session, port, left in ((keep, 22, 30), (kill, 23, 1)):
            element = f"adopted4 {{ {STRANGER} . {session.getsockname()[1]} . {port}"
            lines += (
                f"delete element inet bascule {element} }}\n"
                f"add element inet bascule {element} timeout {left}s }}\n"
            )
        network.host.nft(lines)
        driver.tidy()
        assert 480 < _expires(network, "adopted4", 22) <= 600
        time.sleep(1.1)
        driver.tidy()
        assert is_alive(keep, PATIENCE)
        assert not is_alive(kill)
        assert driver.sessions([(tcp(22), "*"), (tcp(23), "*")]) == [1, 0]


def test_a_cut_lasts_for_as_long_as_a_published_session_does(
    network: Network, driver: DriverProcess
) -> None:
    """EDGES A24: behind a published port no socket here can be destroyed, and a session that is
    silent past the cut's two minutes must find it still there. Shortened as above."""
    driver.close()
    driver = DriverProcess(network.host.name, use_owner=False)
    with contextlib.closing(driver):
        network.echo(22, space=network.inner)
        network.publish(8022, 22)
        shut = closed(tcp(8022))
        make_so(driver, RuleSet(shut, openings((CLIENT, tcp(8022), MINUTE))))
        silent = network.session(network.client, 8022)
        make_so(driver, RuleSet(shut, {}, cuts((CLIENT, tcp(8022), 120))))
        element = f"ended4 {{ {CLIENT} . tcp . 8022"
        network.host.nft(
            f"delete element inet bascule {element} }}\n"
            f"add element inet bascule {element} timeout 20s }}\n"
        )
        driver.tidy()
        assert 110 < _expires(network, "ended4", 8022) <= 120
        assert not is_alive(silent)


class MeetsAGuest(NftablesDriver):
    """Finds nobody at its first look; somebody is let in before its second."""

    def __init__(self, network: Network) -> None:
        context = Context()
        super().__init__(context, probe(context))
        self._network = network
        self.guest: socket.socket | None = None
        self._has_looked = False

    def _existing(self, ports: Collection[PortKey]) -> Sequence[Connection]:
        if self._has_looked and self.guest is None:
            self.guest = self._network.session(self._network.client, 23)
        self._has_looked = True
        return super()._existing(ports)


def test_who_is_let_in_while_a_port_is_shut_is_not_adopted(network: Network) -> None:
    """EDGES A3: the second look, after the load, finds what an opening of that load admitted."""
    network.echo(23)

    def shut() -> socket.socket:
        driver = MeetsAGuest(network)
        with contextlib.closing(driver):
            shut = closed(kill=[tcp(23)])
            make_so(driver, RuleSet(shut, openings((CLIENT, tcp(23), MINUTE))))
            assert driver.guest is not None
            assert is_alive(driver.guest, PATIENCE)
            make_so(driver, RuleSet(shut, openings((CLIENT, tcp(23), SHORT))))
        return driver.guest

    guest = network.host.inside(shut)
    time.sleep(SHORT + 0.1)
    assert not is_alive(guest)


@pytest.mark.parametrize("left", [1, 0], ids=["it has time left", "it ended meanwhile"])
def test_a_rebuild_does_not_adopt_what_a_lease_admitted(
    network: Network, start_driver: StartDriver, left: int
) -> None:
    network.echo(23)
    shut = closed(kill=[tcp(23)])
    first = start_driver()
    make_so(first, RuleSet(shut, openings((CLIENT, tcp(23), MINUTE))))
    session = network.session(network.client, 23)
    first.kill()
    second = start_driver()
    assert not second.observe().is_intact, "another process's rules are loaded anew"
    make_so(second, RuleSet(shut, openings((CLIENT, tcp(23), left)) if left else {}))
    time.sleep(left + 0.1)
    assert not is_alive(session)


def test_what_a_lease_admitted_ends_when_its_port_comes_to_be_a_kill_port(
    network: Network, start_driver: StartDriver
) -> None:
    """A rebuild in between has not made an old acquaintance of it."""
    network.echo(22)
    keep, kill = closed(tcp(22)), closed(kill=[tcp(22)])
    first = start_driver()
    make_so(first, RuleSet(keep, openings((CLIENT, tcp(22), MINUTE))))
    session = network.session(network.client, 22)
    first.kill()
    second = start_driver()
    make_so(second, RuleSet(keep, {}))
    assert is_alive(session, PATIENCE), "on a keep port it lives on"
    make_so(second, RuleSet(kill, {}))
    assert not is_alive(session)


@pytest.mark.parametrize("address", [HOST, HOST6])
def test_the_hosts_own_connections_to_a_kill_port_live_on(
    network: Network, driver: DriverProcess, address: str
) -> None:
    """By its address on the link as well: they pass over loopback and nobody granted them."""
    network.echo(23)
    before = network.session(network.host, 23, address)
    make_so(driver, RuleSet(closed(kill=[tcp(23)])))
    after = network.session(network.host, 23, address)
    driver.tidy()
    assert is_alive(before, PATIENCE)
    assert is_alive(after, PATIENCE)
    assert driver.sessions([(tcp(23), "*")]) == [0], "and are nobody's sessions"
    assert not network.stranger.reaches(23, address)


@pytest.mark.parametrize("is_kill", [True, False], ids=["kill", "keep"])
def test_who_came_while_a_port_was_released_is_there_first_when_it_is_closed_anew(
    network: Network, driver: DriverProcess, *, is_kill: bool
) -> None:
    """A released port is nobody's to close: whoever came then is an old acquaintance, whom
    no cut of a grant ends."""
    network.echo(23)
    shut = closed(kill=[tcp(23)]) if is_kill else closed(tcp(23))
    make_so(driver, RuleSet(shut))
    driver.tidy()
    assert not network.stranger.reaches(23)
    make_so(driver, RuleSet())
    session = network.session(network.stranger, 23)
    make_so(driver, RuleSet(shut))
    driver.tidy()
    assert is_alive(session, PATIENCE)
    make_so(driver, RuleSet(shut, {}, cuts((STRANGER, tcp(23), 120))))
    driver.tidy()
    assert is_alive(session, PATIENCE)
    assert not network.stranger.reaches(23)


def test_whom_a_release_let_go_is_not_adopted_as_of_before_it(
    network: Network, driver: DriverProcess
) -> None:
    """An adoption ends with the closing that it is of: a lease's connection from the same port
    of the same host is the lease's."""
    network.echo(23)
    shut = closed(kill=[tcp(23)])
    old = network.session(network.client, 23, source_port=40023)
    make_so(driver, RuleSet(shut))
    driver.tidy()
    assert is_alive(old, PATIENCE)
    make_so(driver, RuleSet())
    _be_reset(old)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(23), MINUTE))))
    leased = network.session(network.client, 23, source_port=40023)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(23), SHORT))))
    time.sleep(SHORT + 0.1)
    driver.tidy()
    assert not is_alive(leased)


def _be_reset(session: socket.socket) -> None:
    """Have the other side reset this connection."""
    session.settimeout(PATIENCE)
    session.sendall(b"reset")
    with pytest.raises(ConnectionResetError):
        session.recv(8)
    session.close()


@contextlib.contextmanager
def half_open(space: Space, port: int) -> Iterator[None]:
    """Send a lone SYN from a raw socket; the answer is thrown away and never acknowledged."""
    space.nft(
        "table ip quiet {\nchain out {\ntype filter hook output priority 0;\n"
        f"tcp dport {port} tcp flags & (rst | ack) != 0 drop\n}}\n}}\n"
    )
    with space.inside(
        lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    ) as raw:
        raw.sendto(_syn(port), (HOST, 0))
        yield
    space.nft("delete table ip quiet\n")


def _syn(port: int) -> bytes:
    head = struct.pack(">HHIIBBHHH", 40099, port, 1, 0, 5 << 4, 0x02, 1024, 0, 0)
    addresses = socket.inet_aton(CLIENT) + socket.inet_aton(HOST)
    pseudo = addresses + struct.pack(">BBH", 0, socket.IPPROTO_TCP, len(head)) + head
    total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:16] + struct.pack(">H", ~total & 0xFFFF) + head[18:]


def _half_open_sockets(network: Network) -> int:
    return len(network.host.run("ss", "-Htn", "state", "syn-recv").splitlines())


def _expires(network: Network, name: str, port: int) -> int:
    """Seconds that are left of the element for that port in the set of that name."""
    listed = network.host.run("nft", "-j", "list", "set", "inet", "bascule", name)
    (found,) = (each["set"] for each in json.loads(listed)["nftables"] if "set" in each)
    (left,) = (
        each["elem"]["expires"] for each in found["elem"] if port in each["elem"]["val"]["concat"]
    )
    return int(left)
