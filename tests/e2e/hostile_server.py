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
from bascule.domain.desired import Held
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.identity.tls import CertificateKeeper
from tests.e2e.handing import body_of, handing_server
from tests.netns.network import INNER, Space

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
    """On ``INNER``:9444 of ``space``, or here; ``evils`` by the last word of the path asked for."""

    def __init__(self, space: Space | Here, folder: Path) -> None:
        is_here = isinstance(space, Here)
        self._address, port = (Here.address, Here.port) if is_here else (INNER, PORT)
        self.evils: dict[str, Evil] = {}
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
        with contextlib.suppress(OSError, ssl.SSLError):
            self.evils.get(route, self._honest(route))(handler)

    def _honest(self, route: str) -> Evil:
        if route == "stream":
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
        """A stream with another generation each time, until the agent hangs up or this ends."""
        start_of(handler, {"Content-Type": "text/event-stream"})
        number = 1
        while not self.ending.is_set():
            number += 1
            handler.wfile.write(f'data: {{"generation": {number}}}\n\n'.encode())
            self.ending.wait(every)

    def close(self) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        "a line without end": ("stream", without_end(b"x" * 1024)),
        "lines without end": ("stream", without_end(b'data: {"generation": 1}\n', 256)),
    }
