"""Tracked connections without a socket on this host: translated, or forwarded to a machine behind.

Source: linux/netfilter/nfnetlink_conntrack.h. What the gate sees in ``prerouting`` of one whose
destination was translated, a published container port's, is its original tuple. In ``forward`` it
sees the client of the original tuple and the machine of the reply's, however it was translated.
Needs CAP_NET_ADMIN and nf_conntrack_netlink. Connections that end here are in ``sockets``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address, PortBehind, PortKey, TransportProtocol
from bascule.drivers.linux import netlink
from bascule.drivers.linux.sockets import Connection, State

_NETFILTER = 12  # NETLINK_NETFILTER
_CT_GET = (1 << 8) | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO, _FILTER, _STATUS_MASK = 1, 2, 3, 4, 25, 26
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SOURCE = (1, 3)  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
_IP_DESTINATION = (2, 4)
_PROTO_NUM, _PROTO_SPORT, _PROTO_DPORT = 1, 2, 3
_PROTOINFO_TCP, _TCP_STATE = 1, 1
_ORIG_FLAGS, _REPLY_FLAGS = 1, 2  # CTA_FILTER_*
# CTA_FILTER_F_CTA_PROTO_NUM, CTA_FILTER_F_CTA_PROTO_SRC_PORT; by IPv6 addresses kernels filter wrong
_BY_SOURCE_PORT = 1 << 3 | 1 << 4
_FEW = 4  # up to so many numbers the kernel filters, two dumps each
_IS_ANSWERED = 1 << 1  # IPS_SEEN_REPLY
_IS_TRANSLATED = 1 << 5  # IPS_DST_NAT
_TCP = TransportProtocol.TCP
_PROTOCOLS = {
    int(socket.IPPROTO_TCP): TransportProtocol.TCP,
    int(socket.IPPROTO_UDP): TransportProtocol.UDP,
}
_STATES = {  # enum tcp_conntrack -> the socket state that it stands for
    2: State.SYN_RECV,
    3: State.ESTABLISHED,
    4: State.FIN_WAIT1,
    5: State.CLOSE_WAIT,
    6: State.LAST_ACK,
}


def translated_connections() -> Sequence[Connection]:
    """Every live TCP connection whose destination is translated, by its original tuple.

    Raises OSError when the kernel cannot be asked.
    """
    found = (_connection(reply) for reply in _translated())
    return [each for each in found if each is not None]


def forwarded_connections(ports: Collection[PortBehind]) -> Sequence[Connection]:
    """Every live TCP connection to one of these ports, from its client to the machine.

    Raises OSError when the kernel cannot be asked.
    """
    wanted = {(each.address, each.number) for each in ports if each.protocol is _TCP}
    found: dict[Connection, None] = {}
    for body in _questions({(address.version, number) for address, number in wanted}):
        for reply in netlink.dump(_NETFILTER, _CT_GET, body):
            found |= dict.fromkeys(
                each for each in _ways(reply) if (each.address, each.port) in wanted
            )
    return list(found)


def answered(ports: Collection[PortBehind]) -> set[tuple[Address, PortBehind]]:
    """The clients of TCP connections to these ports to which the machine has sent something through
    this host. Raises OSError when the kernel cannot be asked.
    """
    wanted = {(each.address, each.number): each for each in ports if each.protocol is _TCP}
    found: set[tuple[Address, PortBehind]] = set()
    for body in _questions({(address.version, number) for address, number in wanted}):
        for reply in netlink.dump(_NETFILTER, _CT_GET, body):
            entry = dict(netlink.attributes(reply[4:]))
            asked, answering = _tuple(entry.get(_TUPLE_ORIG)), _tuple(entry.get(_TUPLE_REPLY))
            if asked is None or answering is None or asked.protocol != socket.IPPROTO_TCP:
                continue
            port = wanted.get((answering.source, answering.source_port))
            if port is not None and _number(entry, _STATUS) & _IS_ANSWERED:
                found.add((asked.source, port))
    return found


def _number(entry: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(entry.get(kind, b""), "big")


def _questions(numbers: Collection[tuple[int, int]]) -> list[bytes]:
    """What to ask so that the answers hold every connection from one of these ports (IP version,
    number) in either direction, and few others: a kernel that filters for nothing answers with all.
    """
    if len(numbers) > _FEW:
        return [struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)]
    directions = (
        (_TUPLE_REPLY, _REPLY_FLAGS, _ORIG_FLAGS),
        (_TUPLE_ORIG, _ORIG_FLAGS, _REPLY_FLAGS),
    )
    return [
        _question(version, number, *direction)
        for version, number in numbers
        for direction in directions
    ]


def _question(version: int, number: int, direction: int, used: int, unused: int) -> bytes:
    source = netlink.attribute(_PROTO_NUM, bytes([socket.IPPROTO_TCP]))
    source += netlink.attribute(_PROTO_SPORT, struct.pack(">H", number))
    flags = netlink.attribute(unused, struct.pack("=I", 0))
    flags += netlink.attribute(used, struct.pack("=I", _BY_SOURCE_PORT))
    return (
        struct.pack("=BBH", socket.AF_INET if version == 4 else socket.AF_INET6, 0, 0)
        + _nested(direction, _nested(_TUPLE_PROTO, source))
        + _nested(_FILTER, flags)
    )


def _nested(kind: int, payload: bytes) -> bytes:
    return netlink.attribute(kind | netlink.NESTED, payload)


def _ways(reply: bytes) -> Iterator[Connection]:
    """A connection from its client's side. Of one that conntrack met in its middle, it may say that
    the machine began it: so each end may be the client.
    """
    entry = dict(netlink.attributes(reply[4:]))
    state = _STATES.get(_tcp_state(entry.get(_PROTOINFO, b"")))
    asked, answering = _tuple(entry.get(_TUPLE_ORIG)), _tuple(entry.get(_TUPLE_REPLY))
    if state is None or asked is None or answering is None:
        return
    if asked.protocol != socket.IPPROTO_TCP:
        return
    for client, machine in ((asked, answering), (answering, asked)):
        yield Connection(
            source=client.source,
            source_port=client.source_port,
            address=machine.source,
            port=machine.source_port,
            state=state,
            is_forwarded=True,
        )


def targets(ports: Collection[PortKey]) -> set[tuple[PortKey, tuple[Address, PortKey]]]:
    """Where connections to these ports went: the port, and the address and port behind it.

    Raises OSError when the kernel cannot be asked.
    """
    found = set()
    for reply in _translated():
        entry = dict(netlink.attributes(reply[4:]))
        asked, answering = _tuple(entry.get(_TUPLE_ORIG)), _tuple(entry.get(_TUPLE_REPLY))
        if asked is None or answering is None or asked.protocol not in _PROTOCOLS:
            continue
        protocol = _PROTOCOLS[asked.protocol]
        if 0 in (asked.port, answering.source_port):
            continue
        port = PortKey(protocol, asked.port)
        if port in ports:
            found.add((port, (answering.source, PortKey(protocol, answering.source_port))))
    return found


def _translated() -> Sequence[bytes]:
    wanted = struct.pack(">I", _IS_TRANSLATED)
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    body += netlink.attribute(_STATUS, wanted) + netlink.attribute(_STATUS_MASK, wanted)
    return netlink.dump(_NETFILTER, _CT_GET, body)


def _connection(reply: bytes) -> Connection | None:
    entry = dict(netlink.attributes(reply[4:]))
    status = _number(entry, _STATUS)
    state = _STATES.get(_tcp_state(entry.get(_PROTOINFO, b"")))
    if not status & _IS_TRANSLATED or state is None:  # older kernels do not filter
        return None
    asked = _tuple(entry.get(_TUPLE_ORIG))
    if asked is None or asked.protocol != socket.IPPROTO_TCP:
        return None
    return Connection(
        source=asked.source,
        source_port=asked.source_port,
        address=asked.address,
        port=asked.port,
        state=state,
    )


@dataclass(frozen=True, slots=True)
class _Tuple:
    """One direction of a connection."""

    protocol: int
    source: Address
    source_port: int
    address: Address
    port: int


def _tuple(raw: bytes | None) -> _Tuple | None:
    parts = dict(netlink.attributes(raw or b""))
    addresses = dict(netlink.attributes(parts.get(_TUPLE_IP, b"")))
    numbers = {
        kind: int.from_bytes(each, "big")
        for kind, each in netlink.attributes(parts.get(_TUPLE_PROTO, b""))
    }
    source, address = _address(addresses, _IP_SOURCE), _address(addresses, _IP_DESTINATION)
    if source is None or address is None:
        return None
    return _Tuple(
        numbers.get(_PROTO_NUM, 0),
        source,
        numbers.get(_PROTO_SPORT, 0),
        address,
        numbers.get(_PROTO_DPORT, 0),
    )


def _tcp_state(protoinfo: bytes) -> int:
    tcp = dict(netlink.attributes(protoinfo)).get(_PROTOINFO_TCP, b"")
    return int.from_bytes(dict(netlink.attributes(tcp)).get(_TCP_STATE, b""), "big")


def _address(found: dict[int, bytes], kinds: tuple[int, int]) -> Address | None:
    for kind in kinds:
        raw = found.get(kind)
        if raw is not None:
            return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)
    return None
