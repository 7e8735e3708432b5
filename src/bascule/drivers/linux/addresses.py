"""The addresses of this host: its connections to itself pass over ``lo`` and no gate.

Source: rtnetlink(7), RTM_GETADDR, RTM_GETROUTE.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address
from bascule.drivers.linux import netlink

_ROUTE = 0  # NETLINK_ROUTE
_GETADDR, _GETROUTE = 22, 26
_IFADDRMSG = 8  # bytes before the attributes
_ADDRESS, _LOCAL = 1, 2  # IFA_ADDRESS is the peer's on a point-to-point link
_TO, _RTN_LOCAL = 1, 2  # RTA_DST
_NOWHERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)  # no such route


def local_addresses() -> frozenset[Address]:
    """Every address configured on an interface. Raises OSError."""
    return frozenset(address for _, address in addresses_of_interfaces())


def addresses_of_interfaces() -> list[tuple[int, Address]]:
    """Each address with the index of its interface. Raises OSError."""
    body = struct.pack("=BBBBI", socket.AF_UNSPEC, 0, 0, 0, 0)
    found: list[tuple[int, Address]] = []
    for reply in netlink.dump(_ROUTE, _GETADDR, body):
        given = dict(netlink.attributes(reply[_IFADDRMSG:]))
        raw = given.get(_LOCAL) or given.get(_ADDRESS, b"")
        index = struct.unpack_from("=I", reply, 4)[0]
        if len(raw) == 4:
            found.append((index, IPv4Address(raw)))
        elif len(raw) == 16:
            found.append((index, IPv6Address(raw)))
    return found


def is_local(address: bytes) -> bool:
    """Is what comes to this address (4 or 16 bytes) delivered here? By a route alone, too.

    Raises OSError.
    """
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    body = struct.pack("=BBBBBBBBI", family, len(address) * 8, 0, 0, 0, 0, 0, 0, 0)
    try:
        reply = netlink.ask(_ROUTE, _GETROUTE, body + netlink.attribute(_TO, address))
    except OSError as error:
        if error.errno in _NOWHERE:
            return False
        raise
    return reply[7] == _RTN_LOCAL
