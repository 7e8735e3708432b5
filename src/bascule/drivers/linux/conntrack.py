"""Tracked connections whose destination was translated: published container ports.

Source: linux/netfilter/nfnetlink_conntrack.h. Such a connection has no socket on this
host; what the gate sees of it in ``prerouting`` is its original tuple, given here.
Needs CAP_NET_ADMIN and nf_conntrack_netlink. Untranslated ones are in ``sockets``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.drivers.linux import netlink
from bascule.drivers.linux.sockets import Connection, State

_NETFILTER = 12  # NETLINK_NETFILTER
_CT_GET = (1 << 8) | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO, _STATUS_MASK = 1, 2, 3, 4, 26
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SOURCE = (1, 3)  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
_IP_DESTINATION = (2, 4)
_PROTO_NUM, _PROTO_SPORT, _PROTO_DPORT = 1, 2, 3
_PROTOINFO_TCP, _TCP_STATE = 1, 1
_IS_TRANSLATED = 1 << 5  # IPS_DST_NAT
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
    status = int.from_bytes(entry.get(_STATUS, b""), "big")
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
