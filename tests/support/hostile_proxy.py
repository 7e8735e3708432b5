"""A proxy that ends TLS between agents and a server, and does with what it sees what a test says.

It holds a certificate that the agents accept. ``on_call`` and ``on_answer`` change calls, ``up`` and ``down``
the messages of lines; each sees everything, and may keep, drop, repeat, exchange and invent.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from bascule.agent.websocket import WebSocket
from bascule.clocks import SystemClock
from bascule.errors import ServerUnreachable
from bascule.protocol.line import LARGEST_STATE
from tests.e2e.handing import body_of, handing_server
from tests.support.line_peer import Gone, Peer

ADDRESS = "127.0.0.1"
_DROPPED = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes


@dataclass
class HostileProxy:
    """In front of ``upstream``, whose CA is in ``ca``."""

    upstream: str
    ca: Path
    certificate: Path  # with its key
    caller: str = "192.0.2.7"  # told as X-Forwarded-For
    on_call: Callable[[Asked], Asked | Answer] = field(default=lambda asked: asked)
    on_answer: Callable[[Asked, Answer], Answer] = field(default=lambda _, answer: answer)
    up: Callable[[bytes], list[bytes]] = field(default=lambda text: [text])
    down: Callable[[bytes], list[bytes]] = field(default=lambda text: [text])
    calls: list[tuple[Asked, Answer]] = field(default_factory=list)
    lines: list[tuple[str, bytes]] = field(default_factory=list)  # what was said, as it came

    def __post_init__(self) -> None:
        self._trust = ssl.create_default_context(cafile=str(self.ca))
        self._server = handing_server(ADDRESS, 0, self._hand)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.peer: Peer | None = None
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self._server.server_address[1]}"

    def honest(self) -> None:
        self.on_call, self.on_answer = (lambda asked: asked), (lambda _, answer: answer)
        self.up = self.down = lambda text: [text]
        self.calls.clear()
        self.lines.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forward(self, asked: Asked) -> Answer:
        """Ask the server, as itself."""
        upstream = http.client.HTTPSConnection(
            ADDRESS, urlsplit(self.upstream).port, context=self._trust, timeout=60
        )
        with contextlib.closing(upstream):
            headers = {**asked.headers, "X-Forwarded-For": self.caller}
            upstream.request(asked.method, asked.path, asked.body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, content)

    def _hand(self, handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ServerUnreachable, Gone):
            if handler.path.endswith("/line"):
                self._pass_line(handler)
                return
            headers = {k: v for k, v in handler.headers.items() if k.lower() not in _DROPPED}
            asked = Asked(handler.command, handler.path, headers, body_of(handler))
            passed = self.on_call(asked)
            answer = passed if isinstance(passed, Answer) else self.forward(passed)
            self.calls.append((asked, answer))
            answer = self.on_answer(asked, answer)
            handler.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name not in _DROPPED:
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(answer.content)))
            handler.end_headers()
            handler.wfile.write(answer.content)

    def _pass_line(self, handler: BaseHTTPRequestHandler) -> None:
        upstream = WebSocket(self.upstream, handler.path, self._trust, SystemClock(), LARGEST_STATE)
        upstream.accept(LARGEST_STATE, may_fragment=True)
        self.peer = peer = Peer(handler)

        def pass_up() -> None:
            with contextlib.suppress(Gone, ServerUnreachable):
                while True:
                    text = peer.next_text(60.0)
                    self.lines.append(("up", text))
                    for each in self.up(text):
                        upstream.send(each)
            upstream.close()

        threading.Thread(target=pass_up, daemon=True).start()
        try:
            for text in upstream.messages(60.0):
                self.lines.append(("down", text))
                for each in self.down(text):
                    peer.send(each)
        finally:
            peer.close()
            upstream.release()


def with_header(asked: Asked, name: str, value: str) -> Asked:
    return replace(asked, headers={**asked.headers, name: value})
