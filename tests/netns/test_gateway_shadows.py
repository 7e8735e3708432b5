"""What leads past a gateway to closed ports of machines behind it: found, mended, gone (EDGES G7).

All set-ups are made one after the other on one gateway, and each is taken away by its advice. Where a
packet can show that a way leads past, one is sent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from bascule.domain.desired import RuleSet
from bascule.domain.net import PortKey
from tests.netns.driver_process import ROOT, DriverProcess
from tests.netns.gateway import APP, APP6, SQL, Gateway
from tests.netns.network import (
    CLIENT,
    CLIENT6,
    HOST,
    INNER_GATEWAY,
    PATIENCE,
    STRANGER,
    Network,
    Space,
    is_alive,
    reached,
)
from tests.netns.other_programs import Programs, need, program, unpacked
from tests.netns.rulesets import closed, make_so, openings, tcp

ON_LINK = "10.77.0.50"  # of a machine on the bridge that the clients are on
SSH = tcp(22)
BEHIND = tuple(SSH.behind(ip_address(each)) for each in (APP, APP6, SQL, ON_LINK))


@dataclass
class World:
    network: Network
    gateway: Gateway
    driver: DriverProcess
    programs: Programs
    near: Space
    started: list[subprocess.Popen[bytes]]

    def start(self, *command: str) -> None:
        self.started.append(self.programs.start(*command))

    def stop(self) -> None:
        """End what was started."""
        for each in self.started:
            each.kill()
            each.wait()
        self.started.clear()

    def doctor(self) -> tuple[int, dict[str, Any]]:
        return self._doctor(self.network.host)

    def doctor_on(self, space: Space) -> tuple[int, dict[str, Any]]:
        """On a machine, which is told of its gateway."""
        return self._doctor(space, "--behind", INNER_GATEWAY)

    def _doctor(self, space: Space, *arguments: str) -> tuple[int, dict[str, Any]]:
        ran = subprocess.run(
            [
                *("ip", "netns", "exec", space.name),
                *(sys.executable, "-m", "bascule.bootstrap", "doctor", "-o", "json", *arguments),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    def told_by_agent(self) -> set[tuple[str, str]]:
        self.driver.close()
        self.driver = DriverProcess(self.network.host.name)  # it looks at once
        self.close()
        found = self.driver.condition().weaknesses
        return {(each.code, each.arguments.get("port", "")) for each in found if each.shadow}

    def close(self, *own: PortKey) -> None:
        make_so(self.driver, RuleSet(closed(*BEHIND, *own)))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Network() as network:
        gateway = Gateway(network)
        host = network.host
        for family, via in (("-4", CLIENT), ("-6", CLIENT6)):
            host.run("ip", family, "route", "add", "default", "via", via, "dev", "br0")
        near = network.keep(Space(f"{host.name}n"))
        host.run("ip", "link", "add", "v7", "type", "veth", "peer", "e0", "netns", near.name)
        host.run("ip", "link", "set", "v7", "master", "br0", "up")
        for command in ("link set lo up", "link set e0 up", f"addr add {ON_LINK}/16 dev e0"):
            near.run("ip", *command.split())
        for space in (gateway.app, gateway.sql, near):
            network.echo(22, space=space)
        driver = DriverProcess(host.name)
        made = World(
            network,
            gateway,
            driver,
            Programs(network, tmp_path_factory.mktemp("programs")),
            near,
            [],
        )
        made.close()
        yield made
        made.driver.close()


@pytest.fixture(autouse=True)
def nothing_is_left(world: World) -> Iterator[None]:
    yield
    world.stop()
    for each in ("ip odd", "ip6 odd", "inet odd", "netdev odd"):
        world.network.host.run("nft", "delete", "table", *each.split(), check=False)


def chain(family: str, hook: str, rule: str, priority: str = "filter") -> Callable[[World], object]:
    text = f"table {family} odd {{\nchain it {{\ntype filter hook {hook} priority {priority}\n{rule}\n}}\n}}\n"
    return lambda world: world.network.host.nft(text)


def without(family: str) -> Callable[[World], object]:
    return lambda world: world.network.host.run("nft", "delete", "table", family, "odd")


def _socat(to: str) -> Callable[[World], object]:
    def make(world: World) -> None:
        socat = program(unpacked("socat"), "socat")
        world.start(*socat, "TCP-LISTEN:8022,fork,reuseaddr", to)
        world.programs.wait_for(8022)
        assert world.network.stranger.lets_in(8022)

    return make


def _haproxy(world: World) -> None:
    libraries = ("liblua5.4-0", "libopentracing1", "libopentracing-c-wrapper0t64")
    haproxy = program(unpacked("haproxy", *libraries), "haproxy")
    file = world.programs.folder / "haproxy.cfg"
    file.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
        f"listen ssh\n bind *:8022\n server one {SQL}:22\n"
    )
    world.start(*haproxy, "-db", "-f", str(file))
    world.programs.wait_for(8022)


def _no_bridge_filter(world: World) -> None:
    switch(world, "0")
    assert world.network.stranger.lets_in(22, ON_LINK), "it does lead past us"


def switch(world: World, to: str) -> None:
    names = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs the module br_netfilter")
    world.network.host.run("sysctl", "-q", "-w", *(f"net.bridge.{each}={to}" for each in names))


def _written_late(world: World) -> None:
    """Port 2200 of the machine is open to all; behind our chain it becomes 22."""
    chain(
        "ip",
        "postrouting",
        f"ip daddr {APP} tcp dport 2200 tcp dport set 22\n"
        "}\nchain back {\ntype filter hook prerouting priority raw\n"
        f"ip saddr {APP} tcp sport 22 tcp sport set 2200",
    )(world)


SHADOWS: dict[str, tuple[Callable[[World], object], str, str, Callable[[World], object]]] = {
    "socat passes on to a machine": (
        _socat(f"TCP:{APP}:22"),
        "ProxiedBehind",
        f"22/tcp of {APP}",
        World.stop,
    ),
    "socat passes on over IPv6": (
        _socat(f"TCP6:[{APP6}]:22"),
        "ProxiedBehind",
        f"22/tcp of {APP6}",
        World.stop,
    ),
    "haproxy passes on to a machine": (
        _haproxy,
        "ProxiedBehind",
        f"22/tcp of {SQL}",
        lambda world: world.close(tcp(8022)),
    ),
    "a source is written over in forward": (
        chain("ip", "forward", f"ip saddr {STRANGER} ip saddr set {CLIENT}"),
        "RewrittenBehind",
        "",
        without("ip"),
    ),
    "a port is written over after us": (_written_late, "RewrittenBehind", "", without("ip")),
    "an address is written over after us": (
        chain("ip6", "postrouting", f"ip6 daddr fd78::9 ip6 daddr set {APP6}"),
        "RewrittenBehind",
        "",
        without("ip6"),
    ),
    "packets are sent straight to a machine's link": (
        lambda world: world.network.host.nft(
            "table netdev odd {\nchain it {\ntype filter hook ingress device br0 priority 0\n"
            f"ip daddr {APP} fwd to v9\n}}\n}}\n"
        ),
        "RewrittenBehind",
        "",
        without("netdev"),
    ),
    "packets are copied to a machine": (
        chain("ip", "prerouting", f"udp dport 22 dup to {APP}"),
        "RewrittenBehind",
        "",
        without("ip"),
    ),
    "a transparent proxy takes a machine's port": (
        chain("ip", "prerouting", "tcp dport { 22, 80 } tproxy to :8022", "mangle"),
        "RewrittenBehind",
        "",
        without("ip"),
    ),
    "a source is written over as it comes in": (
        lambda world: world.network.host.nft(
            "table netdev odd {\nchain it {\ntype filter hook ingress device br0 priority 0\n"
            f"ip saddr {STRANGER} ip saddr set {CLIENT}\n}}\n}}\n"
        ),
        "RewrittenPast",
        "",
        without("netdev"),
    ),
    "what is forwarded is dropped": (
        lambda world: world.network.host.nft(
            "table ip odd {\nchain it {\ntype filter hook forward priority filter; policy drop\n"
            "ct state established accept\ntcp dport { 80, 443 } accept\n}\n}\n"
        ),
        "BlockedElsewhere",
        f"22/tcp of {APP}",
        without("ip"),
    ),
    "a bridge carries packets past the rules": (
        _no_bridge_filter,
        "Bridged",
        f"22/tcp of {ON_LINK}",
        lambda world: switch(world, "1"),
    ),
}


CONFIRMED = ("ProxiedBehind", "BlockedElsewhere")


@pytest.mark.parametrize("name", SHADOWS)
def test_it_is_found_and_gone_when_the_advice_is_followed(world: World, name: str) -> None:
    make, code, port, mend = SHADOWS[name]
    make(world)
    status, told = world.doctor()
    found = [each for each in told["findings"] if (each["code"], each["port"]) == (code, port)]
    assert found, told
    assert status == 1
    assert found[0]["rule"]
    assert found[0]["advice"]
    shown = (found[0]["packet"], bool(found[0]["notTriedBecause"]))
    assert shown == (("confirmed", False) if code in CONFIRMED else ("notTried", True)), told
    assert (code, port) in world.told_by_agent()
    mend(world)
    status, told = world.doctor()
    assert told["findings"] == []
    assert status == 0
    assert not world.network.stranger.reaches(22, APP)
    assert not world.network.stranger.reaches(22, ON_LINK)
    world.close()


def test_a_machine_whose_answers_go_another_way_is_found(world: World) -> None:
    """At the gateway, and on the machine itself with the gateway's address; gone once the route is set."""
    app = world.gateway.app
    lead = ("ip", "route", "replace", "default", "via")
    app.run(*lead, "10.78.0.99")
    _, told = world.doctor()
    found = {(each["code"], each["port"], each["packet"]) for each in told["findings"]}
    assert found == {("ReturnsElsewhere", f"22/tcp of {APP}", "confirmed")}
    assert world.doctor_on(app)[1]["findings"][0]["code"] == "RouteElsewhere"
    world.network.host.nft(
        "table ip odd {\nchain it {\ntype filter hook output priority filter\n"
        f"ip daddr {SQL} icmp type echo-request drop\n}}\n}}\n"
    )
    _, told = world.doctor()
    assert {each["code"] for each in told["findings"]} == {"ReturnsElsewhere"}
    assert [SQL in each for each in told["notRead"]] == [True], "one that cannot be asked is told"
    without("ip")(world)
    app.run(*lead, INNER_GATEWAY)
    assert world.doctor()[1]["findings"] == []
    status, told = world.doctor_on(app)
    assert (told["findings"], status) == ([], 0)


def test_a_connection_that_was_let_through_and_got_no_answer_is_found(world: World) -> None:
    """One machine's default route leads elsewhere, one drops what comes, one is off. A machine that is
    reached by the gateway and answers past it is no finding, nor a port on which nobody listens, nor one
    that is closed for who asks.
    """
    app, sql = world.gateway.app, world.gateway.sql
    client, host, off = world.network.client, world.network.host, "10.78.0.77"
    lead = ("ip", "route", "replace", "default", "via")
    app.run(*lead, "10.78.0.99")
    sql.nft(
        "table ip own {\nchain in {\ntype filter hook input priority 0\ntcp dport 22 drop\n}\n}\n"
    )
    for each in ("all", "br0"):
        host.run("sysctl", "-q", "-w", f"net.ipv4.conf.{each}.send_redirects=0")
    host.run("sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=0", check=False)
    client.run("ip", "route", "add", f"{ON_LINK}/32", "via", HOST)
    ports = {at: SSH.behind(ip_address(at)) for at in (APP, SQL, ON_LINK, off)}
    unserved, unopened = (tcp(each).behind(ip_address(ON_LINK)) for each in (23, 24))
    closed_ = closed(*ports.values(), unserved, unopened)
    opened = openings(*((CLIENT, each, 60.0) for each in (*ports.values(), unserved)))
    make_so(world.driver, RuleSet(closed_, opened))
    answered = client.connect(22, ON_LINK, wait=PATIENCE)
    assert answered is not None
    assert is_alive(answered, PATIENCE), "its answers come past the gateway"
    probes = [(client, 22, each) for each in (APP, SQL, off)]
    probes += [(client, 23, ON_LINK), (client, 24, ON_LINK)]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(reached, probes, 14.0)
        while not asked.done():
            world.driver.tidy()
            time.sleep(0.5)
    assert asked.result() == [False] * len(probes)

    def told() -> set[tuple[str, str]]:
        found = world.driver.condition().weaknesses
        looked_for = ("Unanswered", "NoNeighbour")
        return {(e.code, e.arguments["port"]) for e in found if e.code in looked_for}

    expected = {
        ("Unanswered", str(ports[APP])),
        ("Unanswered", str(ports[SQL])),
        ("NoNeighbour", str(ports[off])),
    }
    assert told() == expected
    app.run(*lead, INNER_GATEWAY)
    assert client.lets_in(22, APP)
    left = client.connect(22, APP, wait=PATIENCE)
    without = expected - {("Unanswered", str(ports[APP]))}
    ends = time.monotonic() + PATIENCE
    world.driver.tidy()
    while told() != without and time.monotonic() < ends:
        time.sleep(0.5)
        world.driver.tidy()
    assert told() == without, "an answer takes it back"
    for made in (answered, left):
        assert made is not None
        made.close()
    sql.run("nft", "delete", "table", "ip", "own")
    client.run("ip", "route", "del", f"{ON_LINK}/32")
    host.run("sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1", check=False)
    world.close()


def _another_proxy(world: World) -> None:
    socat = program(unpacked("socat"), "socat")
    world.start(*socat, "TCP-LISTEN:8080,fork,reuseaddr", f"TCP:{APP}:80")
    world.start(*socat, "TCP-LISTEN:8023,fork,reuseaddr,bind=127.0.0.1", f"TCP:{APP}:22")
    world.programs.wait_for(8080, 8023)


def _router(world: World) -> None:
    """What a router's rules do every day: masquerade, clamp, mark, and write over what is no address."""
    world.network.host.nft(
        "table inet odd {\nchain post {\ntype nat hook postrouting priority srcnat\n"
        "oifname br0 masquerade\n}\n"
        "chain mangle {\ntype filter hook postrouting priority mangle\n"
        "tcp flags syn tcp option maxseg size set rt mtu\nip ttl set 64\nip6 hoplimit set 64\n"
        "ip dscp set cs1\nmeta mark set 7\n}\n"
        "chain pre {\ntype nat hook prerouting priority dstnat\n"
        f"tcp dport 8443 dnat ip to {APP}:443\n}}\n"
        "chain stateless {\ntype filter hook prerouting priority mangle\nip ttl set 64\n"
        "ip daddr 203.0.113.5 ip daddr set 203.0.113.6\n}\n"
        "chain passed {\ntype filter hook forward priority filter; policy drop\n"
        "ct state established,related accept\niifname br0 accept\niifname { v8, v9 } accept\n}\n}\n"
    )


CLEAN: dict[str, tuple[Callable[[World], object], Callable[[World], object]]] = {
    "nothing but Bascule": (lambda _: None, lambda _: None),
    "a router's rules": (_router, without("inet")),
    "a transparent proxy of the web": (
        chain("ip", "prerouting", "tcp dport 80 tproxy to :3128", "mangle"),
        without("ip"),
    ),
    "a copy for whoever watches the network": (
        chain("ip", "prerouting", "dup to 10.77.0.99"),
        without("ip"),
    ),
    "iptables that route to containers": (
        lambda world: world.programs.shell(
            "iptables -A FORWARD -i br0 -o v9 -j ACCEPT; iptables -A FORWARD -m conntrack "
            "--ctstate ESTABLISHED,RELATED -j ACCEPT; iptables -t nat -A POSTROUTING -o br0 "
            "-j MASQUERADE; iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN "
            "-j TCPMSS --clamp-mss-to-pmtu"
        ),
        lambda world: world.programs.shell(
            "iptables -F; iptables -t nat -F; iptables -t mangle -F"
        ),
    ),
    "proxies to another port, and of the loopback": (_another_proxy, lambda _: None),
}


@pytest.mark.parametrize("name", CLEAN)
def test_an_ordinary_gateway_has_no_finding(world: World, name: str) -> None:
    make, undo = CLEAN[name]
    if name.startswith("iptables"):
        need("iptables")
    make(world)
    status, told = world.doctor()
    assert (told["findings"], told["notRead"], status) == ([], [], 0)
    assert world.told_by_agent() == set()
    undo(world)
