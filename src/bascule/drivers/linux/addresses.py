"""The addresses of this host: its connections to itself pass over ``lo`` and no gate.

Source: rtnetlink(7), RTM_GETADDR.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address
from bascule.drivers.linux import netlink

_ROUTE = 0  # NETLINK_ROUTE
_GETADDR = 22
_IFADDRMSG = 8  # bytes before the attributes
_ADDRESS, _LOCAL = 1, 2  # IFA_ADDRESS is the peer's on a point-to-point link


def local_addresses() -> frozenset[Address]:
    """Every address configured on an interface. Raises OSError."""
    body = struct.pack("=BBBBI", socket.AF_UNSPEC, 0, 0, 0, 0)
    found: set[Address] = set()
    for reply in netlink.dump(_ROUTE, _GETADDR, body):
        given = dict(netlink.attributes(reply[_IFADDRMSG:]))
        raw = given.get(_LOCAL) or given.get(_ADDRESS, b"")
        if len(raw) == 4:
            found.add(IPv4Address(raw))
        elif len(raw) == 16:
            found.add(IPv6Address(raw))
    return frozenset(found)
