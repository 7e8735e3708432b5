"""A server that its agent trusts and that means ill: what it answers is set by route.

It speaks TLS with a certificate of the CA that the agent pinned, so nothing but the agent's own
bounds stand between it and the host. What is not set answers as an honest server would.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self, TypeVar

from bascule.agent.memory import HeldFile
from bascule.clocks import SystemClock
from bascule.domain.held import Held
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.identity.tls import CertificateKeeper
from bascule.protocol.frames import Opcode, frame
from bascule.protocol.line import Ask, Challenge, Hint, Reported, Taken, write
from tests.e2e.handing import body_of, handing_server
from tests.netns.network import INNER, Space
from tests.support.line_peer import Gone, Peer

PORT = 9444
UID = "3f0c9d2e-0000-4000-8000-000000000001"
TENANT = "3f0c9d2e-0000-4000-8000-000000000002"
SSH = ClosedPort(PortKey(TransportProtocol.TCP, 22))
_MEGABYTE = 1024 * 1024

T = TypeVar("T")
Evil = Callable[[BaseHTTPRequestHandler], None]


class Here:
    """This very network, for tests that need no other."""

    address = "127.0.0.1"
    port = 0  # any that is free

    def inside(self, work: Callable[[], T]) -> T:
        return work()

    def enter(self) -> None:
        pass


class HostileServer:
    """On ``INNER``:9444 of ``space``, or here; ``evils`` by the last word of the path asked for.

    What is told on a line, of an evil or an honest one, is counted as asked: "ask", "reported".
    """

    def __init__(self, space: Space | Here, folder: Path) -> None:
        is_here = isinstance(space, Here)
        self._address, port = (Here.address, Here.port) if is_here else (INNER, PORT)
        self.evils: dict[str, Evil] = {}
        self.told_state: Callable[[str], bytes] = honest_state  # texts on a line
        self.told_report: Callable[[str], bytes] = honest_report
        self.asked: Counter[str] = Counter()
        self.ending = threading.Event()
        self._keeper = CertificateKeeper(folder, (self._address,))
        self._keeper.ensure(SystemClock().now())
        self._server = space.inside(lambda: handing_server(self._address, port, self.answer))
        self._server.socket = self._keeper.context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

        def serve() -> None:
            space.enter()
            self._server.serve_forever(0.05)

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://{self._address}:{self._server.server_address[1]}"

    @property
    def ca_pem(self) -> str:
        return self._keeper.ca_file.read_text()

    def enrol(self, state: Path, *, closed: frozenset[ClosedPort] = frozenset({SSH})) -> None:
        """Leave in an agent's state directory what an earlier enrolment would have left there."""
        state.mkdir(mode=0o700, exist_ok=True)
        identity = {
            "server": self.url,
            "tenantId": TENANT,
            "machineUid": UID,
            "privateKey": base64.urlsafe_b64encode(bytes(32)).decode(),
            "ca": self.ca_pem,
            "token": "",
        }
        (state / "identity.json").write_text(json.dumps(identity))
        HeldFile(state, SystemClock()).save(Held(generation=1, closed=closed))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        route = handler.path.partition("?")[0].rpartition("/")[2]
        self.asked[route] += 1
        body_of(handler)
        handler.close_connection = True
        with contextlib.suppress(OSError, ssl.SSLError, Gone):
            self.evils.get(route, self._honest(route))(handler)

    def _honest(self, route: str) -> Evil:
        if route == "line":
            return lambda handler: self.announce(handler, 1.0)
        answers: Mapping[str, object] = {
            "token": {"access_token": "a-token", "expires_in": 3600},
            "state": state(1),
            "report": {"generation": 1},
        }
        if route == "ca.pem":
            return gives(self.ca_pem.encode())
        return says(answers.get(route, {}))

    def announce(self, handler: BaseHTTPRequestHandler, every: float) -> None:
        """A line with another generation each time, until the agent hangs up or this ends."""
        peer, number = Peer(handler), 1
        with contextlib.suppress(Gone):
            peer.prove()
            while not self.ending.is_set():
                number += 1
                peer.send(Hint("", number))
                self._answer_over(peer, every)

    def _answer_over(self, peer: Peer, seconds: float) -> None:
        """What is asked on a line meanwhile is answered as ``tells`` has it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = peer.next(left)
            except Gone as error:
                if isinstance(error.__cause__, TimeoutError):
                    return
                raise
            if isinstance(message, Ask):
                self.asked["ask"] += 1
                peer.send(self.told_state(message.nonce))
            elif isinstance(message, Reported):
                self.asked["reported"] += 1
                peer.send(self.told_report(message.id))

    def close(self) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def honest_state(nonce: str) -> bytes:
    return told(nonce, state(1))


def told(nonce: str, answer: object) -> bytes:
    """The text of a state on a line."""
    said = {"kind": "state", "machine": "", "nonce": nonce, "state": answer}
    return json.dumps(said).encode()


def honest_report(key: str) -> bytes:
    return write(Taken(key, 1))


def state(generation: int, leases: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "machineUid": UID,
        "generation": generation,
        "closed": [{"protocol": "TCP", "number": 22, "onExpiry": "keep"}],
        "released": [],
        "leases": leases or [],
        "cuts": [],
        "record": {"position": 0, "hash": ""},
    }


def start_of(
    handler: BaseHTTPRequestHandler, headers: Mapping[str, str], status: int = 200
) -> None:
    handler.send_response_only(status)
    for name, value in {**headers, "Connection": "close"}.items():
        handler.send_header(name, value)
    handler.end_headers()


def says(answer: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Evil:
    """Whole JSON."""
    return gives(json.dumps(answer).encode(), status, headers)


def gives(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Evil:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        start_of(handler, {"Content-Length": str(len(content)), **(headers or {})}, status)
        handler.wfile.write(content)

    return answer


def without_end(piece: bytes, megabytes: int = 512, head: bytes = b"") -> Evil:
    """``piece`` again and again, with no length told; bounded, should the agent take it all."""
    block = piece * max(1, 65_536 // len(piece))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if head:
            handler.wfile.write(head)
        else:
            start_of(handler, {})
        for _ in range(megabytes * _MEGABYTE // len(block)):
            handler.wfile.write(block)

    return answer


def slowly(seconds: float, then: Evil) -> Evil:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        then(handler)

    return answer


def large_state(megabytes: int) -> bytes:
    """One state, whose leases have many sources."""
    sources = [f"2001:db8:{n:x}:ffff:ffff:ffff:ffff:ffff" for n in range(1000)]
    port = {"protocol": "TCP", "number": 22}
    lease = {"ports": [port], "sources": sources, "remainingMs": 60_000, "extension": 0}
    count = megabytes * _MEGABYTE // len(json.dumps(lease))
    leases = [{"grantId": f"g-{number}", **lease} for number in range(count)]
    return json.dumps(state(1, leases)).encode()


_GOES_ON = b"HTTP/1.1 100 Continue\r\n"
_LONG_HEADER = b"x: " + b"y" * 60_000 + b"\r\n"


def attacks(large: int = 60) -> dict[str, tuple[str, Evil]]:
    """What may be sent to take an agent's memory: by name, the route and the answer.

    ``large`` is in MB, of answers whose length is told.
    """
    nested = b'{"a":' + b"[" * 3_000_000 + b"]" * 3_000_000 + b"}"
    return {
        "a large state": ("state", gives(large_state(large))),
        "a large state of empty objects": (
            "state",
            gives(b'{"a":[{}' + b",{}" * (large * _MEGABYTE // 3) + b"]}"),
        ),
        "a state of empty objects": (
            "state",
            gives(b'{"a":[{}' + b",{}" * 2_400_000 + b"]}"),
        ),
        "a nested state": ("state", gives(nested)),
        "a state without end": ("state", without_end(b'"2001:db8::1", ')),
        "a state in chunks of two bytes": (
            "state",
            without_end(
                b"2\r\n[]\r\n", 128, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
        ),
        "headers without end": ("state", without_end(_LONG_HEADER, 64, b"HTTP/1.1 200 OK\r\n")),
        "100 Continue without end": (
            "state",
            without_end(_GOES_ON + _LONG_HEADER + b"\r\n", 64, _GOES_ON + b"\r\n"),
        ),
        "a large error": ("state", gives(large_state(large), 500)),
        "a large token": (
            "token",
            says({"access_token": "t" * large * _MEGABYTE, "expires_in": 3600}),
        ),
        "a large answer to a report": ("report", gives(large_state(large))),
    }


def line_attacks(large: int = 60) -> dict[str, Evil]:
    """The same on a line, by name. ``large`` is in MB, of a message whose length is told."""
    size = large * _MEGABYTE
    leases, objects = large_state(large), b'{"a":[{}' + b",{}" * 2_400_000 + b"]}"

    def fragments(handler: BaseHTTPRequestHandler) -> None:
        """One message in empty fragments that never ends."""
        peer = proved(handler)
        peer.send_raw(bytes((Opcode.TEXT, 0)))
        _flood(peer, bytes((Opcode.CONTINUATION, 0)), 64)

    def large_answer(handler: BaseHTTPRequestHandler) -> None:
        peer = proved(handler)
        _answer(peer, peer.take(Ask).nonce, leases)

    def empty_objects(handler: BaseHTTPRequestHandler) -> None:
        peer = proved(handler)
        _answer(peer, peer.take(Ask).nonce, objects)

    return {
        "a large answer": large_answer,
        "an answer of empty objects": empty_objects,
        "a large message unasked": lambda handler: proved(handler).send(b"x" * size),
        "a large message before the proof": lambda handler: Peer(handler).send(b"x" * size),
        "fragments without end": fragments,
        "pings without end": lambda handler: _flood(
            proved(handler), frame(Opcode.PING, b"x" * 125), 64
        ),
        "empty messages without end": lambda handler: _flood(
            proved(handler), frame(Opcode.TEXT, b"{}"), 64
        ),
        "hints without end": lambda handler: _flood(
            proved(handler), frame(Opcode.TEXT, write(Hint("", 7))), 64
        ),
        "challenges without end": lambda handler: _flood(
            Peer(handler), frame(Opcode.TEXT, write(Challenge("c" * 43))), 64
        ),
        "a nested message": lambda handler: proved(handler).send(
            b'{"kind":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
        ),
        "headers without end": without_end(
            _LONG_HEADER, 64, b"HTTP/1.1 101 Switching Protocols\r\n"
        ),
    }


def proved(handler: BaseHTTPRequestHandler) -> Peer:
    peer = Peer(handler)
    peer.prove()
    return peer


def _answer(peer: Peer, nonce: str, state: bytes) -> None:
    """In pieces, so that this end keeps no second copy of it."""
    head = b'{"kind":"state","machine":"","nonce":"' + nonce.encode() + b'","state":'
    length = len(head) + len(state) + 1
    peer.send_raw(bytes((Opcode.TEXT | 0x80, 127)) + length.to_bytes(8))
    for piece in (head, state, b"}"):
        peer.send_raw(piece)


def _flood(peer: Peer, data: bytes, megabytes: int) -> None:
    """Bounded, should the agent take it all."""
    block = data * max(1, 65_536 // len(data))
    with contextlib.suppress(Gone):
        for _ in range(megabytes * _MEGABYTE // len(block)):
            peer.send_raw(block)
