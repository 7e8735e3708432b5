"""HTTPS by the standard library: one kept connection to one server, whole answers.

``http.client`` (RFC 9112) loads in a quarter of the time of the larger clients, and a
prompt waits for that each time. A kept connection that the server has closed meanwhile is
made anew: before a call when its end has come by then, and once after it for calls that may
be repeated (RFC 9110 section 9.2.2). ``https_proxy``
and ``no_proxy`` are honoured. Redirects are not followed: no answer leads a token elsewhere.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import math
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

from bascule import __version__
from bascule.protocol.hello import OFFERED

CONNECT_SECONDS = 8.0
DIAL_SECONDS = 30.0
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes; a page of a thousand requests has about two million
LARGEST_HEAD = 1024 * 1024  # bytes before an answer that goes on
LONGEST_PIECE = 65_536
REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_GONE = (  # how a kept connection that the server has closed meanwhile shows
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ssl.SSLError,  # an end without a goodbye; OpenSSL has several words for it
)


def pinned(trust: ssl.SSLContext) -> ssl.SSLContext:
    """The same, with the wish to be shown a certificate by the installation's CA (``protocol.hello``)."""
    trust.set_alpn_protocols([*OFFERED])
    return trust


class HttpsFailure(Exception):
    """No whole answer came; ``__cause__`` says why."""


class Response(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    content: bytes


class Https:
    """Calls to one ``https://host[:port]``; for one thread."""

    def __init__(self, endpoint: str, trust: ssl.SSLContext) -> None:
        self._endpoint = endpoint
        self._trust = trust
        self._connection: http.client.HTTPSConnection | None = None
        self._is_over = threading.Event()  # the call has taken as long as it may in all

    @property
    def local_address(self) -> str:
        """Our end of the connection; empty when there is none."""
        sock = self._connection.sock if self._connection is not None else None
        return str(sock.getsockname()[0]).partition("%")[0] if sock is not None else ""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        form: Mapping[str, str] | None = None,
        patience: float = 30.0,
        within: float | None = None,
        largest: int = LARGEST_ANSWER,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Response:
        """One call; ``body`` goes as JSON (bytes are JSON already), ``form`` as a form. Raises
        HttpsFailure.

        ``patience`` is in seconds between two pieces, ``within`` in all (None: however long it
        goes on; a connection that is being made ends by its own limit). ``largest`` is the most
        bytes that are read for it, head and framing too; nothing is ever decompressed.
        ``meanwhile`` is called when the question is sent, again when it is repeated.
        """
        target = f"{path}?{urlencode(params)}" if params else path
        sent = {"User-Agent": f"bascule/{__version__}", "Accept": "*/*", **(headers or {})}
        content = None
        if form is not None:
            content = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            compact = (",", ":")
            content = (
                body if isinstance(body, bytes) else json.dumps(body, separators=compact).encode()
            )
            sent["Content-Type"] = "application/json"
        if self._connection is not None and _has_ended(self._connection.sock):
            self.close()
        may_repeat = self._connection is not None and method in REPEATABLE
        self._is_over.clear()
        limit = None if within is None else threading.Timer(within, self._cut)
        if limit is not None:
            limit.daemon = True
            limit.start()
        try:
            try:
                return self._once(method, target, content, sent, patience, largest, meanwhile)
            except _GONE:
                self.close()
                if not may_repeat or self._is_over.is_set():
                    raise
                return self._once(method, target, content, sent, patience, largest, meanwhile)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            # No second name for it: its frames, and what was read, would outlive it.
            words = _words(TimeoutError() if self._is_over.is_set() else error)
            raise HttpsFailure(words) from error
        finally:
            if limit is not None:
                limit.cancel()
                limit.join()  # it must not cut the next call

    def _cut(self) -> None:
        """In the timer's thread: whoever reads from the connection finds its end."""
        self._is_over.set()
        sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):  # closed meanwhile
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # TLS's own would wait its turn

    def pieces(
        self,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        silence: float,
    ) -> tuple[int, Iterator[bytes]]:
        """GET an answer of any length: its status, and its bytes as they come.

        ``silence`` is the most seconds between two of them. The iterator raises HttpsFailure when the
        connection breaks, and when the answer ends before its end.
        """
        answer = self._begin(f"{path}?{urlencode(params)}", headers, silence)
        return answer.status, self._pieces_of(answer)

    def _begin(
        self, target: str, headers: Mapping[str, str], silence: float
    ) -> http.client.HTTPResponse:
        self.close()
        connection = _connect(self._endpoint, self._trust)
        self._connection = connection
        try:
            connection.timeout = CONNECT_SECONDS
            connection.connect()
            connection.sock.settimeout(silence)
            connection.request("GET", target, headers=dict(headers))
            connection.response_class = _answers(LARGEST_HEAD)
            return _goes_on(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise HttpsFailure(_words(error)) from error

    def _pieces_of(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := answer.read(LONGEST_PIECE):
                yield piece
            _check_whole(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpsFailure(_words(error)) from error
        finally:
            answer.close()
            self.close()

    def _once(
        self,
        method: str,
        target: str,
        content: bytes | None,
        headers: Mapping[str, str],
        patience: float,
        largest: int,
        meanwhile: Callable[[], None],
    ) -> Response:
        connection = self._connection or _connect(self._endpoint, self._trust)
        self._connection = connection
        if connection.sock is None:
            connection.timeout = CONNECT_SECONDS
            connection.connect()
        if self._is_over.is_set():
            raise TimeoutError
        connection.sock.settimeout(patience)
        connection.request(method, target, body=content, headers=dict(headers))
        meanwhile()
        connection.response_class = _answers(largest)
        answer = connection.getresponse()
        with contextlib.closing(answer):
            # In pieces: of an answer in chunks, all at once would be an object for each chunk.
            received = b"".join(iter(lambda: answer.read(LONGEST_PIECE), b""))
            _check_whole(answer, received)
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, names, received)


class _Metered(io.RawIOBase):
    """What comes from a socket, up to ``most`` bytes; more raises HTTPException."""

    def __init__(self, source: socket.socket, most: float) -> None:
        self._source = source.makefile("rb", buffering=0)
        self._left = self.most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  # reason: the type has no name before 3.12
        count = self._source.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise http.client.HTTPException(f"the answer is longer than {self.most} bytes")
        return count

    def close(self) -> None:
        self._source.close()
        super().close()

    def end(self) -> None:
        self._left = math.inf


def _answers(most: int) -> type[http.client.HTTPResponse]:
    """Answers of which at most so many bytes are read, head and framing too."""

    class Answer(http.client.HTTPResponse):
        def __init__(
            self,
            sock: socket.socket,
            debuglevel: int = 0,
            method: str | None = None,
            url: str | None = None,
        ) -> None:
            super().__init__(sock, debuglevel, method, url)
            self.fp.close()
            self.fp = io.BufferedReader(_Metered(sock, most))

    return Answer


def _goes_on(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    """Its head is over: from here on whoever reads keeps little of what comes."""
    if isinstance(answer.fp.raw, _Metered):
        answer.fp.raw.end()
    return answer


def _has_ended(sock: socket.socket | None) -> bool:
    """Nobody was asked, so whatever there is to read is the end, or is not for us."""
    if sock is None:
        return False
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(0))


def _check_whole(answer: http.client.HTTPResponse, received: bytes = b"") -> None:
    """Raise IncompleteRead when bytes that were promised did not come.

    ``read`` with a size returns what there is and says nothing of what is missing.
    """
    if answer.length:
        raise http.client.IncompleteRead(received, answer.length)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.strerror:
        return error.strerror  # without "[Errno 111]"
    return str(error) or type(error).__name__


def dial(
    endpoint: str, trust: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    """A TLS connection to ``https://host[:port]``, by the proxy if one is set; raises HttpsFailure.

    It waits longer than a call: a server to which all its agents come back takes them in turns.
    ``session`` is one that this server made for the same ``trust``, to be resumed (RFC 8446 2.2).
    """
    connection = _connect(endpoint, trust)
    connection.timeout = DIAL_SECONDS
    try:
        # Its own connect() would begin TLS without the session.
        http.client.HTTPConnection.connect(connection)
        host = urlsplit(endpoint).hostname
        return trust.wrap_socket(connection.sock, server_hostname=host, session=session)
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        raise HttpsFailure(_words(error)) from error


def _connect(endpoint: str, trust: ssl.SSLContext) -> http.client.HTTPSConnection:
    server = urlsplit(endpoint)
    host, port = server.hostname or "", server.port or 443
    proxy = proxy_for(host, port)
    if not proxy:
        return http.client.HTTPSConnection(host, port, context=trust)
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = http.client.HTTPSConnection(way.hostname or "", way.port or 8080, context=trust)
    headers = {}
    if way.username is not None:
        who = f"{unquote(way.username)}:{unquote(way.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(who.encode()).decode()}"
    connection.set_tunnel(host, port, headers)
    return connection


def proxy_for(host: str, port: int) -> str:
    """The proxy's URL from the environment; empty when there is none for this host."""
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or ""
    if not proxy:
        return ""
    import urllib.request  # noqa: PLC0415  # reason: slow to load, and few have a proxy

    return "" if urllib.request.proxy_bypass(f"{host}:{port}") else proxy
