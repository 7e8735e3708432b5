"""EDGES G1, G5, G6: public ports of a gateway that stand for ports of machines behind it.

A grant leads its sources alone, for its time, to one port of one machine; the machine sees them as
they are, and the kernel ends it.
"""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from bascule.domain.behind import united
from bascule.domain.desired import RuleSet
from bascule.domain.net import PortKey, PortMapped, PublicPort
from bascule.domain.plan import Observed
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.gateway import APP, APP6, SQL, Gateway, at, public, through
from tests.netns.network import (
    CLIENT,
    CLIENT6,
    HOST,
    HOST6,
    PATIENCE,
    STRANGER,
    STRANGER6,
    EchoServer,
    Network,
    hammering,
    is_alive,
)
from tests.netns.packets import FLAGS, Tap, in_fragments, packet, send, tcp_segment
from tests.netns.rulesets import SHORT, closed, cuts, make_so, openings, tcp, udp

MINUTE = 60.0
OTHER = "10.77.5.1"  # a second public address of the gateway
FAMILIES = pytest.mark.parametrize(
    ("source", "host", "app"), [(CLIENT, HOST, APP), (CLIENT6, HOST6, APP6)], ids=["IPv4", "IPv6"]
)
KINDS = pytest.mark.parametrize("is_kill", [False, True], ids=["keep", "kill"])


@pytest.fixture
def gateway(network: Network) -> Gateway:
    made = Gateway(network)
    network.echo(22, 23, space=made.app)
    network.host.run("ip", "addr", "add", f"{OTHER}/32", "dev", "br0")
    return made


PLACE, SSH = public(2222), tcp(22)


def of_app(
    *given: tuple[str, float],
    at: PublicPort | tuple[PublicPort, ...] = PLACE,
    own: PortKey = SSH,
    is_kill: bool = False,
    to: str = "",
) -> RuleSet:
    """app's port, closed, with a public port; who may come in by it, and for how many seconds."""
    shut = closed(kill=[own]) if is_kill else closed(own)
    rules = RuleSet(shut, openings(*((source, own, seconds) for source, seconds in given)))
    places = at if isinstance(at, tuple) else (at,)
    return through(rules, {own: places}, *([to] if to else []))


def both(*parts: RuleSet) -> RuleSet:
    return united(parts)


# -- whom it leads on --------------------------------------------------------------------------


@FAMILIES
def test_a_public_port_leads_the_source_of_a_grant_to_one_port_of_one_machine(
    network: Network, driver: DriverProcess, gateway: Gateway, source: str, host: str, app: str
) -> None:
    """Not another source, from another address of the gateway, by the ports beside it, or by UDP."""
    network.echo(22, space=gateway.sql)
    network.keep(EchoServer(gateway.app, 22, socket.SOCK_DGRAM))
    network.echo(2223)
    make_so(driver, of_app((source, MINUTE), at=(public(2222, host),)))
    assert network.client.lets_in(2222, host)
    assert network.client.lets_in(22, app), "the grant is for the machine's port"
    assert not network.stranger.reaches(2222, host)
    assert not network.stranger.reaches(22, app)
    for number in (2221, 2224):
        assert not network.client.reaches(number, host)
    for space in (network.client, network.stranger):
        assert space.lets_in(2223, host), "what is the gateway's own passes as before"
    assert not network.client.reaches(2222, OTHER)
    assert not network.client.asks(2222, host)
    assert not network.client.reaches(2222, app)


@FAMILIES
def test_the_machine_sees_the_true_client(
    network: Network, driver: DriverProcess, gateway: Gateway, source: str, host: str, app: str
) -> None:
    """And the client hears from the address to which it spoke."""
    listener = network.keep(
        gateway.app.inside(lambda: socket.create_server((app, 25), family=_family(app)))
    )
    make_so(driver, of_app((source, MINUTE), at=(public(2525, host),), own=tcp(25)))
    client = network.client.connect(2525, host, wait=PATIENCE)
    assert client is not None
    network.keep(client)
    machine, peer = listener.accept()
    network.keep(machine)
    assert peer[0] == source
    machine.sendall(b"hello")
    client.settimeout(PATIENCE)
    assert client.recv(8) == b"hello"
    assert client.getpeername()[0] == host


def test_each_public_address_leads_where_its_own_port_does(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """One port of two machines, at two addresses; and one machine's at both."""
    network.echo(22, space=gateway.sql)
    rules = both(
        of_app((CLIENT, MINUTE), at=(public(2222), public(2300, OTHER)), to=APP),
        of_app((CLIENT, MINUTE), at=(public(2222, OTHER),), to=SQL),
    )
    make_so(driver, rules)
    for number, host, machine in ((2222, HOST, APP), (2300, OTHER, APP), (2222, OTHER, SQL)):
        assert _led_to(network, number, host) == machine
        assert not network.stranger.reaches(number, host)
    assert not network.client.reaches(2300, HOST)


@pytest.mark.parametrize(
    ("source", "lets_stranger_in"),
    [
        ("10.77.0.0/24", False),
        ("10.77.0.0/16", True),
        ("0.0.0.0/0", True),
        ("fd77:0:1::/64", False),
        ("fd77::/32", True),
        ("::/0", True),
    ],
)
def test_a_prefix_leads_those_within_it(
    network: Network, driver: DriverProcess, gateway: Gateway, source: str, lets_stranger_in: bool
) -> None:
    host, other = (HOST6, HOST) if ":" in source else (HOST, HOST6)
    make_so(driver, of_app((source, MINUTE), at=(public(2222), public(2222, HOST6))))
    assert network.client.lets_in(2222, host)
    wait = PATIENCE if lets_stranger_in else 0.3
    assert network.stranger.reaches(2222, host, wait) is lets_stranger_in
    assert not network.client.reaches(2222, other), "the other version is not opened"


def test_each_grant_of_one_port_ends_by_itself(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """Of a prefix and an address within it."""
    make_so(driver, of_app((CLIENT, MINUTE), (STRANGER, MINUTE), ("10.77.0.0/24", MINUTE)))
    assert network.stranger.lets_in(2222)
    make_so(driver, of_app(("10.77.0.0/24", MINUTE)))
    assert not network.stranger.reaches(2222)
    assert network.client.lets_in(2222)


@FAMILIES
def test_udp_is_looked_up_for_every_packet(
    network: Network, driver: DriverProcess, gateway: Gateway, source: str, host: str, app: str
) -> None:
    network.keep(EchoServer(gateway.app, 161, socket.SOCK_DGRAM))
    places = (public(2161, host),)
    make_so(driver, of_app((source, MINUTE), at=places, own=udp(161)))
    with network.client.inside(lambda: socket.socket(_family(host), socket.SOCK_DGRAM)) as client:
        client.settimeout(PATIENCE)

        def ask() -> bool:
            client.sendto(b"ask", (host, 2161))
            with contextlib.suppress(TimeoutError):
                data, sender = client.recvfrom(8)
                return (data, sender[:2]) == (b"ask", (host, 2161))
            return False

        assert ask()
        assert not network.stranger.asks(2161, host)
        assert not network.client.reaches(2161, host), "TCP is another port"
        make_so(driver, of_app(at=places, own=udp(161)))
        client.settimeout(0.3)
        assert not ask(), "the tracked flow too"


# -- nothing opens by it alone -----------------------------------------------------------------


def test_a_map_alone_opens_nothing(
    network: Network, start_driver: StartDriver, gateway: Gateway
) -> None:
    """Somebody's element without a grant, and one that leads elsewhere; both are put back."""
    network.echo(22, space=gateway.sql)
    driver = start_driver(use_owner=False)
    wanted = both(of_app((CLIENT, MINUTE), to=APP), of_app(to=SQL, at=public(2300)))
    make_so(driver, wanted)
    element = "element inet bascule mapped_to4"
    network.host.nft(
        f"add {element} {{ {STRANGER} . {HOST} . tcp . 2222 timeout 1h : {APP} . 22 }}\n"
        f"delete {element} {{ {CLIENT} . {HOST} . tcp . 2222 }}\n"
        f"add {element} {{ {CLIENT} . {HOST} . tcp . 2222 timeout 1h : {SQL} . 22 }}\n"
    )
    for space in (network.stranger, network.client):
        assert not space.reaches(2222)
    make_so(driver, wanted)
    assert network.client.lets_in(2222)
    assert not network.stranger.reaches(2222)
    assert _targets(driver.observe()) == {(CLIENT, APP, 22)}


def test_an_element_without_a_time_ends_within_a_second(
    network: Network, start_driver: StartDriver, gateway: Gateway
) -> None:
    """EDGES A7."""
    driver = start_driver(use_owner=False)
    make_so(driver, of_app())
    network.host.nft(
        f"add element inet bascule mapped_to4 {{ {CLIENT} . {HOST} . tcp . 2222 : {APP} . 22 }}\n"
        f"add element inet bascule behind_g4 {{ {CLIENT} . {APP} . tcp . 22 }}\n"
    )
    time.sleep(1.1)
    assert not network.client.reaches(2222)
    assert not network.client.reaches(22, APP)


def test_a_public_port_without_a_grant_leads_nobody_anywhere(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """Nor to what the gateway serves there later on; it is the gateway's again when it stands for
    nothing more.
    """
    make_so(driver, of_app())
    network.echo(2222)
    for space in (network.client, network.stranger, gateway.sql):
        for host in (HOST, OTHER):
            assert space.reaches(2222, host, PATIENCE if host == OTHER else 0.3) is (host == OTHER)
    make_so(driver, of_app((CLIENT, MINUTE)))
    assert _led_to(network, 2222) == APP
    assert not network.stranger.reaches(2222)
    make_so(driver, through(RuleSet(closed(tcp(22))), {}))
    assert network.stranger.lets_in(2222)
    assert not network.stranger.reaches(22, APP)


def test_another_programs_translation_takes_no_stranger_past_a_public_port(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """One that came later, of the usual priority; and one that looks before ours is judged by where
    it leads.
    """
    network.echo(80, space=gateway.app)
    make_so(driver, of_app((CLIENT, MINUTE)))
    gateway.translate(2222, 80)
    assert not network.stranger.reaches(2222)
    assert _led_to(network, 2222) == APP, "on port 22, not 80"
    network.host.nft(
        "table ip before {\nchain pre {\ntype nat hook prerouting priority dstnat - 50\n"
        f"tcp dport 2222 dnat to {APP}:22\n}}\n}}\n"
    )
    assert not network.stranger.reaches(2222)


@pytest.mark.parametrize("is_granted", [False, True])
def test_machines_behind_come_to_a_public_port_as_anybody(
    network: Network, driver: DriverProcess, gateway: Gateway, is_granted: bool
) -> None:
    make_so(driver, of_app(*([(SQL, MINUTE)] if is_granted else [(CLIENT, MINUTE)])))
    if is_granted:
        assert gateway.sql.lets_in(2222, HOST)
    else:
        assert not gateway.sql.reaches(2222, HOST)
    assert not gateway.app.reaches(2222, HOST)
    assert not network.host.reaches(2222, HOST), "the gateway itself is led nowhere"
    assert network.host.lets_in(22, APP)


@pytest.mark.parametrize("loose", ["1", "0"])
@pytest.mark.parametrize(
    ("source", "host", "app"), [(STRANGER, HOST, APP), (STRANGER6, HOST6, APP6)]
)
def test_no_packet_of_whatever_form_gets_through_a_public_port(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    source: str,
    host: str,
    app: str,
    loose: str,
) -> None:
    """To the machine, or to what the gateway itself serves there; while another is let in."""
    network.host.run("sysctl", "-q", "-w", f"net.netfilter.nf_conntrack_tcp_loose={loose}")
    client = CLIENT6 if ":" in host else CLIENT
    make_so(driver, of_app((client, MINUTE), at=(public(2222, host),)))
    network.echo(2222)
    assert network.stranger.reaches(2223, host) is False
    assert network.client.lets_in(2222, host)
    tap = network.keep(gateway.app.inside(lambda: Tap("e0", source)))
    answers = network.keep(network.stranger.inside(lambda: Tap("e0", host)))
    tap.heard()
    answers.heard()

    def all_forms() -> list[bytes]:
        found = []
        for flags in range(256):
            segment = tcp_segment(source, host, 10_000 + flags, 2222, flags)
            found += [packet(source, host, segment), packet(source, host, segment, options=True)]
        begun = tcp_segment(source, host, 9_999, 2222, FLAGS["SYN"], b"data" * 4)
        for pieces in in_fragments(source, host, begun, 2222):
            found += pieces
        return found

    network.stranger.inside(lambda: send(all_forms()))
    assert tap.heard() == []
    assert [each for each in answers.heard() if _is_tcp(each)] == []


# -- ends --------------------------------------------------------------------------------------


def test_it_ends_on_time_when_its_writer_is_dead(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """EDGES A9. Until then it leads, and a stranger is never led."""
    before = time.monotonic()
    make_so(driver, of_app((CLIENT, 5)))
    after = time.monotonic()
    driver.kill()
    with hammering(network.stranger, 2222) as strangers:
        time.sleep(max(0.0, before + 2.5 - time.monotonic()))
        assert network.client.reaches(2222)
        time.sleep(max(0.0, after + 5.25 - time.monotonic()))
        with hammering(network.client, 2222) as late:
            time.sleep(0.5)
    assert late
    assert not any(late)
    assert not any(strangers)
    assert not network.client.reaches(22, APP)


def test_a_source_that_is_renewed_in_a_race_with_its_end_is_led_no_longer_than_asked(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """Writing again over elements that end just then, again and again."""
    for _ in range(5):
        make_so(driver, of_app((CLIENT, 0.2)))
        time.sleep(0.19)
        make_so(driver, of_app((CLIENT, 0.3), (STRANGER, 0.01)))
        time.sleep(0.35)
        assert _targets(driver.observe()) == set()
        assert not network.client.reaches(2222, wait=0.1)


@KINDS
def test_a_session_goes_on_or_ends_by_the_kernel_alone(
    network: Network, driver: DriverProcess, gateway: Gateway, is_kill: bool
) -> None:
    own = tcp(23)
    make_so(driver, of_app((CLIENT, 4), at=public(2323), own=own, is_kill=is_kill))
    began = time.monotonic()
    session = network.session(network.client, 2323)
    driver.kill()
    time.sleep(max(0.0, began + 1.0 - time.monotonic()))
    assert is_alive(session, PATIENCE)
    time.sleep(max(0.0, began + 4.1 - time.monotonic()))
    assert not network.client.reaches(2323)
    if not is_kill:
        assert is_alive(session, PATIENCE)
        return
    session.sendall(b"x")
    session.settimeout(PATIENCE)
    with pytest.raises(ConnectionResetError):
        session.recv(8)


@FAMILIES
def test_the_same_source_port_is_judged_anew(
    network: Network, driver: DriverProcess, gateway: Gateway, source: str, host: str, app: str
) -> None:
    """EDGES A1: conntrack still translates a bare SYN of a connection that is over."""
    places = (public(2222, host),)
    make_so(driver, of_app((source, MINUTE), at=places))
    session = network.session(network.client, 2222, host, source_port=40022)
    make_so(driver, of_app((source, SHORT), at=places))
    time.sleep(SHORT + 0.1)
    assert is_alive(session, PATIENCE), "on a keep port it lives on"
    session.sendall(b"reset")
    session.settimeout(PATIENCE)
    with pytest.raises(ConnectionResetError):
        session.recv(8)
    session.close()
    for _ in range(4):
        assert network.client.connect(2222, host, source_port=40022, wait=0.25) is None


def test_a_cut_ends_what_came_by_a_public_port(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """EDGES A24; the session of another source is spared."""
    make_so(driver, of_app((CLIENT, MINUTE), (STRANGER, MINUTE)))
    mine, other = (network.session(each, 2222) for each in (network.client, network.stranger))
    port = at(APP, tcp(22))
    assert driver.sessions([(port, CLIENT), (port, "*")]) == [1, 2]
    ended = of_app()
    make_so(driver, RuleSet(ended.closed, {}, cuts((CLIENT, port, 120))))
    driver.tidy()
    assert not is_alive(mine)
    assert is_alive(other, PATIENCE)


def test_a_public_port_that_leads_to_another_machine_takes_no_session_along(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    network.echo(22, space=gateway.sql)
    make_so(driver, both(of_app((CLIENT, MINUTE), to=APP)))
    session = network.session(network.client, 2222)
    make_so(driver, both(of_app((CLIENT, MINUTE), to=SQL), of_app(to=APP, at=())))
    assert _led_to(network, 2222) == SQL
    assert not network.client.reaches(22, APP)
    assert is_alive(session, PATIENCE), "on a keep port it stays with the machine that it is with"
    assert _targets(driver.observe()) == {(CLIENT, SQL, 22)}


def test_connections_of_before_a_public_port_keep_to_the_gateways_own(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """What the gateway itself began from that port is answered; and nobody else comes in by it."""
    network.echo(443, space=network.client)
    make_so(driver, RuleSet())
    with network.host.inside(
        lambda: socket.create_connection((CLIENT, 443), PATIENCE, (HOST, 2222))
    ) as own:
        make_so(driver, of_app())
        assert is_alive(own, PATIENCE)
        assert not network.client.reaches(2222)


# -- the table ---------------------------------------------------------------------------------


def test_a_flush_between_two_agents_leads_nobody_on(
    network: Network, owned: DriverProcess, start_driver: StartDriver, gateway: Gateway
) -> None:
    """EDGES A5: the mapping is handed over with what is closed."""
    wanted = of_app((CLIENT, MINUTE))
    make_so(owned, wanted)
    owned.hold()
    with hammering(network.stranger, 2222) as found:
        owned.kill()
        network.host.run("nft", "flush", "ruleset")
        second = start_driver()
        second.observe()
        second.take_over(owned.release)
        network.host.run("nft", "flush", "ruleset")
        assert network.client.lets_in(2222)
        make_so(second, wanted)
    assert found
    assert not any(found)
    assert network.client.lets_in(2222)


def test_the_first_public_port_takes_nothing_of_before_away(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    plain = through(RuleSet(closed(tcp(22)), openings((CLIENT, tcp(22), MINUTE))), {})
    make_so(driver, plain)
    assert "mapped" not in network.host.run("nft", "list", "table", "inet", "bascule")
    session = network.session(network.client, 22, APP)
    make_so(driver, of_app((CLIENT, MINUTE)))
    assert network.client.lets_in(2222)
    assert network.client.lets_in(22, APP)
    assert is_alive(session, PATIENCE)
    make_so(driver, plain)
    assert not network.client.reaches(2222)
    assert network.client.lets_in(22, APP)
    assert is_alive(session, PATIENCE)


def test_edits_by_others_are_put_back(
    network: Network, start_driver: StartDriver, gateway: Gateway
) -> None:
    driver = start_driver(use_owner=False)
    wanted = of_app((CLIENT, MINUTE))
    make_so(driver, wanted)
    network.echo(2222)
    for text in (
        "flush set inet bascule mapped_closed4",
        "flush map inet bascule mapped_to4",
        "flush chain inet bascule mapped_ports",
        "insert rule inet bascule mapped_ports accept",
        f"insert rule inet bascule mapped_ports tcp dport 2222 dnat ip to {APP}:22",
    ):
        network.host.nft(text + "\n")
        make_so(driver, wanted)
        assert not network.stranger.reaches(2222), text
        assert _led_to(network, 2222) == APP


def test_knocks_at_a_public_port_are_counted_by_source(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    make_so(driver, of_app((CLIENT, MINUTE)))
    assert not network.stranger.reaches(2222, wait=0.2)
    (seen,) = driver.blocked()
    assert (seen.source, seen.port, seen.packets) == (STRANGER, at(HOST, tcp(2222)), 1)
    assert driver.observe().blocked_behind == 1


# -- what is taken -----------------------------------------------------------------------------


def test_what_the_gateway_serves_or_another_rule_leads_on_is_taken(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """EDGES G6. Our own maps take nothing."""
    make_so(driver, of_app((CLIENT, MINUTE)))
    network.echo(2300)
    network.keep(EchoServer(network.host, 2301, socket.SOCK_DGRAM))
    network.keep(network.host.inside(lambda: socket.create_server((OTHER, 2302))))
    gateway.translate(2303, 22)
    network.host.nft(
        "table inet more {\nchain pre {\ntype nat hook prerouting priority dstnat\n"
        f"tcp dport 2304 redirect to :22\nip daddr {OTHER} tcp dport 2305 dnat ip to {APP}:22\n"
        f"tcp dport {{ 2306, 2307 }} dnat ip to tcp dport map {{ 2307 : {APP} . 22 }}\n}}\n}}\n"
    )

    def asked(port: PortKey, host: str = HOST) -> PortMapped:
        return port.mapped(public(port.number, host))

    taken = {
        asked(tcp(2300)),
        asked(tcp(2300), HOST6),
        asked(udp(2301)),
        asked(tcp(2302), OTHER),
        asked(tcp(2303)),
        asked(tcp(2304)),
        asked(tcp(2304), HOST6),
        asked(tcp(2305), OTHER),
        asked(tcp(2307)),
    }
    free = {
        asked(tcp(2222)),
        asked(udp(2300)),
        asked(tcp(2301)),
        asked(tcp(2302)),
        asked(tcp(2305)),
        asked(udp(2303)),
        asked(tcp(2308)),
    }
    assert driver.taken(taken | free) == taken


# -- helpers -----------------------------------------------------------------------------------


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _led_to(network: Network, number: int, host: str = HOST) -> str:
    """The machine at whose port 22 the client arrives: conntrack's reply tuple."""
    session = network.session(network.client, number, host)
    source_port = session.getsockname()[1]
    lines = network.host.run(
        "conntrack", "-L", "-p", "tcp", "--sport", str(source_port), check=False
    )
    (line,) = [each for each in lines.splitlines() if f"sport={source_port} " in each]
    session.close()
    machine, reply = line.split("src=")[2].split()[0], line.split("sport=")[2].split()[0]
    assert reply == "22"
    return machine


def _targets(seen: Observed) -> set[tuple[str, str, int]]:
    """(source, machine, port) of all that is mapped."""
    return {
        (str(key.source.network_address), str(key.port.to.at), key.port.to.number)
        for key in seen.rules.openings
        if isinstance(key.port, PortMapped) and key.port.to is not None
    }


def _is_tcp(content: bytes) -> bool:
    return content[6 if content[0] >> 4 == 6 else 9] == socket.IPPROTO_TCP
