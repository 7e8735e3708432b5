"""The first record of a TLS connection, read without being taken (RFC 8446 section 5.1)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from bascule.api.turns import is_readable

_HEAD = 5  # bytes: type, version, length
_HANDSHAKE = b"\x16"
_LARGEST_RECORD = 16_384


async def peek_hello(connection: socket.socket, seconds: float) -> bytes:
    """The hello as far as it is there within ``seconds``; it remains to be read.

    Empty: these are no bytes of TLS. A hello of several records is seen in part.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    wanted = 0
    try:
        while True:
            found = _peek(connection)
            needed = _length_of(found)
            if (
                len(found) >= needed or wanted == needed
            ):  # woken, and not all there: the peer hung up
                return found if found[:1] == _HANDSHAKE else b""
            wanted = needed
            # socket(7): it counts as readable when so much is there, or the peer has hung up.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
            if not await is_readable(connection, until - loop.time()):
                return _peek(connection)
    finally:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def _peek(connection: socket.socket) -> bytes:
    with suppress(BlockingIOError):
        return connection.recv(_HEAD + _LARGEST_RECORD, socket.MSG_PEEK)
    return b""


def _length_of(found: bytes) -> int:
    """How many bytes the record has, as far as its beginning says; one that is not TLS has one."""
    if found and found[:1] != _HANDSHAKE:
        return 1
    if len(found) < _HEAD:
        return _HEAD
    return _HEAD + min(int.from_bytes(found[3:_HEAD], "big"), _LARGEST_RECORD)
