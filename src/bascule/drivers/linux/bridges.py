"""Bridges of a gateway that carry packets to machines behind it past ``forward`` (EDGES G9).

One that leads both to a machine and to the default route joins them in one segment: who is there
reaches the machine by the link, and no rule of IP sees that unless br_netfilter hands bridged packets
to it, by the setting of the network namespace or of the bridge. What is not here: tables of family
``bridge``, which may drop what is bridged; VLANs of a bridge; bridges without an address.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from bascule.domain.net import Address, PortKey, port_order
from bascule.domain.weaknesses import BRIDGED, Weakness
from bascule.drivers.linux.links import Bridge, default_bridges
from bascule.drivers.linux.routes import hop_to

_SETTINGS = {4: "bridge-nf-call-iptables", 6: "bridge-nf-call-ip6tables"}
_FOLDER = Path("/proc/sys/net/bridge")


def bridged(closed: Collection[PortKey]) -> Iterator[Weakness]:
    """The closed ports of machines that are reached so. Raises OSError."""
    behind = sorted((each for each in closed if each.at is not None), key=port_order)
    if not behind:
        return
    past = {
        version: {
            each.index: each for each in default_bridges(version) if not _judges(each, version)
        }
        for version in _SETTINGS
    }
    if not any(past.values()):
        return
    ways: dict[Address, Bridge | None] = {}
    for port in behind:
        at = port.at
        if at is None:
            continue
        if at not in ways:
            hop = hop_to(at)
            ways[at] = past[at.version].get(hop.interface) if hop is not None else None
        way = ways[at]
        if way is not None:
            yield BRIDGED(port=port, rule=way.name)


def _judges(bridge: Bridge, version: int) -> bool:
    """Do rules of IP judge what it carries?"""
    try:
        everywhere = (_FOLDER / _SETTINGS[version]).read_text("ascii").strip()
    except FileNotFoundError:  # the module is not loaded: then no bridge's own setting counts
        return False
    return everywhere != "0" or version in bridge.judged
