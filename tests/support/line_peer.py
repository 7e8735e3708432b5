"""The server's end of one line, for tests: each message is sent and awaited one by one.

Over a connection that an HTTP server has accepted; with no bounds and no checks of its own.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bascule.protocol.frames import Broken, Frames, Opcode, accept_key, frame
from bascule.protocol.line import (
    LARGEST_REPORT,
    Ask,
    Beat,
    Challenge,
    Echo,
    FromAgent,
    FromServer,
    Proof,
    Reported,
    Taken,
    Welcome,
    from_agent,
    signed_text,
    write,
)

T = TypeVar("T", bound=FromAgent)


class Gone(Exception):
    """The agent has hung up, or says nothing."""


class Peer:
    def __init__(self, handler: BaseHTTPRequestHandler, headers: Mapping[str, str] = {}) -> None:
        """Upgrade; ``headers`` are told besides, or instead."""
        self.handler = handler
        self.path = handler.path
        self.asked = dict(handler.headers.items())
        self._socket = handler.connection
        self._frames = Frames(is_masked=True, largest=LARGEST_REPORT, may_fragment=True)
        self._came: list[bytes] = []
        self._number = secrets.randbelow(1 << 30)
        handler.close_connection = True
        handler.send_response_only(101)
        for name, value in {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_key(handler.headers["Sec-WebSocket-Key"]),
            **headers,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()

    def prove(
        self, acknowledged: str = "", key: bytes | None = None, tenant: str = "", uid: str = ""
    ) -> Proof:
        """Challenge and welcome; the signature is checked if there is a key to check it by."""
        challenge = secrets.token_urlsafe(32)
        self.send(Challenge(challenge))
        proof = self.take(Proof)
        if key is not None:
            signature = _unpadded(proof.signature)
            with contextlib.suppress(InvalidSignature):
                Ed25519PublicKey.from_public_bytes(key).verify(
                    signature, signed_text(tenant, uid, challenge)
                )
                key = None
            assert key is None, "the proof is not signed by this key"
        self.send(Welcome(secrets.token_hex(8), acknowledged, 1, 3600))
        return proof

    def send(self, message: FromServer | Mapping[str, Any] | bytes) -> None:
        if isinstance(message, Mapping):
            message = json.dumps(message).encode()
        self.send_raw(frame(Opcode.TEXT, message if isinstance(message, bytes) else write(message)))

    def send_raw(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def beat(self, generations: Mapping[str, int]) -> int:
        self._number += 1
        self.send(Beat(self._number, generations))
        return self._number

    def tell(self, nonce: str, state: Mapping[str, Any]) -> None:
        """A state, in answer to this nonce."""
        self.send({"kind": "state", "machine": "", "nonce": nonce, "state": dict(state)})

    def next(self, seconds: float = 10.0) -> FromAgent:
        """The next message of the agent; raises Gone."""
        message = from_agent(json.loads(self.next_text(seconds)))
        assert message is not None
        return message

    def next_text(self, seconds: float = 10.0) -> bytes:
        while not self._came:
            try:
                self._socket.settimeout(seconds)  # fails too if another thread has closed it
                received = self._socket.recv(65_536)
                if not received:
                    raise Gone
                for opcode, content in self._frames.feed(received):
                    if opcode is Opcode.CLOSE:
                        raise Gone
                    if opcode is Opcode.TEXT:
                        self._came.append(content)
            except (OSError, Broken) as error:
                raise Gone from error
        return self._came.pop(0)

    def take(self, kind: type[T], seconds: float = 10.0) -> T:
        """The next message, which is to be of this kind."""
        message = self.next(seconds)
        assert isinstance(message, kind), message
        return message

    def serve(self, state: Mapping[str, Any], generation: int = 1) -> FromAgent:
        """Answer the next message as an honest server would; returns it."""
        message = self.next()
        if isinstance(message, Ask):
            self.tell(message.nonce, state)
        elif isinstance(message, Reported):
            self.send(Taken(message.id, generation))
        else:
            assert isinstance(message, Echo)
        return message

    def close(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # at once, whoever uses it


def _unpadded(text: str) -> bytes:

    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
