"""The little of netlink that the other modules share: one dump, one request, attributes.

Source: RFC 3549 section 2.3; linux/netlink.h. Numbers are in host order except where the
subsystem says otherwise. What is not here: any subsystem's message.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

_NETLINK = 16  # AF_NETLINK; absent from socket on systems without it
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_DUMP_INTR = 0x10  # the table changed during the dump: some entries may be missing
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_RECEIVE = 1 << 18
_SOL_NETLINK, _STRICT_CHECK = 270, 12  # NETLINK_GET_STRICT_CHK
_TRIES = 5
_TIMEOUT = 5.0  # seconds; the kernel answers at once or is in trouble

NESTED = 0x8000


def attribute(kind: int, payload: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Decode (type, payload) pairs; stops at the first that does not fit."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > len(data):
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def dump(protocol: int, kind: int, body: bytes, *, is_strict: bool = False) -> list[bytes]:
    """Return the payload of every message of one complete dump.

    ``is_strict``: the kernel goes by what the body asks for (rtnetlink does so only then).
    A dump that the kernel marks as interrupted is asked for again; the last try is taken as
    it is. Raises OSError with the kernel's error number.
    """
    messages: list[bytes] = []
    for _ in range(_TRIES):
        with _open(protocol) as channel:
            if is_strict:
                channel.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
            channel.send(_message(kind, _REQUEST | _DUMP, body))
            messages, is_whole = _collect(channel)
        if is_whole:
            break
    return messages


def ask(protocol: int, kind: int, body: bytes) -> bytes:
    """Send one request and return the payload of its one answer. Raises OSError."""
    with _open(protocol) as channel:
        channel.send(_message(kind, _REQUEST, body))
        for answered, _, payload in _messages(channel.recv(_RECEIVE)):
            if answered == _ERROR:
                _raise(payload)
            return payload
    raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))


def request(protocol: int, kind: int, bodies: list[bytes]) -> list[int]:
    """Send each body as its own acknowledged request; return each one's errno, 0 for done."""
    results: list[int] = []
    with _open(protocol) as channel:
        for body in bodies:
            channel.send(_message(kind, _REQUEST | _ACK, body))
            results.append(_acknowledged(channel))
    return results


def _open(protocol: int) -> socket.socket:
    channel = socket.socket(_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    channel.settimeout(_TIMEOUT)
    return channel


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _collect(channel: socket.socket) -> tuple[list[bytes], bool]:
    found: list[bytes] = []
    is_whole = True
    while True:
        for kind, flags, payload in _messages(channel.recv(_RECEIVE)):
            is_whole = is_whole and not flags & _DUMP_INTR
            if kind == _ERROR:
                _raise(payload)
            if kind in (_ERROR, _DONE):
                _raise(payload)
                return found, is_whole
            found.append(payload)


def _acknowledged(channel: socket.socket) -> int:
    for kind, _, payload in _messages(channel.recv(_RECEIVE)):
        if kind == _ERROR:
            return -int(struct.unpack_from("=i", payload)[0])
    return errno.EPROTO


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += max((length + 3) & ~3, _HEADER.size)


def _raise(payload: bytes) -> None:
    code = -int(struct.unpack_from("=i", payload)[0]) if len(payload) >= 4 else 0
    if code > 0:
        raise OSError(code, os.strerror(code))
