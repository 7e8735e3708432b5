"""What opens past us or blocks us, with the programs that really do it: found, mended, gone (G7).

Each set-up is made in a namespace of its own, by the real program where one can be run there.
``bascule doctor`` reads the host; its advice is followed as it stands where that is a command.
Docker's rules are those that Debian's docker.io writes (``containers``): its daemon wants a whole
machine. Clean set-ups are those that an ordinary host has: nothing may be found there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bascule.domain.desired import RuleSet
from tests.netns.conftest import StartDriver
from tests.netns.containers import TWO
from tests.netns.driver_process import ROOT, DriverProcess
from tests.netns.network import CLIENT, CLIENT6, INNER, STRANGER, Network
from tests.netns.other_programs import Programs, need, program, unpacked
from tests.netns.rulesets import closed, make_so, openings, tcp

CLOSED = (22, 5432)


@dataclass
class World:
    network: Network
    driver: DriverProcess
    programs: Programs

    def doctor(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        ran = subprocess.run(
            [
                *("ip", "netns", "exec", self.network.host.name),
                *(sys.executable, "-m", "bascule.bootstrap", "doctor", "-o", "json"),
                *arguments,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    def say(self, *prefix: str) -> str:
        """What doctor says to people."""
        ran = subprocess.run(
            [
                *("ip", "netns", "exec", self.network.host.name, *prefix),
                *(sys.executable, "-m", "bascule.bootstrap", "doctor"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return ran.stdout

    def told_by_agent(self) -> list[tuple[str, str]]:
        """What the agent's own driver says of shadows, by code and port."""
        self.driver.tidy()
        found = self.driver.condition().weaknesses
        return [(each.code, each.arguments.get("port", "")) for each in found if each.shadow]


@pytest.fixture
def world(network: Network, start_driver: StartDriver, tmp_path: Path) -> World:
    for family, gateway in (
        ("-4", CLIENT),
        ("-6", CLIENT6),
    ):  # br0 leads to clients, not to containers
        network.host.run("ip", family, "route", "add", "default", "via", gateway, "dev", "br0")
    driver = start_driver()
    make_so(driver, RuleSet(closed(*map(tcp, CLOSED))))
    return World(network, driver, Programs(network, tmp_path))


Mend = Callable[[World, str], object]  # follow the advice; its command is told


def runs_advice(world: World, how: str) -> object:
    return world.programs.run_advice(how)


def shell(command: str) -> Mend:
    return lambda world, _: world.programs.shell(command)


def closes(*ports: int) -> Mend:
    """The advice to add the other port to the policies."""
    return lambda world, _: make_so(world.driver, RuleSet(closed(*map(tcp, (*CLOSED, *ports)))))


def _two_ports(world: World) -> None:
    world.programs.listen("0.0.0.0:22", "0.0.0.0:2222")


def _only_6(world: World) -> None:
    world.programs.listen("0.0.0.0:22", ":::2222")


def _socket_activated(world: World) -> None:
    need("systemd-socket-activate")
    world.programs.start("systemd-socket-activate", "-l", "22", "-l", "2222", "sleep", "60")
    world.programs.wait_for(22, 2222)


def _sshd(world: World) -> None:
    need("sshd", "ssh-keygen")
    folder = world.programs.folder
    key = folder / "key"
    world.programs.shell(f"ssh-keygen -q -t ed25519 -N '' -f {key}; mkdir -p /run/sshd")
    world.programs.start(
        *("/usr/sbin/sshd", "-D", "-f", "/dev/null", "-h", str(key), "-o", "PidFile=none"),
        *("-o", "Port=22", "-o", "Port=2222"),
    )
    world.programs.wait_for(22, 2222)


def _socat(world: World) -> None:
    socat = program(unpacked("socat"), "socat")
    world.programs.listen("0.0.0.0:22")
    world.programs.start(*socat, "TCP-LISTEN:8022,fork,reuseaddr", "TCP:127.0.0.1:22")
    world.programs.wait_for(8022)


def _haproxy(world: World) -> None:
    libraries = ("liblua5.4-0", "libopentracing1", "libopentracing-c-wrapper0t64")
    haproxy = program(unpacked("haproxy", *libraries), "haproxy")
    world.programs.listen("0.0.0.0:22")
    file = world.programs.folder / "haproxy.cfg"
    file.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
        "listen ssh\n bind *:8022\n server one 127.0.0.1:22\n"
    )
    world.programs.start(*haproxy, "-db", "-f", str(file))
    world.programs.wait_for(8022)


def _proxyd(world: World) -> None:
    """Its other half is systemd-socket-activate; the target is known by a connection."""
    proxyd = "/lib/systemd/systemd-socket-proxyd"
    need("systemd-socket-activate", proxyd)
    world.programs.listen("0.0.0.0:22")
    world.programs.start("systemd-socket-activate", "-l", "8022", proxyd, "127.0.0.1:22")
    world.programs.wait_for(8022)
    assert world.network.stranger.lets_in(8022)  # it starts proxyd


def _docker_twice(world: World) -> None:
    world.programs.docker((5432, 5432), (15432, 5432))


def _legacy_nat(world: World) -> None:
    need("iptables-legacy")
    world.programs.docker((5432, 5432))
    world.programs.shell(
        "iptables-legacy -t nat -A PREROUTING -p tcp --dport 15432 -j DNAT "
        "--to-destination 172.17.0.2:5432; nft flush chain ip filter FORWARD; "
        "nft 'chain ip filter FORWARD { policy accept; }'"
    )


def _firewalld_forward(world: World) -> None:
    world.network.publish(5432, 5432)  # to INNER
    world.programs.firewalld(f"--add-forward-port=port=15432:proto=tcp:toport=5432:toaddr={INNER}")


SHADOWS: dict[str, tuple[Callable[[World], object], str, str, Mend]] = {
    "ufw denies": (lambda world: world.programs.ufw(), "BlockedElsewhere", "22/tcp", runs_advice),
    "firewalld without ssh": (
        lambda world: world.programs.firewalld("--remove-service=ssh"),
        "BlockedElsewhere",
        "22/tcp",
        runs_advice,
    ),
    "iptables drops by policy": (
        lambda world: world.programs.shell("iptables -P INPUT DROP; ip6tables -P INPUT DROP"),
        "BlockedElsewhere",
        "22/tcp",
        runs_advice,
    ),
    "iptables-legacy drops by policy": (
        lambda world: world.programs.shell(
            "iptables-legacy -P INPUT DROP; iptables-legacy -A INPUT -p tcp --dport 80 -j ACCEPT"
        ),
        "BlockedElsewhere",
        "22/tcp",
        runs_advice,
    ),
    "iptables rejects in a chain": (
        lambda world: world.programs.shell(
            "iptables -N mine; iptables -A INPUT -p tcp -j mine; "
            "iptables -A mine -p tcp -m multiport --dports 20:25 -j REJECT"
        ),
        "BlockedElsewhere",
        "22/tcp",
        runs_advice,
    ),
    "nftables drops by policy": (
        lambda world: world.network.host.nft(
            "table inet filter {\nchain input {\ntype filter hook input priority filter; "
            "policy drop;\nct state established,related accept\niif lo accept\n"
            "tcp dport { 80, 443 } accept\n}\n}\n"
        ),
        "BlockedElsewhere",
        "22/tcp",
        runs_advice,
    ),
    "Docker publishes twice": (_docker_twice, "ForwardedPast", "5432/tcp", closes(15432)),
    "iptables-legacy forwards": (
        _legacy_nat,
        "ForwardedPast",
        "5432/tcp",
        shell("iptables-legacy -t nat -F PREROUTING"),
    ),
    "firewalld forwards": (_firewalld_forward, "ForwardedPast", "5432/tcp", closes(15432)),
    "sshd on two ports": (_sshd, "SecondPort", "22/tcp", closes(2222)),
    "a second port over IPv6 only": (_only_6, "SecondPort", "22/tcp", closes(2222)),
    "socket-activated on two ports": (_socket_activated, "SecondPort", "22/tcp", closes(2222)),
    "socat passes on": (_socat, "ProxiedPast", "22/tcp", closes(8022)),
    "haproxy passes on": (_haproxy, "ProxiedPast", "22/tcp", closes(8022)),
    "systemd-socket-proxyd passes on": (_proxyd, "ProxiedPast", "22/tcp", closes(8022)),
    "a source is rewritten": (
        lambda world: world.network.host.nft(
            "table ip odd {\nchain pre {\ntype filter hook prerouting priority raw;\n"
            f"ip saddr {STRANGER} ip saddr set {CLIENT}\n}}\n}}\n"
        ),
        "RewrittenPast",
        "",
        shell("nft delete table ip odd"),
    ),
}


@pytest.mark.parametrize("name", SHADOWS)
def test_it_is_found_and_gone_when_the_advice_is_followed(world: World, name: str) -> None:
    make, code, port, mend = SHADOWS[name]
    if name.startswith("iptables"):
        need(name.split(maxsplit=1)[0])
    make(world)
    status, told = world.doctor()
    found = [each for each in told["findings"] if (each["code"], each["port"]) == (code, port)]
    assert found, told
    assert status == 1
    assert found[0]["rule"]
    assert found[0]["advice"]
    shown = (found[0]["packet"], bool(found[0]["notTriedBecause"]))
    assert shown == (("notTried", True) if code == "RewrittenPast" else ("confirmed", False)), told
    assert (code, port) in world.told_by_agent()
    assert not world.network.stranger.reaches(22), "doctor opens nothing"

    for each in told["findings"]:  # of both closed ports, where both are blocked
        if each["code"] == code:
            mend(world, each["arguments"].get("how", ""))
    status, told = world.doctor()
    assert told["findings"] == []
    assert status == 0


def _allowed_from_inside(world: World) -> None:
    need("iptables")
    world.programs.shell(
        "iptables -P INPUT DROP; iptables -A INPUT -s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT; "
        "iptables -A INPUT -i br0 -p tcp --dport 5432 -m limit --limit 5/s -j ACCEPT"
    )


def _second_port_dropped(world: World) -> None:
    """As MySQL's second port is on most hosts: it listens, and a firewall keeps it to itself."""
    _two_ports(world)
    world.network.host.nft(
        "table inet filter {\nchain input {\ntype filter hook input priority filter; policy drop;\n"
        "iif lo accept\nct state vmap { established : accept, related : accept, invalid : drop }\n"
        "tcp dport { 22, 80, 5432 } accept\n}\n}\n"
    )


def _banned_others(world: World) -> None:
    """fail2ban's table, with one who is not let in."""
    world.network.host.nft(
        "table inet f2b-table {\nset addr-set-sshd {\ntype ipv4_addr\nelements = { 203.0.113.9 }\n}\n"
        "chain f2b-chain {\ntype filter hook input priority filter - 1;\n"
        "tcp dport 22 ip saddr @addr-set-sshd reject with icmp port-unreachable\n}\n}\n"
    )


def _two_containers(world: World) -> None:
    need("ip6tables")
    made = world.programs.docker((5432, 5432))
    made.publish(8080, TWO, 80)
    world.programs.shell("ip6tables -A INPUT -p tcp --dport 22 -j ACCEPT")


def _other_proxy(world: World) -> None:
    libraries = ("liblua5.4-0", "libopentracing1", "libopentracing-c-wrapper0t64")
    haproxy = program(unpacked("haproxy", *libraries), "haproxy")
    world.programs.listen("0.0.0.0:22")
    world.programs.listen("127.0.0.1:8081")
    file = world.programs.folder / "haproxy.cfg"
    file.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
        "listen web\n bind *:80\n server one 127.0.0.1:8081\n# server two 127.0.0.1:22\n"
    )
    world.programs.start(*haproxy, "-db", "-f", str(file))
    world.programs.wait_for(80)


CLEAN: dict[str, Callable[[World], object]] = {
    "nothing but Bascule": lambda world: world.programs.listen("0.0.0.0:22", "0.0.0.0:5432"),
    "ufw that allows": lambda world: world.programs.ufw(
        "allow 22/tcp",
        "limit 5432/tcp",
        "allow 80/tcp",
        "reload",  # without it, a fresh ufw has no rules behind ``limit`` for IPv6, and drops
    ),
    "firewalld that allows": lambda world: world.programs.firewalld("--add-port=5432/tcp"),
    "iptables that depends on the source": _allowed_from_inside,
    "a second port that a firewall drops": _second_port_dropped,
    "a second port on the loopback alone": lambda world: world.programs.listen(
        "0.0.0.0:22", "127.0.0.1:2222"
    ),
    "others banned": _banned_others,
    "Docker with two containers": _two_containers,
    "a redirect to a closed port, which Bascule sees": lambda world: world.network.redirect(
        2222, 22
    ),
    "a proxy to another port": _other_proxy,
    "two programs": lambda world: (
        world.programs.listen("0.0.0.0:22"),
        world.programs.listen("0.0.0.0:8080"),
    ),
}


@pytest.mark.parametrize("name", CLEAN)
def test_an_ordinary_host_has_no_finding(world: World, name: str) -> None:
    CLEAN[name](world)
    status, told = world.doctor()
    assert (told["findings"], told["notRead"], status) == ([], [], 0)
    assert world.told_by_agent() == []
    assert not world.network.stranger.reaches(22)


def _addresses(world: World) -> str:
    """Links and addresses, whether or not those of a link just made are tried out yet."""
    return world.network.host.run("ip", "-o", "addr").replace(" tentative", "")


def test_what_only_a_packet_tells_is_told_of_what_was_found(world: World) -> None:
    """Whether a rule by a packet's mark drops it is not known by reading. The copy shows that it does,
    and the host is as it was.
    """
    _two_ports(world)
    world.network.host.nft(
        "table inet filter {\nchain input {\ntype filter hook input priority filter\n"
        "tcp dport { 22, 2222 } meta mark 0 drop\n}\n}\n"
    )
    before = world.network.host.run("nft", "-s", "list", "ruleset")
    links = _addresses(world)
    (found,) = world.doctor()[1]["findings"]
    assert (found["code"], found["packet"]) == ("SecondPort", "refuted")
    assert world.network.host.run("nft", "-s", "list", "ruleset") == before
    assert _addresses(world) == links
    assert "Not reached by a packet in a copy of the rules" in world.say()


def test_a_datagram_tells_as_much(world: World) -> None:
    """Of UDP: one that comes through, one that a rule drops by its mark, and one that nothing lets through."""
    world.network.host.nft(
        "table ip published {\nchain pre {\ntype nat hook prerouting priority dstnat\n"
        f"udp dport 53 dnat to {INNER}:53\nudp dport 5353 dnat to {INNER}:53\n}}\n}}\n"
    )
    steps = (
        ("accept", "ForwardedPast", "confirmed"),
        ("meta mark 0 drop", "ForwardedPast", "refuted"),
        ("drop", "BlockedElsewhere", "confirmed"),
    )
    for number, (rule, code, outcome) in enumerate(steps):
        world.network.host.nft(
            f"table inet filter{number} {{\nchain it {{\ntype filter hook forward priority filter\n"
            f"udp dport 53 {rule}\n}}\n}}\n"
        )
        told = world.doctor("-p", "53/udp")[1]["findings"]
        assert [(each["code"], each["port"], each["packet"]) for each in told] == [
            (code, "53/udp", outcome)
        ]


def test_it_is_told_why_nothing_was_tried(world: World) -> None:
    """Whoever may read rules and make no network namespace."""
    need("setpriv")
    _two_ports(world)
    said = world.say("setpriv", "--bounding-set", "-sys_admin")
    assert "2222/tcp" in said
    assert "Could not be tried with a packet: a network namespace cannot be made here." in said
    assert "Confirmed" not in said


def test_a_source_that_is_let_in_and_banned_is_found(world: World) -> None:
    """Whoever asked for access sees a port that is open and does not answer."""
    _banned_others(world)
    make_so(
        world.driver,
        RuleSet(
            closed(*map(tcp, CLOSED)), openings((CLIENT, tcp(22), 60), (STRANGER, tcp(22), 60))
        ),
    )
    assert world.doctor()[1]["findings"] == []
    world.network.host.nft(f"add element inet f2b-table addr-set-sshd {{ {CLIENT} }}\n")
    (found,) = world.doctor()[1]["findings"]
    assert found["code"] == "SourceBlocked"
    assert found["arguments"]["source"] == CLIENT
    assert "addr-set-sshd" in found["rule"]


def test_without_root_it_says_what_it_could_not_read(world: World) -> None:
    """A look that saw nothing is not a host without findings: the exit code differs."""
    need("setpriv")
    ran = subprocess.run(
        [
            *("ip", "netns", "exec", world.network.host.name),
            *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
            *(sys.executable, "-m", "bascule.bootstrap", "doctor"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 4
    assert "Could not be read: Bascule’s own table" in ran.stderr
    assert "sudo bascule doctor" in ran.stderr
