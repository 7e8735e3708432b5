"""Which interfaces are container networks' own: what comes from there is a container's.

Source: rtnetlink(7), RTM_GETLINK, RTM_GETROUTE; if_link.h. Such an interface is a bridge all
of whose ports are of containers or virtual machines (veth, tap), or a veth with its other
end in a container, which is known by a route of its own to one of the addresses asked about.
None has a default route or a physical port. What is not known to be one is none.
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
_TO, _OUT, _GATEWAY, _MULTIPATH, _VIA = 1, 4, 5, 9, 18  # RTA_*
_UNICAST = 1  # RTN_UNICAST
_PORTS = ("veth", "tun")  # what may be in a container network's bridge
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # others are not written into rules


@dataclass(frozen=True, slots=True)
class _Link:
    name: str
    kind: str  # empty: physical, or the loopback
    master: int  # index of the bridge that it is a port of; 0: none


@dataclass(frozen=True, slots=True)
class _Route:
    to: Network
    is_direct: bool  # to a neighbour, not through a gateway


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
        found[index] = _Link(
            name=_text(given.get(_NAME, b"")),
            kind=_text(info.get(_KIND, b"")),
            master=struct.unpack("=I", master)[0] if master else 0,
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
