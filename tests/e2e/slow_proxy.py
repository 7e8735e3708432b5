"""Somebody in the middle who delays and replays what the server says to its agent.

He holds the server's own certificate (the worst case: TLS does not stop him), ends the agent's
TLS and speaks to the server himself. What he may do is set on the object at any time.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Self

from tests.e2e.handing import body_of, handing_server
from tests.netns.network import INNER, Space

PORT = 9443
_DROPPED = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class SlowProxy:
    """In ``space``, on INNER:9443; everything goes to INNER:``upstream``."""

    def __init__(self, space: Space, data: Path, upstream: int) -> None:
        self.stream_delay = 0.0  # seconds before an announcement is passed on
        self.state_delay = 0.0  # seconds before a state is passed on
        self.drip = 0.0  # seconds over which a state's bytes are spread
        self.replay: bytes | None = None  # sent instead of every state
        self.last_state = b""
        self.states = 0  # answered
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

    def forward(self, handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            body = body_of(handler)
            upstream = http.client.HTTPSConnection(
                INNER, self._upstream, context=self._trust, timeout=60
            )
            with contextlib.closing(upstream):
                headers = {k: v for k, v in handler.headers.items() if k.lower() not in _DROPPED}
                upstream.request(handler.command, handler.path, body or None, headers)
                answer = upstream.getresponse()
                if handler.path.partition("?")[0].endswith("/stream"):
                    self._pass_stream(handler, answer)
                else:
                    self._pass_whole(handler, answer)

    def _pass_stream(
        self, handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse
    ) -> None:
        handler.close_connection = True
        self._head(handler, answer)
        handler.end_headers()
        while line := answer.readline():
            if line.startswith(b"event"):
                time.sleep(self.stream_delay)
            handler.wfile.write(line)
            handler.wfile.flush()

    def _pass_whole(
        self, handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse
    ) -> None:
        content = answer.read()
        is_state = handler.path.partition("?")[0].endswith("/state") and answer.status == 200
        if is_state:
            self.last_state = content
            content = self.replay or content
            time.sleep(self.state_delay)
        self._head(handler, answer)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        pause = self.drip / len(content) if is_state and self.drip else 0.0
        for byte in content if pause else ():
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(pause)
        handler.wfile.write(b"" if pause else content)
        self.states += is_state

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
