"""Which interfaces are container networks' own: what comes from there is a container's.

Source: rtnetlink(7), RTM_GETLINK, RTM_GETROUTE; if_link.h. Such an interface is a bridge all
of whose ports are of containers or virtual machines (veth, tap), or a veth with its other
end in a container, which is known by a route of its own to one of the addresses asked about.
None has a default route or a physical port. What is not known to be one is none.

Also here: the bridges that lead to the default route.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_network

from bascule.domain.net import Address, Network
from bascule.drivers.linux import netlink

_ROUTE = 0  # NETLINK_ROUTE
_GET_LINK, _GET_ROUTE = 18, 26
_LINK_HEADER, _ROUTE_HEADER = 16, 12  # ifinfomsg, rtmsg
_NAME, _MASTER, _INFO, _KIND = 3, 10, 18, 1  # IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, INFO_KIND
_DATA = 2  # IFLA_INFO_DATA
_CALLS = {4: 36, 6: 37}  # IFLA_BR_NF_CALL_IPTABLES, IFLA_BR_NF_CALL_IP6TABLES
_TO, _OUT, _GATEWAY, _MULTIPATH, _VIA = 1, 4, 5, 9, 18  # RTA_*
_UNICAST = 1  # RTN_UNICAST
_PORTS = ("veth", "tun")  # what may be in a container network's bridge
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # others are not written into rules


@dataclass(frozen=True, slots=True)
class _Link:
    name: str
    kind: str  # empty: physical, or the loopback
    master: int  # index of the bridge that it is a port of; 0: none
    judged: frozenset[int] = (
        frozenset()
    )  # of a bridge: IP versions whose rules its own setting calls


@dataclass(frozen=True, slots=True)
class _Route:
    to: Network
    is_direct: bool  # to a neighbour, not through a gateway


@dataclass(frozen=True, slots=True)
class Bridge:
    index: int
    name: str
    judged: frozenset[
        int
    ]  # IP versions whose rules it has look at what it carries, by its own setting


def default_bridges(version: int) -> list[Bridge]:
    """Bridges of two ports or more by which a default route of that IP version leads. Raises OSError."""
    links = _links()
    return [
        Bridge(index, link.name, link.judged)
        for index, link in links.items()
        if link.kind == "bridge"
        and sum(each.master == index for each in links.values()) > 1
        and any(route.to.version == version and route.to.prefixlen <= 1 for route in _routes(index))
    ]


def container_links(targets: Collection[Address]) -> frozenset[str]:
    """Their names, as far as they matter for ``targets``. Raises OSError."""
    if not targets:
        return frozenset()
    links = _links()
    return frozenset(
        link.name
        for index, link in links.items()
        if not link.master
        and _PLAIN.fullmatch(link.name)
        and link.kind in ("bridge", "veth")
        and all(each.kind in _PORTS for each in links.values() if each.master == index)
        and _is_own(link, _routes(index), targets)
    )


def container_bridges() -> frozenset[int]:
    """The indexes of bridges that are container networks' own. Raises OSError."""
    links = _links()
    return frozenset(
        index
        for index, link in links.items()
        if link.kind == "bridge"
        and all(each.kind in _PORTS for each in links.values() if each.master == index)
        and _is_own(link, _routes(index), ())
    )


def _is_own(link: _Link, routes: Collection[_Route], targets: Collection[Address]) -> bool:
    if any(route.to.prefixlen <= 1 for route in routes):  # by halves it is a default route as well
        return False
    leads = any(route.is_direct and to in route.to for route in routes for to in targets)
    return link.kind == "bridge" or leads


def _links() -> dict[int, _Link]:
    found = {}
    for reply in netlink.dump(_ROUTE, _GET_LINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0)):
        index = struct.unpack_from("=i", reply, 4)[0]
        given = dict(netlink.attributes(reply[_LINK_HEADER:]))
        info = dict(netlink.attributes(given.get(_INFO, b"")))
        master = given.get(_MASTER)
        data = dict(netlink.attributes(info.get(_DATA, b"")))
        found[index] = _Link(
            name=_text(given.get(_NAME, b"")),
            kind=_text(info.get(_KIND, b"")),
            master=struct.unpack("=I", master)[0] if master else 0,
            judged=frozenset(v for v, call in _CALLS.items() if any(data.get(call, b""))),
        )
    return found


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _routes(index: int) -> list[_Route]:
    """Every unicast route through this interface, of any routing table."""
    found = []
    for family, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)
        body += netlink.attribute(_OUT, struct.pack("=I", index))
        for reply in netlink.dump(_ROUTE, _GET_ROUTE, body, is_strict=True):
            length, kind = reply[1], reply[7]
            given = dict(netlink.attributes(reply[_ROUTE_HEADER:]))
            if kind == _UNICAST:
                to = given.get(_TO, b"").ljust(size, b"\0")
                is_direct = not given.keys() & {_GATEWAY, _MULTIPATH, _VIA}
                found.append(_Route(ip_network((to, length), strict=False), is_direct))
    return found
