"""Who calls through a TCP balancer: the header of the PROXY protocol, versions 1 and 2.

Source: The PROXY protocol, versions 1 & 2 (haproxy.org, doc/proxy-protocol.txt), sections 2.1, 2.2. Such a
balancer passes TLS on untouched, so it can add nothing to requests; it says who called before the
handshake instead. The header is read from a configured balancer alone (EDGES A21), and must be there:
otherwise the balancer would be taken for the caller. TLVs are read past.
What is not here: HTTP proxies, which add headers of their own (``origin``).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from bascule.domain.net import parse_address
from bascule.errors import InvalidInput

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LONGEST_V1 = 107  # with its CRLF, as the protocol says
# Two paths of AF_UNIX are the longest addresses that are defined; and room for TLVs.
LONGEST_V2 = 536
_V2_LENGTHS = {0x11: 12, 0x21: 36}  # TCP over IPv4, over IPv6: both addresses, both ports
_LOCAL, _PROXY = 0x20, 0x21  # version 2; the balancer's own call, a caller's


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Of one connection."""

    caller: tuple[str, int] | None  # address and port; None: it calls for itself, or does not know


class BadHeader(ConnectionError):
    """The balancer sent something else; the connection is of no use."""


async def read_header(connection: socket.socket) -> ProxyHeader:
    """Raise BadHeader, or another OSError, when there is none that can be read."""
    start = await _exactly(connection, len(SIGNATURE))
    if start == SIGNATURE:
        kind, family, *length = await _exactly(connection, 4)
        size = int.from_bytes(bytes(length))
        if size > LONGEST_V2:
            raise BadHeader
        return ProxyHeader(_caller_v2(kind, family, await _exactly(connection, size)))
    if not start.startswith(b"PROXY "):
        raise BadHeader
    while not start.endswith(b"\r\n"):
        if len(start) >= LONGEST_V1:
            raise BadHeader
        start += await _exactly(connection, 1)
    return ProxyHeader(_caller_v1(start))


async def _exactly(connection: socket.socket, size: int) -> bytes:
    """Not a byte more: what follows is the caller's handshake."""
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(connection, size - len(data))
        if not more:
            raise ConnectionResetError  # as a balancer's own checks end
        data += more
    return data


def _caller_v1(line: bytes) -> tuple[str, int] | None:
    try:
        _, family, *rest = line.decode("ascii").removesuffix("\r\n").split(" ")
        if family == "UNKNOWN":
            return None
        source, _, port, _ = rest
        # A dual-stack balancer says TCP6 ::ffff:192.0.2.1.
        said = ipaddress.ip_address(source).version
        if (family, said) not in (("TCP4", 4), ("TCP6", 6)) or not port.isdigit():
            raise BadHeader
        return str(parse_address(source)), int(port)
    except (InvalidInput, ValueError):
        raise BadHeader from None


def _caller_v2(kind: int, family: int, data: bytes) -> tuple[str, int] | None:
    if kind == _LOCAL or (kind == _PROXY and family == 0):  # AF_UNSPEC: not known
        return None
    wanted = _V2_LENGTHS.get(family)
    if kind != _PROXY or wanted is None or len(data) < wanted:
        raise BadHeader
    width = 4 if family == 0x11 else 16
    address = ipaddress.ip_address(data[:width])
    return str(parse_address(str(address))), int.from_bytes(data[2 * width : 2 * width + 2])
