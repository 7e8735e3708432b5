"""EDGES G5: what a gateway forwards is judged as what a host is sent; lines A1 to A4, A7, A9, A24."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from bascule.domain.desired import RuleSet
from bascule.domain.net import PortKey
from bascule.drivers.linux.conntrack import forwarded_connections
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.gateway import APP, APP6, SQL, SQL6, Gateway, at
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
    Space,
    hammering,
    is_alive,
)
from tests.netns.packets import FLAGS, Tap, in_fragments, packet, send, tcp_segment
from tests.netns.rulesets import SHORT, closed, cuts, make_so, openings, tcp, udp

MINUTE = 60.0
FAMILIES = pytest.mark.parametrize(
    ("source", "app", "sql", "host"),
    [(CLIENT, APP, SQL, HOST), (CLIENT6, APP6, SQL6, HOST6)],
    ids=["IPv4", "IPv6"],
)
KINDS = pytest.mark.parametrize("is_kill", [False, True], ids=["keep", "kill"])


@pytest.fixture
def gateway(network: Network) -> Gateway:
    made = Gateway(network)
    network.echo(22, 23, 80, space=made.app)
    return made


def shut(*ports: PortKey, is_kill: bool = False) -> RuleSet:
    return RuleSet(closed(kill=ports) if is_kill else closed(*ports))


# -- whom it lets through ----------------------------------------------------------------------


@FAMILIES
def test_an_opening_leads_to_one_port_of_one_machine(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    source: str,
    app: str,
    sql: str,
    host: str,
) -> None:
    """Not to its other ports, another machine's same port, nor the gateway's own; and these, when
    they are closed, close nothing else.
    """
    network.echo(22, space=gateway.sql)
    network.echo(22)
    ports = at(app, tcp(22)), at(app, tcp(23)), at(sql, tcp(22))
    make_so(driver, RuleSet(closed(*ports), openings((source, ports[0], MINUTE))))
    assert network.client.lets_in(22, app)
    for space in (network.client, network.stranger):
        assert not space.reaches(23, app)
        assert not space.reaches(22, sql)
        assert space.lets_in(22, host), "the gateway's own port is another"
        assert space.lets_in(80, app), "what nobody closed passes"
    assert not network.stranger.reaches(22, app)
    assert network.host.lets_in(22, sql), "the gateway itself reaches what is behind it"
    assert gateway.app.lets_in(22, source) is False
    make_so(driver, shut(tcp(22)))
    assert network.stranger.lets_in(22, app)
    assert not network.stranger.reaches(22, host)


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
def test_a_prefix_admits_those_within_it(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    source: str,
    lets_stranger_in: bool,
) -> None:
    app, other = (APP6, APP) if ":" in source else (APP, APP6)
    ports = [at(each, tcp(22)) for each in (app, other)]
    make_so(driver, RuleSet(closed(*ports), openings((source, ports[0], MINUTE))))
    assert network.client.lets_in(22, app)
    assert network.stranger.reaches(22, app, PATIENCE if lets_stranger_in else 0.3) is (
        lets_stranger_in
    )
    assert not network.client.reaches(22, other), "the other version is not opened"


def test_machines_behind_are_judged_as_anybody_and_go_out_as_before(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    network.echo(22, space=gateway.sql)
    network.echo(443, space=network.client)
    ports = at(APP, tcp(22)), at(SQL, tcp(22))
    make_so(driver, RuleSet(closed(*ports), openings((APP, ports[1], MINUTE))))
    assert gateway.app.lets_in(22, SQL)
    assert not gateway.sql.reaches(22, APP)
    assert gateway.app.lets_in(443, CLIENT)


def test_an_opening_ends_on_time_when_its_writer_is_dead(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """EDGES A9."""
    port = at(APP, tcp(22))
    before = time.monotonic()
    make_so(driver, RuleSet(closed(port), openings((CLIENT, port, 5))))
    after = time.monotonic()
    driver.kill()
    time.sleep(max(0.0, before + 2.5 - time.monotonic()))
    assert network.client.reaches(22, APP)
    time.sleep(max(0.0, after + 5.25 - time.monotonic()))
    assert not network.client.reaches(22, APP)


def test_an_element_without_a_time_ends_within_a_second(
    network: Network, start_driver: StartDriver, gateway: Gateway
) -> None:
    """EDGES A7."""
    driver = start_driver(use_owner=False)
    make_so(driver, shut(at(APP, tcp(22))))
    network.host.nft(f"add element inet bascule behind_g4 {{ {CLIENT} . {APP} . tcp . 22 }}\n")
    time.sleep(1.1)
    assert not network.client.reaches(22, APP)


# -- every way in ------------------------------------------------------------------------------


@pytest.mark.parametrize("masquerade", [False, True], ids=["true source", "translated source"])
@FAMILIES
def test_a_translation_by_others_leads_to_the_same_gate(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    source: str,
    app: str,
    sql: str,
    host: str,
    masquerade: bool,
) -> None:
    """Whoever wrote it; also where the machine sees the gateway's address as the source."""
    del sql
    gateway.translate(2222, 22, app, masquerade=masquerade)
    assert network.stranger.lets_in(2222, host)
    port = at(app, tcp(22))
    make_so(driver, RuleSet(closed(port), openings((source, port, MINUTE))))
    for target, number in ((host, 2222), (app, 22)):
        assert network.client.lets_in(number, target)
        assert not network.stranger.reaches(number, target)
    assert network.client.lets_in(80, app)


@pytest.mark.parametrize(("app", "everybody"), [(APP, "0.0.0.0/0"), (APP6, "::/0")])
def test_a_number_written_into_a_packet_in_forward_leads_to_the_same_gate(
    network: Network, driver: DriverProcess, gateway: Gateway, app: str, everybody: str
) -> None:
    """EDGES A2: without connection tracking, by a chain of the same priority that came later."""
    port = at(app, tcp(22))
    make_so(driver, shut(port))
    gateway.rewrite(8022, 22, app)
    assert not network.stranger.reaches(8022, app)
    make_so(driver, RuleSet(closed(port), openings((everybody, port, MINUTE))))
    assert network.stranger.lets_in(8022, app)


def test_a_gateway_that_is_a_published_ports_host_too_judges_both(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """The gateway's own closed port leads to a machine whose port is closed: both must be open."""
    gateway.translate(2222, 22)
    own, there = tcp(2222), at(APP, tcp(22))
    both = closed(own, there)
    for given in (openings((CLIENT, own, MINUTE)), openings((CLIENT, there, MINUTE))):
        make_so(driver, RuleSet(both, given))
        assert not network.client.reaches(2222)
    given = openings((CLIENT, own, MINUTE), (CLIENT, there, MINUTE))
    make_so(driver, RuleSet(both, given))
    assert network.client.lets_in(2222)
    assert not network.stranger.reaches(2222)


@pytest.mark.parametrize("protocol", [33, 132, 136], ids=["DCCP", "SCTP", "UDP-Lite"])
@pytest.mark.parametrize(("source", "app"), [(CLIENT, APP), (CLIENT6, APP6)])
def test_a_closed_number_is_closed_for_every_protocol_with_ports(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    protocol: int,
    source: str,
    app: str,
) -> None:
    family = socket.AF_INET6 if ":" in app else socket.AF_INET
    ports = at(app, tcp(22)), at(app, udp(161))
    given = openings(*((source, port, MINUTE) for port in ports))
    make_so(driver, RuleSet(closed(*ports, kill=[at(app, tcp(23))]), given))

    def raw() -> socket.socket:
        return socket.socket(family, socket.SOCK_RAW, protocol)

    with gateway.app.inside(raw) as receiver, network.client.inside(raw) as sender:
        receiver.settimeout(PATIENCE)
        for number in (22, 23, 161, 2200):
            head = struct.pack(">HHHH", 40000, number, 8, 0)
            sender.sendto(head + struct.pack(">H", number) * 8, (app, 0))
        assert receiver.recv(256)[-2:] == struct.pack(">H", 2200), "the open number's alone"
    assert driver.observe().blocked_behind == 3


@pytest.mark.parametrize("loose", ["1", "0"])
@pytest.mark.parametrize(("source", "app"), [(STRANGER, APP), (STRANGER6, APP6)])
def test_no_packet_of_whatever_form_reaches_a_closed_port(
    network: Network, driver: DriverProcess, gateway: Gateway, source: str, app: str, loose: str
) -> None:
    """All flags, headers with options, fragments in any order; and they all do reach an open one."""
    make_so(driver, shut(at(app, tcp(22)), is_kill=True))
    network.host.run("sysctl", "-q", "-w", f"net.netfilter.nf_conntrack_tcp_loose={loose}")
    assert network.stranger.lets_in(80, app), "and the gateway knows its neighbours"
    tap = network.keep(gateway.app.inside(lambda: Tap("e0", source)))
    tap.heard()

    def all_forms(port: int) -> list[bytes]:
        found = []
        for flags in range(256):
            segment = tcp_segment(source, app, 10_000 + flags, port, flags)
            found += [packet(source, app, segment), packet(source, app, segment, options=True)]
        begun = tcp_segment(source, app, 9_999, port, FLAGS["SYN"], b"data" * 4)
        for pieces in in_fragments(source, app, begun, port):
            found += pieces
        return found

    network.stranger.inside(lambda: send(all_forms(22)))
    assert tap.heard() == []
    network.stranger.inside(lambda: send(all_forms(80)))
    assert len(tap.heard()) > 500


@pytest.mark.parametrize(("source", "app"), [(CLIENT, APP), (CLIENT6, APP6)])
def test_fragments_are_judged_as_the_datagram_that_they_make(
    network: Network, driver: DriverProcess, gateway: Gateway, source: str, app: str
) -> None:
    server = network.keep(EchoServer(gateway.app, 161, socket.SOCK_DGRAM))
    port = at(app, udp(161))
    make_so(driver, RuleSet(closed(port), openings((source, port, MINUTE))))
    family = socket.AF_INET6 if ":" in app else socket.AF_INET

    def send(name: bytes) -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            made.sendto(name * 1000, (app, 161))  # of three or four fragments

    network.stranger.inside(lambda: send(b"evil"))
    network.client.inside(lambda: send(b"good"))
    deadline = time.monotonic() + PATIENCE
    while not server.received and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {each[:4] for each in server.received} == {b"good"}


def test_icmp_passes(network: Network, driver: DriverProcess, gateway: Gateway) -> None:
    """Errors of a path belong to no port; ``related`` lets no SYN in for that."""
    make_so(driver, shut(at(APP, tcp(22)), at(APP6, tcp(22))))

    def ask(address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            made.settimeout(PATIENCE)
            made.connect((address, 9))
            made.send(b"nobody listens")
            with pytest.raises(ConnectionRefusedError):
                made.recv(8)

    for address in (APP, APP6):
        network.stranger.inside(lambda address=address: ask(address))  # type: ignore[misc]  # reason: bound at once


# -- connections that exist --------------------------------------------------------------------


@FAMILIES
def test_the_same_source_port_is_judged_anew(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    source: str,
    app: str,
    sql: str,
    host: str,
) -> None:
    """EDGES A1: after the machine's RST conntrack still calls a bare SYN established."""
    del sql, host
    port = at(app, tcp(22))
    make_so(driver, RuleSet(closed(port), openings((source, port, MINUTE))))
    session = network.session(network.client, 22, app, source_port=40022)
    make_so(driver, RuleSet(closed(port), openings((source, port, SHORT))))
    time.sleep(SHORT + 0.1)
    assert is_alive(session, PATIENCE), "on a keep port it lives on"
    _be_reset(session)
    for _ in range(4):
        assert network.client.connect(22, app, source_port=40022, wait=0.25) is None


def test_a_kill_session_ends_with_its_opening_by_the_kernel_alone(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """The client by a reset; the machine by the one that the client answers it with."""
    keep, kill = at(APP, tcp(22)), at(APP, tcp(23))
    given = openings((CLIENT, keep, 4), (CLIENT, kill, 4))
    make_so(driver, RuleSet(closed(keep, kill=[kill]), given))
    began = time.monotonic()
    kept, killed = (network.session(network.client, n, APP) for n in (22, 23))
    driver.kill()
    time.sleep(max(0.0, began + 1.0 - time.monotonic()))
    assert is_alive(killed, PATIENCE)
    time.sleep(max(0.0, began + 4.1 - time.monotonic()))
    assert is_alive(kept, PATIENCE)
    killed.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        killed.recv(8)
    assert _sockets(gateway.app, 23) == 1, "it does not know yet"
    assert not network.client.reaches(22, APP)


@FAMILIES
def test_a_kill_session_that_others_translate_is_reset_by_the_address_that_it_knows(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    source: str,
    app: str,
    sql: str,
    host: str,
) -> None:
    """And so is a cut one; whom another opening admits, or who was there before, goes on."""
    del sql
    for number, to in ((2222, 22), (2323, 23)):
        gateway.translate(number, to, app)
    keep, kill = at(app, tcp(22)), at(app, tcp(23))
    both = closed(keep, kill=[kill])
    old = network.session(network.stranger, 2323, host)
    make_so(driver, RuleSet())
    make_so(driver, RuleSet(both, openings((source, keep, MINUTE), (source, kill, MINUTE))))
    cut, killed = (network.session(network.client, number, host) for number in (2222, 2323))
    assert is_alive(old, PATIENCE)
    make_so(driver, RuleSet(both, {}, cuts((source, keep, 120))))
    for each in (cut, killed):
        each.settimeout(PATIENCE)
        each.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            each.recv(8)
    assert is_alive(old, PATIENCE)


def test_a_machine_that_speaks_to_an_ended_client_lets_go_of_the_connection(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    port = at(APP, tcp(25))
    listener = network.keep(gateway.app.inside(lambda: socket.create_server((APP, 25))))
    given = openings((CLIENT, port, MINUTE))
    make_so(driver, RuleSet(closed(kill=[port]), given))
    client = network.client.connect(25, APP, wait=PATIENCE)
    assert client is not None
    network.keep(client)
    machine = network.keep(listener.accept()[0])
    make_so(driver, shut(port, is_kill=True))
    client.sendall(b"x")
    client.settimeout(PATIENCE)
    with pytest.raises(ConnectionResetError):
        client.recv(8)
    machine.settimeout(PATIENCE)
    machine.sendall(b"push")
    with pytest.raises(ConnectionResetError):
        machine.recv(8)


@FAMILIES
def test_a_cut_ends_what_a_revoked_opening_admitted(
    network: Network,
    driver: DriverProcess,
    gateway: Gateway,
    source: str,
    app: str,
    sql: str,
    host: str,
) -> None:
    """EDGES A24: at that machine alone, and whom another opening admits is spared."""
    del host
    network.echo(22, space=gateway.sql)
    ports = at(app, tcp(22)), at(sql, tcp(22))
    everybody = "::/0" if ":" in app else "0.0.0.0/0"
    given = openings(*((source, port, MINUTE) for port in ports), (everybody, ports[0], MINUTE))
    make_so(driver, RuleSet(closed(*ports), given))
    cut, elsewhere = (network.session(network.client, 22, each) for each in (app, sql))
    other = network.session(network.stranger, 22, app)
    make_so(driver, shut(*ports))
    assert all(is_alive(each, PATIENCE) for each in (cut, elsewhere, other))
    make_so(driver, RuleSet(closed(*ports), {}, cuts((source, ports[0], 120))))
    assert not is_alive(cut)
    driver.tidy()
    assert all(is_alive(each, PATIENCE) for each in (elsewhere, other))


def test_a_cut_lasts_for_as_long_as_its_session_does(
    network: Network, start_driver: StartDriver, gateway: Gateway
) -> None:
    """EDGES A24: no socket here can be destroyed. The two minutes are shortened by hand."""
    driver = start_driver(use_owner=False)
    port = at(APP, tcp(22))
    make_so(driver, RuleSet(closed(port), openings((CLIENT, port, MINUTE))))
    silent = network.session(network.client, 22, APP)
    make_so(driver, RuleSet(closed(port), {}, cuts((CLIENT, port, 120))))
    element = f"element inet bascule behind_ended4 {{ {CLIENT} . {APP} . tcp . 22"
    network.host.nft(f"delete {element} }}\nadd {element} timeout 2s }}\n")
    driver.tidy()
    time.sleep(2.1)
    assert not is_alive(silent)


def test_a_handshake_begun_in_an_opening_is_not_finished_after_a_cut(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """EDGES A24."""
    port = at(APP, tcp(22))
    make_so(driver, RuleSet(closed(port), openings((CLIENT, port, MINUTE))))
    network.client.nft(
        "table ip quiet {\nchain out {\ntype filter hook output priority 0\n"
        "tcp dport 22 tcp flags & (syn | ack) != syn drop\n}\n}\n"
    )
    begun = network.client.connect(22, APP, wait=PATIENCE)
    assert begun is not None, "the client takes it for made; its answer never left it"
    network.keep(begun)
    make_so(driver, RuleSet(closed(port), {}, cuts((CLIENT, port, 120))))
    network.client.nft("delete table ip quiet\n")
    assert not is_alive(begun)
    assert _sockets(gateway.app, 22) == 0


def test_udp_is_looked_up_for_every_packet(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """EDGES A4: asked all through its opening, a UDP conversation still ends with it."""
    network.keep(EchoServer(gateway.app, 161, socket.SOCK_DGRAM))
    assert network.client.asks(161, APP, wait=PATIENCE)
    port, port6 = at(APP, udp(161)), at(APP6, udp(161))
    make_so(driver, RuleSet(closed(port, port6), openings((CLIENT, port, 3))))
    began = time.monotonic()
    with network.client.udp() as talk:
        talk.settimeout(0.1)
        asked, answered = [], []
        while time.monotonic() < began + 4:
            asked.append(time.monotonic() - began)
            talk.sendto(str(len(asked)).encode(), (APP, 161))
            try:
                answered.append(asked[int(talk.recv(64)) - 1])
            except TimeoutError:
                continue
    assert answered, "never let in"
    assert max(answered) < 3.1
    assert not network.stranger.asks(161, APP)
    assert not network.stranger.asks(161, APP6)


# -- adoption ----------------------------------------------------------------------------------


@contextlib.contextmanager
def tracking(network: Network) -> Iterator[None]:
    """Another program has connections tracked, as a router's rules nearly always do."""
    network.host.nft(
        "table inet tracking {\nchain forward {\ntype filter hook forward priority 0\n"
        "ct state new accept\n}\n}\n"
    )
    yield


@KINDS
def test_tracked_connections_are_adopted_by_exact_tuple(
    network: Network, driver: DriverProcess, gateway: Gateway, is_kill: bool
) -> None:
    """EDGES A3: even if they were silent since, routed or translated; no SYN comes with them."""
    with tracking(network):
        gateway.translate(2222, 22)
        old = [
            network.session(network.stranger, 22, APP),
            network.session(network.stranger, 22, APP6),
            network.session(network.stranger, 2222, HOST),
        ]
        source_port = old[0].getsockname()[1]
        ports = at(APP, tcp(22)), at(APP6, tcp(22))
        make_so(driver, shut(*ports, is_kill=is_kill))  # at a rebuild: nothing is learnt
        driver.tidy()
        assert all(is_alive(each, PATIENCE) for each in old)
        assert driver.sessions([(port, "*") for port in ports]) == [2, 1]
        for address, number in ((APP, 22), (APP6, 22), (HOST, 2222)):
            assert not network.stranger.reaches(number, address)
        _be_reset(old[0])
        for _ in range(4):
            made = network.stranger.connect(22, APP, source_port=source_port, wait=0.25)
            assert made is None, "adoption admits no SYN"


@KINDS
def test_connections_that_nobody_tracked_are_adopted_when_they_speak(
    network: Network, driver: DriverProcess, gateway: Gateway, is_kill: bool
) -> None:
    """Client or machine first; nobody new, by whatever packet, gets in with them."""
    listener = network.keep(gateway.app.inside(lambda: socket.create_server((APP, 25))))
    spoken = network.session(network.stranger, 22, APP)
    pushed = network.stranger.connect(25, APP, wait=PATIENCE)
    assert pushed is not None
    network.keep(pushed)
    machine = network.keep(listener.accept()[0])
    make_so(driver, RuleSet())
    ports = at(APP, tcp(22)), at(APP, tcp(25))
    make_so(driver, shut(*ports, is_kill=is_kill))
    for number in (22, 25):
        assert not network.stranger.reaches(number, APP)
        assert not network.client.reaches(number, APP)
    machine.sendall(b"push")
    pushed.settimeout(PATIENCE)
    assert pushed.recv(8) == b"push"
    pushed.sendall(b"back")
    machine.settimeout(PATIENCE)
    assert machine.recv(8) == b"back"
    assert is_alive(spoken, PATIENCE)
    source_port = spoken.getsockname()[1]
    _be_reset(spoken)
    for _ in range(4):
        made = network.stranger.connect(22, APP, source_port=source_port, wait=0.25)
        assert made is None, "what was learnt admits no SYN"
    driver.tidy()
    assert driver.sessions([(ports[1], "*")]) == [1]


def test_what_a_lease_admits_while_it_is_learnt_is_not_adopted(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """EDGES A3: in the first two minutes of a kill port as well."""
    make_so(driver, RuleSet())
    port = at(APP, tcp(22))
    make_so(driver, shut(port, is_kill=True))
    make_so(driver, RuleSet(closed(kill=[port]), openings((CLIENT, port, MINUTE))))
    leased = network.session(network.client, 22, APP)
    make_so(driver, shut(port, is_kill=True))
    assert not is_alive(leased)
    assert _learnt(network) == ""


def test_learning_ends_by_itself_and_begins_with_no_rebuild(
    network: Network, start_driver: StartDriver, gateway: Gateway
) -> None:
    """A gateway that was rebooted knows no lease of before: nothing is adopted by its word. The two
    minutes are shortened by hand.
    """
    old = [network.session(network.stranger, 23, APP) for _ in range(2)]
    port = at(APP, tcp(23))
    driver = start_driver(use_owner=False)
    make_so(driver, RuleSet())
    make_so(driver, shut(port, is_kill=True))
    element = f"element inet bascule behind_learning4 {{ {APP} . 23"
    network.host.nft(f"delete {element} }}\nadd {element} timeout 500ms }}\n")
    time.sleep(0.6)
    assert not is_alive(old[0])
    second = start_driver(use_owner=False)
    network.host.run("nft", "flush", "ruleset")
    make_so(second, shut(port, is_kill=True))
    assert not is_alive(old[1])


def test_strangers_who_fill_what_is_learnt_keep_nothing_from_being_closed(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """By ACKs from made-up ports; who is tracked is adopted in sets of the agent's own."""
    make_so(driver, RuleSet())
    old = network.session(network.client, 23, APP)
    ports = at(APP, tcp(22)), at(APP, tcp(23))
    make_so(driver, shut(ports[0]))

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
            for number in range(20_000):
                made = tcp_segment(STRANGER, APP, 1024 + number, 22, FLAGS["ACK"])
                raw.sendto(made, (APP, 0))

    network.stranger.inside(flood)
    assert len(_learnt(network).split(",")) > 16_000
    make_so(driver, shut(*ports, is_kill=True))
    assert is_alive(old, PATIENCE)
    assert not network.stranger.reaches(22, APP)
    assert not network.stranger.reaches(23, APP)


def test_a_cut_does_not_end_the_acquaintances_of_before(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """Whom no grant let in, no revoke ends (EDGES A24)."""
    port = at(APP, tcp(22))
    old = network.session(network.client, 22, APP)
    make_so(driver, RuleSet())
    make_so(driver, shut(port))
    assert is_alive(old, PATIENCE)
    driver.tidy()
    make_so(driver, RuleSet(closed(port), openings((CLIENT, port, MINUTE))))
    leased = network.session(network.client, 22, APP)
    make_so(driver, RuleSet(closed(port), {}, cuts((CLIENT, port, 120))))
    driver.tidy()
    assert not is_alive(leased)


def test_what_was_adopted_ends_with_the_closing_that_it_is_of(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """Released and closed anew: a lease's connection from that same port is the lease's."""
    port = at(APP, tcp(23))
    make_so(driver, RuleSet())
    old = network.session(network.client, 23, APP, source_port=40023)
    make_so(driver, shut(port, is_kill=True))
    assert is_alive(old, PATIENCE)
    driver.tidy()
    make_so(driver, RuleSet())
    assert network.stranger.lets_in(23, APP)
    _be_reset(old)
    make_so(driver, RuleSet(closed(kill=[port]), openings((CLIENT, port, MINUTE))))
    leased = network.session(network.client, 23, APP, source_port=40023)
    make_so(driver, RuleSet(closed(kill=[port]), openings((CLIENT, port, SHORT))))
    time.sleep(SHORT + 0.1)
    driver.tidy()
    assert not is_alive(leased)


# -- the table ---------------------------------------------------------------------------------


def test_a_flush_between_two_agents_opens_nothing_behind(
    network: Network, owned: DriverProcess, start_driver: StartDriver, gateway: Gateway
) -> None:
    """EDGES A5: openings, what is closed and what was adopted are handed over."""
    port = at(APP, tcp(22))
    old = network.session(network.stranger, 22, APP)
    make_so(owned, RuleSet())
    wanted = RuleSet(closed(port), openings((CLIENT, port, MINUTE)))
    make_so(owned, wanted)
    assert is_alive(old, PATIENCE)
    owned.hold()
    with hammering(network.stranger, 22, APP) as found:
        owned.kill()
        network.host.run("nft", "flush", "ruleset")
        second = start_driver()
        second.observe()
        second.take_over(owned.release)
        network.host.run("nft", "flush", "ruleset")
        make_so(second, wanted)
    assert found
    assert not any(found)
    assert network.client.lets_in(22, APP)
    assert is_alive(old, PATIENCE)


def test_the_first_machine_behind_takes_nothing_of_the_gateways_own_away(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """The table gains what is for machines behind; elements and their times stay, and the last one
    that goes leaves the rest as it is.
    """
    network.echo(22)
    own = openings((CLIENT, tcp(22), MINUTE))
    make_so(driver, RuleSet(closed(tcp(22)), own))
    assert "behind" not in network.host.run("nft", "list", "table", "inet", "bascule")
    session = network.session(network.client, 22)
    port = at(APP, tcp(22))
    both = closed(tcp(22), port)
    for wanted in (RuleSet(both, own), RuleSet(both, own | openings((CLIENT, port, MINUTE)))):
        make_so(driver, wanted)
        assert not network.stranger.reaches(22, APP)
        assert not network.stranger.reaches(22)
        assert network.client.lets_in(22)
    assert network.client.lets_in(22, APP)
    make_so(driver, RuleSet(closed(tcp(22)), own))
    assert network.stranger.lets_in(22, APP)
    assert not network.stranger.reaches(22)
    assert is_alive(session, PATIENCE)


def test_edits_by_others_are_put_back(
    network: Network, start_driver: StartDriver, gateway: Gateway
) -> None:
    port = at(APP, tcp(22))
    driver = start_driver(use_owner=False)
    make_so(driver, shut(port))
    for text in (
        "flush set inet bascule behind_closed4",
        f"add element inet bascule behind_g4 {{ {STRANGER} . {APP} . tcp . 22 timeout 1h }}",
        "flush chain inet bascule routed",
        "insert rule inet bascule behind_guard accept",
    ):
        network.host.nft(text + "\n")
        make_so(driver, shut(port))
        assert not network.stranger.reaches(22, APP), text


def test_knocks_are_counted_by_source_and_machine(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    ports = at(APP, tcp(22)), at(SQL6, tcp(22)), at(APP, udp(161)), tcp(22)
    make_so(driver, shut(*ports))
    assert not network.stranger.reaches(22, APP, wait=0.2)
    assert not network.client.reaches(22, SQL6, wait=0.2)
    assert not network.client.reaches(22, HOST, wait=0.2)
    network.client.asks(161, APP, wait=0.1)
    seen = {(each.source, each.port): each.packets for each in driver.blocked()}
    sources = STRANGER, CLIENT6, CLIENT, CLIENT
    assert seen == dict.fromkeys(zip(sources, ports, strict=True), 1)
    found = driver.observe()
    assert (found.blocked_attempts, found.blocked_behind) == (1, 3)


def test_forwarded_connections_are_found_by_few_questions_and_by_one(
    network: Network, driver: DriverProcess, gateway: Gateway
) -> None:
    """The kernel filters for a few ports; what else it may answer is left out."""
    make_so(driver, RuleSet())
    gateway.translate(2222, 22)
    made = [
        network.session(network.client, 22, APP),
        network.session(network.client, 2222),
        network.session(network.client, 22, APP6),
        network.session(network.client, 23, APP),
    ]
    expected = {
        (ip, each.getsockname()[1], at(app, tcp(22)))
        for each, ip, app in zip(made, (CLIENT, CLIENT, CLIENT6), (APP, APP, APP6), strict=False)
    }
    wanted = [at(APP, tcp(22)), at(APP6, tcp(22)), at(SQL, tcp(23))]
    many = [*wanted, *(at(SQL, tcp(number)) for number in range(100, 120))]
    for ports in (wanted, many):
        found = network.host.inside(lambda ports=ports: forwarded_connections(ports))  # type: ignore[misc]  # reason: bound at once
        assert {(str(e.source), e.source_port, e.to) for e in found} == expected


# -- helpers -----------------------------------------------------------------------------------


def _be_reset(session: socket.socket) -> None:
    """Have the other side reset this connection."""
    session.settimeout(PATIENCE)
    session.sendall(b"reset")
    with pytest.raises(ConnectionResetError):
        session.recv(8)
    session.close()


def _sockets(space: Space, port: int) -> int:
    """Connections that a machine has at that port."""
    command = ("ss", "-Htn", "state", "established", f"( sport = :{port} )")
    return len(space.run(*command).splitlines())


def _learnt(network: Network) -> str:
    listed = network.host.run("nft", "list", "set", "inet", "bascule", "behind_learnt4")
    return listed.partition("elements")[2]
