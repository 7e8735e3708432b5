"""The lab's network: one bridge in a namespace of its own, one cable to each host.

Sources: ip-netns(8), ip-link(8), ip-address(8), veth(4). No cable ends in the host's own
namespace. ``render_*`` are pure and give text for ``ip -batch``.
What is not here: mount and UTS namespaces (``host``).
"""

from __future__ import annotations

import subprocess

from bascule.errors import EnforcementFailed
from bascule.lab.environment import find_tool
from bascule.lab.topology import IPV4_LENGTH, IPV6_LENGTH, LabHost, Topology

_BRIDGE = "br0"
_CABLE = "eth0"  # the host's end


def render_namespaces(topology: Topology) -> str:
    """Register all namespaces under /run/netns."""
    return "".join(f"netns add {name}\n" for name in topology.namespaces)


def render_bridge(topology: Topology) -> str:
    """Run inside the bridge's namespace.

    The bridge forwards at once and does not snoop multicast: IPv6 neighbours find each other by
    it, and a snooping bridge without a querier may forget a group.
    """
    lines = [
        "link set lo up",
        f"link add {_BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"link set {_BRIDGE} up",
    ]
    for host in topology.hosts:
        near = f"p{host.number}"
        lines += [
            f"link add {near} type veth peer name {_CABLE} netns {topology.namespace(host)}",
            f"link set {near} master {_BRIDGE} up",
        ]
    return "\n".join(lines) + "\n"


def render_host(host: LabHost) -> str:
    """Run inside a host's namespace. No duplicate address detection: it takes a second."""
    return (
        "link set lo up\n"
        f"address add {host.ipv4}/{IPV4_LENGTH} dev {_CABLE}\n"
        f"address add {host.ipv6}/{IPV6_LENGTH} dev {_CABLE} nodad\n"
        f"link set {_CABLE} up\n"
    )


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
        _run(["-n", topology.namespace(host), "-batch", "-"], render_host(host))


def remove_network(names: list[str]) -> None:
    """Take these namespaces off the register; each ends with the last process in it."""
    for name in names:
        _run(["netns", "delete", name])
