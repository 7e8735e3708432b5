"""Containers beside a Network's host, with the rules that Docker before 28 writes for them.

    docker0   172.17.0.1/16  fd17::1/64    one    172.17.0.2  fd17::2
                                           two    172.17.0.3  fd17::3
    apart     172.18.0.1/16                other  172.18.0.2

The rules are those of Debian's docker.io (26.1): iptables-nft's, as nft prints them. Those that
keep one container network from the other are left out, as Podman does. The host's default route
leads to where its clients are.
"""

from __future__ import annotations

from tests.netns.network import CLIENT, CLIENT6, HOST, HOST6, Network, Space

ONE, ONE6 = "172.17.0.2", "fd17::2"
TWO, TWO6 = "172.17.0.3", "fd17::3"
OTHER = "172.18.0.2"

_FILTER = """table {family} filter {{
chain FORWARD {{
type filter hook forward priority filter; policy drop;
counter jump DOCKER-USER
oifname "docker0" ct state related,established counter accept
oifname "docker0" counter jump DOCKER
iifname "docker0" counter accept
iifname "apart" counter accept
}}
chain DOCKER-USER {{
counter return
}}
chain DOCKER {{
}}
}}
"""
_NAT = """table {family} nat {{
chain PREROUTING {{
type nat hook prerouting priority dstnat; policy accept;
fib daddr type local counter jump DOCKER
}}
chain OUTPUT {{
type nat hook output priority dstnat; policy accept;
{header} daddr != {loopback} fib daddr type local counter jump DOCKER
}}
chain POSTROUTING {{
type nat hook postrouting priority srcnat; policy accept;
{header} saddr {network} oifname != "docker0" counter masquerade
}}
chain DOCKER {{
iifname "docker0" counter return
}}
}}
"""


class Containers:
    """``publish`` is what ``docker run --publish`` writes."""

    def __init__(self, network: Network) -> None:
        self._host = host = network.host
        self.one = self._container(network, "one", "docker0", ONE, ONE6)
        self.two = self._container(network, "two", "docker0", TWO, TWO6)
        self.other = self._container(network, "other", "apart", OTHER)
        host.run("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1")
        host.run("ip", "route", "replace", "default", "via", CLIENT, "dev", "br0")
        host.run("ip", "-6", "route", "replace", "default", "via", CLIENT6, "dev", "br0")
        for space in (network.client, network.stranger):  # past the host's ports
            space.run("ip", "route", "add", "172.17.0.0/16", "via", HOST)
            space.run("ip", "-6", "route", "add", "fd17::/64", "via", HOST6)
        self._rules = {
            "ip": ("127.0.0.0/8", "172.17.0.0/16"),
            "ip6": ("::1", "fd17::/64"),
        }
        for family in self._rules:
            host.nft(_FILTER.format(family=family))
            self.translate(family)

    def translate(self, family: str) -> None:
        loopback, network = self._rules[family]
        self._host.nft(
            _NAT.format(family=family, header=family, loopback=loopback, network=network)
        )

    def publish(self, port: int, to: str, own: int, protocol: str = "tcp") -> None:
        family, target = ("ip6", f"[{to}]:{own}") if ":" in to else ("ip", f"{to}:{own}")
        self._host.nft(
            f'add rule {family} nat DOCKER iifname != "docker0" {protocol} dport {port} '
            f"counter dnat to {target}\n"
            f'add rule {family} filter DOCKER {family} daddr {to} iifname != "docker0" '
            f'oifname "docker0" {protocol} dport {own} counter accept\n'
        )

    def unpublish(self, family: str = "ip") -> None:
        """Every container stops."""
        self._host.nft(f"flush chain {family} nat DOCKER\nflush chain {family} filter DOCKER\n")

    def _container(
        self, network: Network, name: str, bridge: str, address: str, address6: str = ""
    ) -> Space:
        host = self._host
        space = network.keep(Space(f"{host.name}{name}"))
        if bridge not in host.run("ip", "-br", "link"):
            host.run("ip", "link", "add", bridge, "type", "bridge")
            host.run("ip", "link", "set", bridge, "up")
            host.run("ip", "addr", "add", address.rpartition(".")[0] + ".1/16", "dev", bridge)
            if address6:
                host.run("ip", "addr", "add", "fd17::1/64", "dev", bridge, "nodad")
        host.run("ip", "link", "add", name, "type", "veth", "peer", "e0", "netns", space.name)
        host.run("ip", "link", "set", name, "master", bridge, "up")
        space.run("ip", "link", "set", "lo", "up")
        space.run("ip", "link", "set", "e0", "up")
        space.run("ip", "addr", "add", f"{address}/16", "dev", "e0")
        gateway = address.rpartition(".")[0] + ".1"
        space.run("ip", "route", "add", "default", "via", gateway)
        if address6:
            space.run("ip", "addr", "add", f"{address6}/64", "dev", "e0", "nodad")
            space.run("ip", "-6", "route", "add", "default", "via", "fd17::1")
        return space
