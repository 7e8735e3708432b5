"""Packets that no ordinary socket sends, with their headers written by hand; and who got them.

Source: RFC 791, RFC 8200, RFC 9293. Checksums are right, so that nothing but the gate drops a packet.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

_TCP, _FRAGMENT, _HOP_BY_HOP, _DESTINATION = 6, 44, 0, 60
_MORE = 0x2000  # fragments follow, in IPv4's field
_ETH_P_ALL = 3
_RECEIVE_BUFFER_FORCE = 33  # SO_RCVBUFFORCE
FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_segment(
    source: str, to: str, source_port: int, port: int, flags: int, data: bytes = b""
) -> bytes:
    head = struct.pack(">HHIIBBHHH", source_port, port, 1, 1, 5 << 4, flags, 1024, 0, 0)
    ends = ip_address(source).packed + ip_address(to).packed
    length = len(head) + len(data)
    pseudo = ends + struct.pack(">IHBB", length, 0, 0, _TCP)
    found = checksum(pseudo + head + data)
    return head[:16] + struct.pack(">H", found) + head[18:] + data


def packet(
    source: str,
    to: str,
    payload: bytes,
    *,
    fragment: int = 0,
    number: int = 0,
    options: bool = False,
) -> bytes:
    """One packet of either version. ``fragment`` is IPv4's field: offset / 8, and _MORE."""
    ends = ip_address(source).packed + ip_address(to).packed
    if ":" in to:
        return _packet6(ends, payload, fragment, number, options=options)
    more = b"\x94\x04\0\0" * 2 if options else b""  # router alert, twice
    length = 20 + len(more) + len(payload)
    first = (4 << 4) + (20 + len(more)) // 4
    head = struct.pack(">BBHHHBBH", first, 0, length, number, fragment, 64, _TCP, 0) + ends + more
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def _packet6(ends: bytes, payload: bytes, fragment: int, number: int, *, options: bool) -> bytes:
    following, body = _TCP, payload
    if number:
        field = (fragment & 0x1FFF) << 3 | bool(fragment & _MORE)
        body = struct.pack(">BBHI", following, 0, field, number) + body
        following = _FRAGMENT
    if options:
        for kind in (_DESTINATION, _HOP_BY_HOP):  # each of eight bytes, all padding
            body = struct.pack(">BB", following, 0) + b"\x01\x04\0\0\0\0" + body
            following = kind
    return struct.pack(">IHBB", 6 << 28, len(body), following, 64) + ends + body


def in_fragments(source: str, to: str, segment: bytes, number: int) -> Iterator[list[bytes]]:
    """A segment cut after its first eight bytes: in order, reversed, and with an overlap that would
    overwrite its flags.
    """
    first, rest = segment[:8], segment[8:]
    one = packet(source, to, first, fragment=_MORE, number=number)
    two = packet(source, to, rest, fragment=1, number=number)
    yield [one, two]
    yield [
        packet(source, to, rest, fragment=1, number=number + 1),
        packet(source, to, first, fragment=_MORE, number=number + 1),
    ]
    benign = segment[:13] + bytes([FLAGS["ACK"]]) + segment[14:]
    whole = packet(source, to, benign + b"\0" * 4, fragment=_MORE, number=number + 2)
    yield [whole, packet(source, to, rest, fragment=1, number=number + 2)]


def send(packets: list[bytes]) -> None:
    """From the namespace of the calling thread, by routing."""
    for each in packets:
        is_ipv6 = each[0] >> 4 == 6
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            at = 24 if is_ipv6 else 16
            size = 16 if is_ipv6 else 4
            raw.sendto(each, (str(ip_address(each[at : at + size])), 0))


class Tap:
    """All that comes in at one interface from one source; made in the namespace of the caller."""

    def __init__(self, interface: str, source: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.bind((interface, _ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, 1 << 23)
        self._socket.settimeout(1)
        self._source = ip_address(source).packed

    def heard(self) -> list[bytes]:
        """What came since, once nothing more comes."""
        found: list[bytes] = []
        at = 8 if len(self._source) == 16 else 12
        while True:
            try:
                content, address = self._socket.recvfrom(65535)
            except TimeoutError:
                return found
            is_incoming = address[2] != socket.PACKET_OUTGOING
            if is_incoming and content[at : at + len(self._source)] == self._source:
                found.append(content)

    def close(self) -> None:
        self._socket.close()
