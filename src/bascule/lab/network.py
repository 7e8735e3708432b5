"""The lab's network: two bridges in a namespace of their own, one cable to each host, two to the
gateway, which alone is on both.

Sources: ip-netns(8), ip-link(8), ip-address(8), veth(4). No cable ends in the host's own
namespace. ``render_*`` are pure and give text for ``ip -batch``.
What is not here: mount and UTS namespaces (``host``).
"""

from __future__ import annotations

import subprocess

from bascule.errors import EnforcementFailed
from bascule.lab.environment import find_tool
from bascule.lab.topology import (
    IPV4_BEHIND,
    IPV4_LENGTH,
    IPV6_BEHIND,
    IPV6_LENGTH,
    LabHost,
    Topology,
)

_BRIDGE, _BEHIND = "br0", "br1"
_CABLE, _INNER_CABLE = "eth0", "eth1"  # the host's ends


def render_namespaces(topology: Topology) -> str:
    """Register all namespaces under /run/netns."""
    return "".join(f"netns add {name}\n" for name in topology.namespaces)


def render_bridge(topology: Topology) -> str:
    """Run inside the bridge's namespace.

    The bridge forwards at once and does not snoop multicast: IPv6 neighbours find each other by
    it, and a snooping bridge without a querier may forget a group.
    """
    lines = ["link set lo up"]
    for bridge in (_BRIDGE, _BEHIND):
        lines += [
            f"link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            f"link set {bridge} up",
        ]
    for host in topology.hosts:
        bridge = _BEHIND if host.is_behind else _BRIDGE
        lines += _cable(f"p{host.number}", bridge, _CABLE, topology.namespace(host))
    gateway = topology.gateway
    lines += _cable(f"q{gateway.number}", _BEHIND, _INNER_CABLE, topology.namespace(gateway))
    return "\n".join(lines) + "\n"


def _cable(near: str, bridge: str, far: str, namespace: str) -> list[str]:
    return [
        f"link add {near} type veth peer name {far} netns {namespace}",
        f"link set {near} master {bridge} up",
    ]


def render_host(topology: Topology, host: LabHost) -> str:
    """Run inside a host's namespace. No duplicate address detection: it takes a second."""
    inner = (f"{IPV4_BEHIND}.1", f"{IPV6_BEHIND}:1")  # the gateway's
    lines = ["link set lo up", *_addressed(_CABLE, *host.addresses)]
    if host == topology.gateway:
        lines += _addressed(_INNER_CABLE, *inner)
    elif host.is_behind:
        lines += [f"route add 0.0.0.0/0 via {inner[0]}", f"route add ::/0 via {inner[1]}"]
    else:
        lines += [
            f"route add {IPV4_BEHIND}.0/{IPV4_LENGTH} via {topology.gateway.ipv4}",
            f"route add {IPV6_BEHIND}:/{IPV6_LENGTH} via {topology.gateway.ipv6}",
        ]
    return "\n".join(lines) + "\n"


def _addressed(cable: str, ipv4: str, ipv6: str) -> list[str]:
    return [
        f"address add {ipv4}/{IPV4_LENGTH} dev {cable}",
        f"address add {ipv6}/{IPV6_LENGTH} dev {cable} nodad",
        f"link set {cable} up",
    ]


def _run(arguments: list[str], text: str = "") -> None:
    ip = find_tool("ip") or "ip"
    done = subprocess.run([ip, *arguments], input=text, capture_output=True, text=True, check=False)  # noqa: S603  # reason: a list, no shell
    if done.returncode != 0:
        raise EnforcementFailed(
            f"`ip {' '.join(arguments)}` failed: {done.stderr.strip() or done.returncode}",
            advice="the lab creates network namespaces: root needs the capabilities SYS_ADMIN and "
            "NET_ADMIN (in a container: run it privileged)",
        )


def make_network(topology: Topology) -> None:
    """Make all of it; what a failed attempt left is for ``remove_network``."""
    _run(["-batch", "-"], render_namespaces(topology))
    _run(["-n", topology.bridge_namespace, "-batch", "-"], render_bridge(topology))
    for host in topology.hosts:
        _run(["-n", topology.namespace(host), "-batch", "-"], render_host(topology, host))


def remove_network(names: list[str]) -> None:
    """Take these namespaces off the register; each ends with the last process in it."""
    for name in names:
        _run(["netns", "delete", name])
