"""TCP connections that end in a socket of this host: list them, destroy them.

Source: sock_diag(7), linux/inet_diag.h (NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY,
SOCK_DESTROY). Listing needs nothing; destroying needs CAP_NET_ADMIN and a kernel with
CONFIG_INET_DIAG_DESTROY. Listening and TIME_WAIT sockets are left out: the first are not
connections, the second are over. Half-open ones (SYN_RECV) are in: a handshake begun
inside a lease may finish a minute after it. Connections that are forwarded to another
host or container have no socket here: see ``conntrack``.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.drivers.linux import netlink

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY, _DESTROY = 20, 21
_REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2 up to its socket id
_ID_SIZE = 48  # inet_diag_sockid
_FEW = 8  # up to so many ports: the kernel filters, one dump each


class State(IntEnum):
    """TCP states as linux/net/tcp_states.h numbers them."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12  # how a half-open connection is asked for; it is shown as SYN_RECV


_WANTED = sum(
    1 << state
    for state in State
    if state not in (State.SYN_SENT, State.TIME_WAIT, State.CLOSE, State.LISTEN)
)
LIVE = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})  # data can still flow to the peer


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection, from the side of this host."""

    source: Address  # the peer; IPv4 also when the socket is a dual-stack IPv6 one
    source_port: int
    address: Address  # ours, or that of the machine to which it is forwarded
    port: int
    state: int
    family: int = 0  # of the socket, for ``destroy``
    identity: bytes = b""  # inet_diag_sockid, for ``destroy``
    is_forwarded: bool = False  # to a machine behind this host

    @property
    def to(self) -> PortKey:
        own = PortKey(TransportProtocol.TCP, self.port)
        return own.behind(self.address) if self.is_forwarded else own


def local_connections(ports: Collection[int] | None = None) -> Sequence[Connection]:
    """Every connection, half-open ones too, whose local port is in ``ports`` (None: any).

    Raises OSError when the kernel cannot be asked (no inet_diag).
    """
    wanted = None if ports is None else set(ports)
    if wanted is not None and not wanted:
        return []
    filters: Iterable[int] = sorted(wanted) if wanted and len(wanted) <= _FEW else (0,)
    found: list[Connection] = []
    for port in filters:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _request(family, struct.pack(">H", port) + b"\0" * (_ID_SIZE - 2))
            replies = netlink.dump(_SOCK_DIAG, _BY_FAMILY, body)
            found.extend(_connection(reply) for reply in replies)
    return [each for each in found if wanted is None or each.port in wanted]


def destroy(connections: Iterable[Connection]) -> int:
    """Abort each connection at once (RST to the peer); return how many were there.

    One that ended meanwhile is no error. Raises OSError when the kernel cannot or may not.
    """
    bodies = [_request(each.family, each.identity) for each in connections]
    results = netlink.request(_SOCK_DIAG, _DESTROY, bodies) if bodies else []
    for code in results:
        if code in (errno.EPERM, errno.EOPNOTSUPP):
            raise OSError(code, "the kernel does not let sockets be destroyed")
    return results.count(0)


def can_destroy() -> bool:
    """Ask to destroy a socket that cannot exist: is the answer "no such socket"?"""
    nowhere = struct.pack(">HH", 1, 1) + b"\0" * (_ID_SIZE - 12) + b"\xff" * 8
    try:
        return netlink.request(_SOCK_DIAG, _DESTROY, [_request(socket.AF_INET, nowhere)]) == [
            errno.ENOENT
        ]
    except OSError:
        return False


def _request(family: int, identity: bytes) -> bytes:
    return _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _WANTED) + identity


def _connection(reply: bytes) -> Connection:
    family, state = reply[0], reply[1]
    identity = reply[4 : 4 + _ID_SIZE]
    port, source_port = struct.unpack_from(">HH", identity)
    return Connection(
        source=_address(family, identity[20:36]),
        source_port=source_port,
        address=_address(family, identity[4:20]),
        port=port,
        state=state,
        family=family,
        identity=identity,
    )


def _address(family: int, raw: bytes) -> Address:
    if family == socket.AF_INET:
        return IPv4Address(raw[:4])
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
