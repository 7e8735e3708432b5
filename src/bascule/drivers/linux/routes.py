"""Which way this host sends packets: one lookup of the kernel's routes.

Source: rtnetlink(7), RTM_GETROUTE; linux/rtnetlink.h, fib_rules.h. The kernel answers with its rules, tables and
redirects, as it would send the packet. Of a route with several next hops it names the one of a packet
without ports; RTM_F_FIB_MATCH has it name the whole route.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address
from bascule.drivers.linux import netlink

_ROUTE = 0  # NETLINK_ROUTE
_GET_ROUTE = 26
_HEADER = 12  # rtmsg
_TO, _FROM, _OUT, _GATEWAY, _SOURCE, _MULTIPATH, _VIA = 1, 2, 4, 5, 7, 9, 18  # RTA_*
_UNICAST = 1  # RTN_UNICAST
_UNREACHABLE = (6, 7, 8, 9)  # RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW
_WHOLE_ROUTE = 0x2000  # RTM_F_FIB_MATCH
_GET_RULE = 34
# FRA_*: DST, SRC, GOTO, PRIORITY, FLOW (a realm), SUPPRESS_IFGROUP, SUPPRESS_PREFIXLEN, TABLE, PAD, PROTOCOL (who
# made the rule). Any other selects by what is not known of an answer: a mark, an interface, a port, a service class.
_BY_ADDRESS = {1, 2, 4, 6, 11, 13, 14, 15, 18, 21}
_NEXT_HOP = struct.Struct("=HBBi")  # rtnexthop: length, flags, weight, interface
_GET_FLAGS = 0x8913  # SIOCGIFFLAGS: netdevice(7)
_FLAGS = struct.Struct("=16sH22x")  # ifreq
_POINT_TO_POINT, _NO_ARP = 0x10, 0x80  # IFF_*
_NOWHERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES)  # no such route


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
        if error.errno in (*_NOWHERE, errno.EINVAL):  # RTN_BLACKHOLE of IPv4
            return None
        raise
    if reply[7] != _UNICAST:
        return None
    given = dict(netlink.attributes(reply[_HEADER:]))
    via = given.get(_GATEWAY) or given.get(_VIA, b"")[2:]
    interface = struct.unpack("=I", given[_OUT])[0] if _OUT in given else 0
    return Hop(interface, _address(via), _address(given.get(_SOURCE, b"")))


def next_hops(destination: Address, source: Address | None) -> frozenset[Address] | None:
    """Where a packet from ``source``, an address of this host's own or (None) any, may go next: routers, or the
    destination itself where that is a neighbour. Empty: nowhere. None: it stays on this host, or goes into
    a tunnel or the like, whose other end has no address there, or another rule of routing than by
    addresses may send it elsewhere. None also where ``source`` is no address here, which the kernel tells
    by the number of a blackhole of IPv4. Raises OSError.
    """
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    if not _are_rules_by_address(family):
        return None
    length = destination.max_prefixlen
    asked = netlink.attribute(_TO, destination.packed)
    if source is not None:
        asked += netlink.attribute(_FROM, source.packed)
    found: set[Address] = set()
    for flags in (0, _WHOLE_ROUTE):
        source_length = 0 if source is None else length
        body = struct.pack("=BBBBBBBBI", family, length, source_length, 0, 0, 0, 0, 0, flags)
        try:
            reply = netlink.ask(_ROUTE, _GET_ROUTE, body + asked)
        except OSError as error:
            if error.errno in _NOWHERE:
                return frozenset()
            if error.errno == errno.EINVAL:
                return None
            raise
        if reply[7] in _UNREACHABLE:
            return frozenset()
        given = dict(netlink.attributes(reply[_HEADER:]))
        one = [(struct.unpack("=I", given.get(_OUT, bytes(4)))[0], given)]
        for interface, parts in _several(given[_MULTIPATH]) if _MULTIPATH in given else one:
            router = _address(parts.get(_GATEWAY) or parts.get(_VIA, b"")[2:])
            if reply[7] != _UNICAST or (router is None and not _has_neighbours(interface)):
                return None
            found.add(router or destination)
    return frozenset(found)


def _are_rules_by_address(family: int) -> bool:
    """Does no rule ask for a mark, a user, a port or the like, which answers may have?"""
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)
    return not any(
        reply[3] or dict(netlink.attributes(reply[_HEADER:])).keys() - _BY_ADDRESS  # its TOS
        for reply in netlink.dump(_ROUTE, _GET_RULE, body)
    )


def _several(raw: bytes) -> list[tuple[int, dict[int, bytes]]]:
    """The interface and the attributes of each next hop of a route."""
    found, at = [], 0
    while at + _NEXT_HOP.size <= len(raw):
        length, _, _, interface = _NEXT_HOP.unpack_from(raw, at)
        if length < _NEXT_HOP.size:
            break
        given = dict(netlink.attributes(raw[at + _NEXT_HOP.size : at + length]))
        found.append((interface, given))
        at += (length + 3) & ~3
    return found


def _has_neighbours(interface: int) -> bool:
    """Are there stations on its link, which are found by their addresses? Raises OSError."""
    name = socket.if_indextoname(interface).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = fcntl.ioctl(asked, _GET_FLAGS, _FLAGS.pack(name, 0))
    return not _FLAGS.unpack_from(answer)[1] & (_POINT_TO_POINT | _NO_ARP)


def _address(raw: bytes) -> Address | None:
    if len(raw) == 4:
        return IPv4Address(raw)
    return IPv6Address(raw) if len(raw) == 16 else None
