"""Somebody in the middle who delays and replays what the server says to its agent.

They hold the server's own certificate (the worst case: TLS does not stop them), end the agent's TLS
and speak to the server themselves. What they do is set on the object at any time; messages of the
line may overtake each other.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

from bascule.agent.websocket import WebSocket
from bascule.clocks import SystemClock
from bascule.errors import ServerUnreachable
from bascule.protocol.frames import Opcode, frame
from bascule.protocol.line import LARGEST_STATE, Hint, write
from tests.e2e.handing import body_of, handing_server
from tests.netns.network import INNER, Space
from tests.support.line_peer import Gone, Peer

PORT = 9443
_DROPPED = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class SlowProxy:
    """In ``space``, on INNER:9443; everything goes to INNER:``upstream``."""

    def __init__(self, space: Space, data: Path, upstream: int) -> None:
        self.news_delay = 0.0  # seconds before what was not asked for is passed on
        self.drops_hints = False  # wherever a generation is told: of news only pushes are passed on
        self.hints_only = False  # as for a state that is too large to be pushed
        self.state_delay = 0.0  # seconds before an answer with a state is passed on
        self.drip = 0.0  # seconds over which such an answer's bytes are spread
        self.replay: dict[str, Any] | None = None  # the state of every answer
        self.last_state: dict[str, Any] = {}
        self.states = 0  # answered
        self.pushes: list[bytes] = []  # passed on
        self._told = 0  # the newest generation that was passed on
        self._peer: Peer | None = None
        self._clock = SystemClock()
        self._trust = ssl.create_default_context(cafile=str(data / "ca.pem"))
        self._upstream = upstream
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(data / "server.pem")
        self._server = space.inside(lambda: handing_server(INNER, PORT, self.forward))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

        def serve() -> None:
            space.enter()
            self._server.serve_forever(0.05)

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()

    @property
    def line(self) -> Peer:
        """The agent's newest."""
        assert self._peer is not None, "there was none yet"
        return self._peer

    def forward(self, handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ServerUnreachable, Gone):
            if handler.path.endswith("/line"):
                self._pass_line(handler)
                return
            body = body_of(handler)
            upstream = http.client.HTTPSConnection(
                INNER, self._upstream, context=self._trust, timeout=60
            )
            with contextlib.closing(upstream):
                headers = {k: v for k, v in handler.headers.items() if k.lower() not in _DROPPED}
                upstream.request(handler.command, handler.path, body or None, headers)
                self._pass_whole(handler, upstream.getresponse())

    def _pass_line(self, handler: BaseHTTPRequestHandler) -> None:
        endpoint = f"https://{INNER}:{self._upstream}"
        upstream = WebSocket(endpoint, handler.path, self._trust, self._clock, LARGEST_STATE)
        self._peer = peer = Peer(handler)
        asked: set[str] = set()

        def pass_up() -> None:
            with contextlib.suppress(Gone, ServerUnreachable):
                while True:
                    text = peer.next_text(60.0)
                    told = json.loads(text)
                    if told["kind"] == "ask":
                        asked.add(told["nonce"])
                    upstream.send(text)
            upstream.close()

        thread = threading.Thread(target=pass_up, daemon=True)
        thread.start()
        try:
            for text in upstream.messages(60.0):
                told = json.loads(text)
                if told["kind"] == "state" and told["nonce"] in asked:
                    self._answer(peer, told)
                elif told["kind"] in ("beat", "hint", "state"):
                    self._pass_news(peer, told, text)
                elif told["kind"] == "taken":
                    self._pass_taken(peer, told)
                else:
                    peer.send(text)
        finally:
            peer.close()
            upstream.release()

    def _pass_taken(self, peer: Peer, told: dict[str, Any]) -> None:
        if self.drops_hints:
            told["generation"] = min(told["generation"], self._told)
        self._told = max(self._told, told["generation"])
        peer.send(json.dumps(told).encode())

    def _answer(self, peer: Peer, told: dict[str, Any]) -> None:
        self.last_state = told["state"]
        self._told = max(self._told, told["state"]["generation"])
        if self.replay is not None:
            told["state"] = self.replay
        data = frame(Opcode.TEXT, json.dumps(told).encode())
        time.sleep(self.state_delay)
        if self.drip:
            for byte in data:
                peer.send_raw(bytes([byte]))
                time.sleep(self.drip / len(data))
        else:
            peer.send_raw(data)
        self.states += 1

    def _pass_news(self, peer: Peer, told: dict[str, Any], text: bytes) -> None:
        if told["kind"] == "state":
            if self.hints_only:
                text = write(Hint("", told["state"]["generation"]))
            else:
                self.pushes.append(text)
        elif self.drops_hints:
            if told["kind"] == "hint":
                return
            text = json.dumps({**told, "generations": {}}).encode()

        def send() -> None:
            if told["kind"] == "state":
                self._told = max(self._told, told["state"]["generation"])
            with contextlib.suppress(Gone):
                peer.send(text)

        if self.news_delay:
            threading.Timer(self.news_delay, send).start()
        else:
            send()

    def _pass_whole(
        self, handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse
    ) -> None:
        content = answer.read()
        self._head(handler, answer)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    @staticmethod
    def _head(handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse) -> None:
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _DROPPED:
                handler.send_header(name, value)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
