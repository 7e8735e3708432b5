"""Which way this host sends packets: one lookup of the kernel's routes.

Source: rtnetlink(7), RTM_GETROUTE; linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address
from bascule.drivers.linux import netlink

_ROUTE = 0  # NETLINK_ROUTE
_GET_ROUTE = 26
_HEADER = 12  # rtmsg
_TO, _OUT, _GATEWAY, _SOURCE, _VIA = 1, 4, 5, 7, 18  # RTA_*
_UNICAST = 1  # RTN_UNICAST
_NOWHERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)  # no such route


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a packet goes next."""

    interface: int  # its index
    via: Address | None  # the router; None: the address is a neighbour
    source: Address | None  # which address of this host's own packets have


def hop_to(address: Address) -> Hop | None:
    """None: nowhere, or to this host itself. Raises OSError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBBBBBI", family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    try:
        reply = netlink.ask(_ROUTE, _GET_ROUTE, body + netlink.attribute(_TO, address.packed))
    except OSError as error:
        if error.errno in _NOWHERE:
            return None
        raise
    if reply[7] != _UNICAST:
        return None
    given = dict(netlink.attributes(reply[_HEADER:]))
    via = given.get(_GATEWAY) or given.get(_VIA, b"")[2:]
    interface = struct.unpack("=I", given[_OUT])[0] if _OUT in given else 0
    return Hop(interface, _address(via), _address(given.get(_SOURCE, b"")))


def _address(raw: bytes) -> Address | None:
    if len(raw) == 4:
        return IPv4Address(raw)
    return IPv6Address(raw) if len(raw) == 16 else None
