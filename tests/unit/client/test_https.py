"""An answer is whole or it is none: a server that dies while it answers was not heard."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bascule.client import https
from bascule.client.https import Https, HttpsFailure

pytestmark = pytest.mark.sockets

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class Broken:
    """A server that sends so much of an answer and dies."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._said)

    def close(self) -> None:
        self._listener.close()
        self._thread.join(5)


def _plain(endpoint: str, trust: ssl.SSLContext) -> http.client.HTTPConnection:
    host, port = endpoint.split(":")
    return http.client.HTTPConnection(host, int(port))


@pytest.fixture(params=[b"", b'{"a":', b'{"a": 1}\r'], ids=["nothing", "half", "all but one"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    """Without TLS: what is read, not how it is kept secret, is what matters here."""
    monkeypatch.setattr(https, "_connect", _plain)
    made = Broken(ANSWER + request.param)
    yield made
    made.close()


def _client(server: Broken) -> Https:
    return Https(f"127.0.0.1:{server.port}", ssl.create_default_context())


def test_an_answer_cut_short_is_no_answer(server: Broken) -> None:
    client = _client(server)
    with pytest.raises(HttpsFailure):
        client.request("POST", "/", body={})


def test_a_long_answer_cut_short_is_an_error_and_no_end(server: Broken) -> None:
    status, pieces = _client(server).pieces("/", {}, {}, 5.0)
    assert status == 200
    with pytest.raises(HttpsFailure):
        list(pieces)


class Kept(http.client.HTTPConnection):
    """A connection that answers once; whatever is asked later raises ``gone``."""

    def __init__(self, gone: Exception) -> None:
        super().__init__("127.0.0.1")
        self._gone = gone
        self._asked = 0

    def connect(self) -> None:
        self.sock, other = socket.socketpair()
        other.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        self._other = other

    def request(self, method: str, *arguments: Any, **options: Any) -> None:
        self._asked += 1
        if self._asked > 1:
            raise self._gone
        super().request(method, *arguments, **options)

    def close(self) -> None:
        super().close()
        self._other.close()


@pytest.mark.parametrize(
    "gone",
    [
        ConnectionResetError(104, "reset"),
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        ssl.SSLError(5, "[SYS] unknown error"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_kept_connection_that_is_gone_is_made_anew(
    gone: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server closes what is idle, and TLS says so in its own words; a POST is not repeated."""
    monkeypatch.setattr(https, "_connect", lambda _, __: Kept(gone))
    client = Https("https://127.0.0.1", ssl.create_default_context())
    assert client.request("GET", "/").status == 200
    assert client.request("GET", "/").status == 200
    with pytest.raises(HttpsFailure):
        client.request("POST", "/", body={})
    client.close()


class Closing(Broken):
    """A server that answers one call a connection, and then closes it."""

    def _serve(self) -> None:
        for _ in range(2):
            connection, _ = self._listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def test_what_is_not_repeated_goes_over_no_connection_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server closes what is idle; a POST after that reaches it all the same, once."""
    made: list[http.client.HTTPConnection] = []

    def connect(endpoint: str, trust: ssl.SSLContext) -> http.client.HTTPConnection:
        made.append(_plain(endpoint, trust))
        return made[-1]

    monkeypatch.setattr(https, "_connect", connect)
    server = Closing(b"")
    client = _client(server)
    assert client.request("POST", "/", body={}).status == 200
    assert select.select([made[0].sock], [], [], 10)[0], "its end has come"
    assert client.request("POST", "/", body={}).status == 200
    assert len(made) == 2
    client.close()
    server.close()


class Dripping(Broken):
    """A server that always sends one byte more, just before one would stop waiting."""

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(600):
                time.sleep(0.1)
                connection.sendall(b" ")


def test_an_answer_that_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's loop waits for it: root's commands would wait with it, without end."""
    monkeypatch.setattr(https, "_connect", _plain)
    server = Dripping(b"")
    began = time.monotonic()
    with pytest.raises(HttpsFailure, match="in time"):
        _client(server).request("GET", "/", patience=2.0, within=0.5)
    assert time.monotonic() - began < 30
    server.close()
