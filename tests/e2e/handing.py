"""A server of HTTP that hands each call to a function: for servers that misbehave."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def handing_server(
    address: str, port: int, hand: Callable[[BaseHTTPRequestHandler], None]
) -> ThreadingHTTPServer:
    """Not started; ``hand`` reads the body, if there is one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hand(self)

        def do_POST(self) -> None:
            hand(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # reason: the base's name
            pass

        def handle(self) -> None:
            with contextlib.suppress(OSError, ssl.SSLError):  # a client that hangs up
                super().handle()

    made = ThreadingHTTPServer((address, port), Handler)
    made.daemon_threads = True
    return made


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    return handler.rfile.read(int(handler.headers.get("content-length", 0)))
