"""The client's end of a WebSocket (RFC 6455) to one server, for two threads.

One thread receives; any may send. Both go through one lock, because OpenSSL takes no two calls on
one connection at a time: the socket never blocks, and is waited for outside the lock.

The server is not trusted with this host's time and memory (EDGES E4): how large a message is, how
many come a second, and for how long one end waits for the other is bounded here. No compression, no
Origin, no redirects; a proxy is honoured as for every call (``client.https``).
What is not here: the frames (``protocol.frames``), and what the texts say (``agent.line``).
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from bascule import __version__
from bascule.client.https import HttpsFailure, dial
from bascule.errors import ServerUnreachable
from bascule.interfaces.clock import Clock
from bascule.protocol.frames import (
    VERSION,
    Broken,
    CloseCode,
    Frames,
    Opcode,
    accept_key,
    close_frame,
    close_reason,
    frame,
)

PATIENCE = 10.0  # seconds until the server has taken what is sent, or answers the first request
LARGEST_HEAD = 16 * 1024  # bytes before the first message
MESSAGES_A_SECOND = 300  # pings too; an idle line has one in ten seconds
_PIECE = 16 * 1024  # bytes that are read at once
_WORDS = 200  # characters of a reason to close that are passed on


class NotConnected(ServerUnreachable):
    """TCP or TLS did not come up: nothing is known of what the way to the server lets pass."""


class WebSocket:
    """An open connection; ``messages`` for one thread, the rest for any."""

    def __init__(
        self,
        endpoint: str,
        path: str,
        trust: ssl.SSLContext,
        clock: Clock,
        largest: int,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """Connect and upgrade. ``largest`` is in bytes of one message.

        Raises ServerUnreachable, of which NotConnected is one.
        """
        self._clock = clock
        self._frames = Frames(is_masked=False, largest=largest)
        self._lock = threading.Lock()
        self._is_closed = False
        try:
            self._socket = dial(endpoint, trust, session)
        except HttpsFailure as error:
            raise NotConnected(f"{endpoint} did not answer: {error}.") from error
        self._socket.setblocking(False)
        try:
            self._early = self._upgrade(endpoint, path)
        except BaseException:
            self._socket.close()
            raise

    @property
    def session(self) -> ssl.SSLSession | None:
        """To resume later; there once something was received (RFC 8446 section 4.6.1)."""
        with self._lock:
            return self._socket.session

    def accept(self, largest: int, *, may_fragment: bool) -> None:
        """How many bytes a message may have from now on. A larger one ends the connection."""
        self._frames.largest, self._frames.may_fragment = largest, may_fragment

    def messages(self, silence: float) -> Iterator[bytes]:
        """The texts as they come, at a bounded pace; pings are answered.

        Raises ServerUnreachable when nothing came for ``silence`` seconds, at what is not to be
        accepted, and when the server closes.
        """
        received, began, count = self._early, self._clock.boottime(), 0
        while True:
            try:
                for opcode, content in self._frames.feed(received):
                    if opcode is Opcode.TEXT:
                        yield content
                    elif opcode is Opcode.PING:
                        self._write(frame(Opcode.PONG, content, is_masked=True))
                    elif opcode is Opcode.CLOSE:
                        code, why = close_reason(content)
                        raise ServerUnreachable(
                            f"The server closed the connection: {code} {why[:_WORDS]}"
                        )
                    count += 1
                    if count % MESSAGES_A_SECOND == 0:
                        time.sleep(max(0.0, min(1.0, began + 1.0 - self._clock.boottime())))
                        began = self._clock.boottime()
            except Broken as error:
                self.close(error.close_code)
                raise ServerUnreachable(
                    f"The server breaks the protocol: {error.message}"
                ) from error
            received = self._read(self._clock.boottime() + silence)

    def send(self, text: bytes) -> None:
        """Send one message; raises ServerUnreachable when the server does not take it in time."""
        self._write(frame(Opcode.TEXT, text, is_masked=True))

    def close(self, code: CloseCode = CloseCode.NORMAL) -> None:
        """Say why and hang up; whoever receives is woken."""
        with contextlib.suppress(OSError, ServerUnreachable):
            if not self._is_closed:
                self._write(close_frame(code, is_masked=True), within=0.2)
        self._hang_up()

    def _hang_up(self) -> None:
        self._is_closed = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # TLS's own would wait its turn

    def release(self) -> None:
        """Give the socket back, by whoever receives and receives no more."""
        self.close()
        with self._lock:
            self._socket.close()

    def _upgrade(self, endpoint: str, path: str) -> bytes:
        """Ask for the WebSocket; returns what came after the answer's head."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {urlsplit(endpoint).netloc}",
            f"User-Agent: bascule/{__version__}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Version: {VERSION}",
        )
        self._write("\r\n".join((*lines, "", "")).encode("ascii"))
        head, rest = self._read_head()
        status, headers = _parsed(head)
        if status != 101:
            raise ServerUnreachable(
                f"No WebSocket came up: HTTP {status}. Each proxy in between must pass WebSockets."
            )
        is_agreed = (
            headers.get("upgrade", "").lower() == "websocket"
            and "upgrade" in headers.get("connection", "").lower()
            and headers.get("sec-websocket-accept") == accept_key(key)
            and "sec-websocket-extensions" not in headers
            and "sec-websocket-protocol" not in headers
        )
        if not is_agreed:
            raise ServerUnreachable("The server sent no valid answer to a WebSocket handshake.")
        return rest

    def _read_head(self) -> tuple[bytes, bytes]:
        received, deadline = b"", self._clock.boottime() + PATIENCE
        while b"\r\n\r\n" not in received:
            if len(received) > LARGEST_HEAD:
                raise ServerUnreachable("The server sent headers that are too long.")
            received += self._read(deadline)
        head, _, rest = received.partition(b"\r\n\r\n")
        return head, rest

    def _read(self, deadline: float) -> bytes:
        """What there is; raises ServerUnreachable when nothing came by then, and at the end."""
        while not self._is_closed:
            try:
                with self._lock:
                    received = self._socket.recv(_PIECE)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)
                continue
            except ssl.SSLWantWriteError:  # TLS has a word of its own to say first
                self._wait(select.POLLOUT, deadline)
                continue
            except (OSError, ValueError) as error:
                raise ServerUnreachable(f"The connection to the server broke: {error}.") from error
            if not received:
                break
            return received
        raise ServerUnreachable("The connection to the server ended.")

    def _write(self, data: bytes, within: float = PATIENCE) -> None:
        deadline = self._clock.boottime() + within
        view = memoryview(data)
        # Whole frames only: while one waits for room, no other begins.
        with self._lock:
            try:
                while view:
                    try:
                        view = view[self._socket.send(view) :]
                    except ssl.SSLWantWriteError:
                        self._wait(select.POLLOUT, deadline)
                    except ssl.SSLWantReadError:  # TLS has to hear something first
                        self._wait(select.POLLIN, deadline)
            except (OSError, ValueError) as error:
                self._hang_up()
                raise ServerUnreachable(f"The connection to the server broke: {error}.") from error
            except ServerUnreachable:
                self._hang_up()  # half a frame may be on its way
                raise

    def _wait(self, event: int, deadline: float) -> None:
        waiting = select.poll()
        try:
            waiting.register(self._socket, event)
        except ValueError:  # closed meanwhile
            raise ServerUnreachable("The connection to the server ended.") from None
        left = deadline - self._clock.boottime()
        if left <= 0 or not waiting.poll(left * 1000):
            raise ServerUnreachable("The server did not answer in time.")


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers, names in lower case; the last of several counts."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    code = rest[:3]
    if version != "HTTP/1.1" or not (code.isascii() and code.isdigit()):
        raise ServerUnreachable("The server did not answer with HTTP/1.1.")
    named = (line.partition(":") for line in lines)
    return int(code), {name.strip().lower(): value.strip() for name, _, value in named}
