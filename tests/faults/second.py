"""The second gateway of a lab for faults, in parallel to the lab's own: another way to app-1.

    client, stranger  ->  gw    10.203.0.23  ->  10.203.1.31 app-1, 10.203.1.32 sql-1
                      ->  gw-2  10.203.0.24  ->  10.203.2.31 app-1

For the programs of the lab it is a machine with an agent. What makes it a gateway is here: a bridge
behind it, a second cable of app-1 (which answers by the gateway that a packet came through), routes, and
its guard file. ``python -m tests.faults.second STEP FOLDER LAB SHAPE`` does a step of the lab's seed.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from unittest.mock import patch

from bascule.client.connection import Connection
from bascule.client.fleet import bind
from bascule.client.machines import get_machine
from bascule.domain.ids import ResourceId
from bascule.lab import seed
from bascule.lab.resources import machine_id
from bascule.lab.topology import PUBLIC_PORTS, LabHost, Shape, Topology, default_topology
from tests.faults.schedule import BEHIND, GATEWAY, GATEWAY2

IPV4, IPV6 = "10.203.2", "fd20:5:"  # behind it; it is number 1 there
_BRIDGE, _TABLE = "br2", "2"


def fault_topology(lab: str, shape: Shape) -> Topology:
    made = default_topology(lab, shape)
    return replace(made, hosts=(*made.hosts, LabHost(GATEWAY2, "machine", 24)))


def addresses_at(topology: Topology, machine: str, way: str) -> tuple[str, str]:
    """Where a gateway reaches a machine; way empty: where everybody does."""
    host = topology.host(machine)
    return (f"{IPV4}.{host.number}", f"{IPV6}:{host.number}") if way == GATEWAY2 else host.addresses


def guard_text(topology: Topology) -> str:
    public = '", "'.join(topology.host(GATEWAY2).addresses)
    return (
        f'networks = ["{IPV4}.0/24", "{IPV6}:/64"]\n'
        f'public_addresses = ["{public}"]\n'
        f'public_ports = "{PUBLIC_PORTS[0]}-{PUBLIC_PORTS[1]}"\n'
        "release = true\n"
    )


def _behind() -> list[str]:
    return [name for name, ways in BEHIND.items() if GATEWAY2 in ways]


def join(topology: Topology) -> None:
    """Lay its cables and routes in a lab whose hosts stand."""
    gateway = topology.host(GATEWAY2)
    inside, bridge = topology.namespace(gateway), topology.bridge_namespace
    no_delay = ("forward_delay", "0", "mcast_snooping", "0")
    _ip(bridge, "link", "add", _BRIDGE, "type", "bridge", *no_delay)
    _ip(bridge, "link", "set", _BRIDGE, "up")
    _cable(topology, gateway, 1)
    for name in _behind():
        host = topology.host(name)
        _cable(topology, host, host.number)
        for family, address, via in (
            ("-4", f"{IPV4}.{host.number}", f"{IPV4}.1"),
            ("-6", f"{IPV6}:{host.number}", f"{IPV6}:1"),
        ):
            there = topology.namespace(host)
            _ip(there, "rule", "add", "from", address, "lookup", _TABLE, family=family)
            _ip(there, "route", "add", "default", "via", via, "table", _TABLE, family=family)
    for host in topology.hosts:
        if not host.is_behind and host != gateway:
            there = topology.namespace(host)
            _ip(there, "route", "add", f"{IPV4}.0/24", "via", gateway.ipv4)
            _ip(there, "route", "add", f"{IPV6}:/64", "via", gateway.ipv6)
    for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        command = ["sh", "-c", f"echo 1 > /proc/sys/net/{switch}"]
        subprocess.run(["ip", "netns", "exec", inside, *command], check=True)


def _cable(topology: Topology, host: LabHost, number: int) -> None:
    near, there = f"r{host.number}", topology.namespace(host)
    peer = ("type", "veth", "peer", "name", "eth2", "netns", there)
    _ip(topology.bridge_namespace, "link", "add", near, *peer)
    _ip(topology.bridge_namespace, "link", "set", near, "master", _BRIDGE, "up")
    _ip(there, "address", "add", f"{IPV4}.{number}/24", "dev", "eth2")
    _ip(there, "address", "add", f"{IPV6}:{number}/64", "dev", "eth2", "nodad")
    _ip(there, "link", "set", "eth2", "up")


def _ip(namespace: str, *words: str, family: str = "") -> None:
    subprocess.run(["ip", "-n", namespace, *filter(None, [family]), *words], check=True)


def bind_both(topology: Topology, admin: Connection, subscription: str) -> None:
    """Have both gateways guard what is behind both, each as an alternative to the other."""

    def id_of(name: str) -> ResourceId:
        return ResourceId.parse_machine(machine_id(subscription, name))

    for way in (GATEWAY, GATEWAY2):
        uid = get_machine(admin, id_of(way)).uid
        for name in _behind():
            where = addresses_at(topology, name, way)
            bind(admin, id_of(name), uid, where, is_parallel=True)


if __name__ == "__main__":
    with patch.object(seed, "default_topology", fault_topology):
        sys.exit(seed.main(sys.argv[1:]))
