"""Where this host listens: TCP sockets in LISTEN, UDP sockets that are connected to nobody.

Source: proc_net(5), ``tcp``, ``tcp6``, ``udp`` and ``udp6``, of which one line is one socket.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from bascule.domain.net import Address, PortMapped, TransportProtocol

_PROC = Path("/proc/thread-self/net")
# A socket of every IPv6 address takes IPv4 as well, unless it was told not to.
_EVERY = {4: (IPv4Address(0), IPv6Address(0)), 6: (IPv6Address(0),)}
_LISTENS = {TransportProtocol.TCP: "0A", TransportProtocol.UDP: "07"}  # TCP_LISTEN, TCP_CLOSE


def listens(ports: Collection[PortMapped]) -> set[PortMapped]:
    """Those public ports at which this host answers by itself. Raises OSError."""
    protocols = {port.protocol for port in ports}
    heard = {(each, *place) for each in protocols for place in _listeners(each)}
    return {
        port
        for port in ports
        if any(
            (port.protocol, each, port.number) in heard
            for each in (port.at, *_EVERY[port.at.version])
        )
    }


def _listeners(protocol: TransportProtocol) -> Iterator[tuple[Address, int]]:
    for name in (protocol.lower(), f"{protocol.lower()}6"):
        try:
            lines = (_PROC / name).read_text("ascii").splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            if state == _LISTENS[protocol]:
                address, _, number = local.partition(":")
                yield _address(bytes.fromhex(address)), int(number, 16)


def _address(raw: bytes) -> Address:
    """The kernel prints words of four bytes in its own order."""
    words = struct.pack(f">{len(raw) // 4}I", *struct.unpack(f"={len(raw) // 4}I", raw))
    if len(words) == 4:
        return IPv4Address(words)
    address = IPv6Address(words)
    return address.ipv4_mapped or address
