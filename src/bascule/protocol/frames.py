"""WebSocket frames (RFC 6455 section 5) as both ends of an agent's line need them, and no more.

Text messages, ping, pong and close; no extension, no compression, no binary messages. Pure: bytes
in, messages out; both ends use it. By hand, because the libraries cost an agent 0.6 to 2.2 MB
and a server 1.7 to 3.6 KiB a connection (ADR 20); tests/unit/test_protocol_frames.py judges it by one.

Rules: a frame that is too large is refused at its header, before its content is kept. Lengths are in
their shortest form. Fragments are refused until ``may_fragment``, and count together afterwards.
What is not here: sockets, TLS, and what the texts say (``line``).
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from enum import IntEnum

from bascule.errors import InvalidInput

VERSION = "13"  # of Sec-WebSocket-Version
MOST_FRAGMENTS = 1024  # of one message: a proxy that cuts 8 MiB into 8 KiB
LARGEST_CONTROL = 125  # bytes in a ping, pong or close frame (section 5.5)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN, _RESERVED, _MASKED = 0x80, 0x70, 0x80


class Opcode(IntEnum):
    CONTINUATION = 0x0
    TEXT = 0x1
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_OPCODES = {int(each): each for each in Opcode}


class CloseCode(IntEnum):
    """Why an end closes the connection (section 7.4.1; from 4000 on our own)."""

    NORMAL = 1000
    GOING_AWAY = 1001  # the server stops
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003  # a binary message
    NOT_TEXT = 1007  # neither UTF-8 nor one JSON object
    POLICY = 1008  # too much, too often, or too late
    TOO_LARGE = 1009
    PROOF_ENDED = 4000  # the proof ran out and was not renewed
    REPLACED = 4001  # a newer line of the same point took over
    CREDENTIAL_REVOKED = 4002  # the point, its key, or the server's signing key is no longer valid


class Broken(InvalidInput):
    """The peer does not speak the protocol; the connection cannot go on."""

    code = "LineProtocolError"

    def __init__(self, message: str, close_code: CloseCode = CloseCode.PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.close_code = close_code


class Frames:
    """Turns received bytes into messages; keeps at most ``largest`` bytes and one read."""

    def __init__(self, *, is_masked: bool, largest: int, may_fragment: bool = False) -> None:
        """``is_masked``: the peer is the client, which masks all frames (section 5.1)."""
        self.largest = largest  # bytes of one message; may be changed between messages
        self.may_fragment = may_fragment
        self._is_masked = is_masked
        self._buffer = bytearray()
        self._parts: list[bytes] = []  # of a message whose end has not come
        self._size = 0  # of these parts

    @property
    def is_amid(self) -> bool:
        """Has a message begun whose end has not come?"""
        return bool(self._buffer or self._parts)

    @property
    def kept(self) -> int:
        """Bytes of that message that are here."""
        return len(self._buffer) + self._size

    def forget(self) -> None:
        """Keep nothing of it: no more is read."""
        self._buffer, self._parts, self._size = bytearray(), [], 0

    def feed(self, data: bytes) -> Iterator[tuple[Opcode, bytes]]:
        """The messages that are complete now. Raises Broken; nothing can be read after that."""
        self._buffer += data
        while (frame := self._next()) is not None:
            is_last, opcode, content = frame
            if opcode >= Opcode.CLOSE:
                yield opcode, content
            elif is_last and not self._parts:
                yield Opcode.TEXT, content
            else:
                self._parts.append(content)
                self._size += len(content)
                if is_last:
                    whole = b"".join(self._parts)
                    self._parts, self._size = [], 0
                    yield Opcode.TEXT, whole

    def _next(self) -> tuple[bool, Opcode, bytes] | None:
        """The next frame, unmasked, taken from the buffer; None: it is not complete."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        opcode = self._opcode(buffer[0])
        if bool(buffer[1] & _MASKED) is not self._is_masked:
            raise Broken("A client must mask its frames, and a server must not.")
        length, start = buffer[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(buffer) < start:
                return None
            shortest = 126 if length == 126 else 0x10000
            length = int.from_bytes(buffer[2:start])
            if length < shortest:
                raise Broken("A frame's length is not in its shortest form.")
        is_last = bool(buffer[0] & _FIN)
        self._check_size(opcode, length, is_last=is_last)
        end = start + length + (4 if self._is_masked else 0)
        if len(buffer) < end:
            return None
        if self._is_masked:
            content = masked(buffer[start + 4 : end], bytes(buffer[start : start + 4]))
        else:
            content = bytes(buffer[start:end])
        del buffer[:end]
        return is_last, opcode, content

    def _opcode(self, head: int) -> Opcode:
        if head & _RESERVED:
            raise Broken("Reserved bits must be 0, because no extension was agreed.")
        if head & 0xF == 0x2:
            raise Broken("Only text messages are accepted.", CloseCode.UNSUPPORTED)
        opcode = _OPCODES.get(head & 0xF)
        if opcode is None:
            raise Broken(f"The opcode {head & 0xF} is unknown.")
        if opcode < Opcode.CLOSE and (opcode is Opcode.CONTINUATION) != bool(self._parts):
            raise Broken("A fragment is out of order.")
        return opcode

    def _check_size(self, opcode: Opcode, length: int, *, is_last: bool) -> None:
        if opcode >= Opcode.CLOSE:
            if not is_last or length > LARGEST_CONTROL:
                raise Broken(
                    f"A control frame must be whole and have at most {LARGEST_CONTROL} bytes."
                )
            return
        if self._size + length > self.largest:
            raise Broken(
                f"A message has more than the {self.largest} bytes that are accepted now.",
                CloseCode.TOO_LARGE,
            )
        if is_last:
            return
        if not self.may_fragment:
            raise Broken("A message must not be fragmented before the proof.")
        if len(self._parts) >= MOST_FRAGMENTS - 1:
            raise Broken(f"A message has more than {MOST_FRAGMENTS} fragments.")


def frame(opcode: Opcode, content: bytes = b"", *, is_masked: bool = False) -> bytes:
    """One whole frame. ``is_masked``: a client sends it."""
    length, mask = len(content), _MASKED if is_masked else 0
    if length < 126:
        head = bytes((_FIN | opcode, mask | length))
    elif length < 0x10000:
        head = bytes((_FIN | opcode, mask | 126)) + length.to_bytes(2)
    else:
        head = bytes((_FIN | opcode, mask | 127)) + length.to_bytes(8)
    if not is_masked:
        return head + content
    key = os.urandom(4)
    return head + key + masked(content, key)


def close_frame(code: CloseCode, reason: str = "", *, is_masked: bool = False) -> bytes:
    """The last frame of an end; ``reason`` is cut off at what a control frame holds."""
    text = reason.encode()[: LARGEST_CONTROL - 2].decode(errors="ignore")
    return frame(Opcode.CLOSE, code.to_bytes(2) + text.encode(), is_masked=is_masked)


def close_reason(content: bytes) -> tuple[int, str]:
    """Code and reason of a received close frame; code 0 when it has none that can be."""
    code = int.from_bytes(content[:2]) if len(content) >= 2 else 0
    return code, content[2:].decode(errors="replace")


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2)."""
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def masked(content: bytes | bytearray, key: bytes) -> bytes:
    """XOR with the repeated key of 4 bytes (section 5.3); applied twice, the content again."""
    length = len(content)
    repeated = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(content) ^ int.from_bytes(repeated)).to_bytes(length)
