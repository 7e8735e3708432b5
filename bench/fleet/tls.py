"""TLS connections, cheap enough for ten thousand in one process.

asyncio's own TLS keeps 256 KiB a connection and wakes a task for each read; here the socket is
OpenSSL's and the loop only says when it can be read. The server's certificate is not checked: what
is measured is the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

_PIECE = 65_536
_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen at connect, for one peer

Address = tuple[str, int]


class Gone(OSError):
    """The connection ended, or what came over it was no answer."""


def trusting_context() -> ssl.SSLContext:
    """One for all connections: TLS 1.3 as the agent's, the certificate not looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Tls:
    """One connection. What comes goes to ``on_bytes``; its end, once, to ``on_end``."""

    def __init__(self) -> None:
        self._socket: ssl.SSLSocket | None = None
        self._loop = asyncio.get_running_loop()
        self._unsent = b""
        self.on_bytes: Callable[[bytes], None] = _nothing
        self.on_end: Callable[[], None] = _nothing

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    @property
    def session(self) -> ssl.SSLSession | None:
        """For the next connection to be resumed by; None while there is none."""
        return self._socket.session if self._socket is not None else None

    async def open(
        self,
        to: Address,
        source: str,
        context: ssl.SSLContext,
        within: float,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """Connect from ``source`` and shake hands; raises OSError, TimeoutError after ``within`` s."""
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            made.bind((source, 0))
            async with asyncio.timeout(within):
                await self._loop.sock_connect(made, to)
                secure = context.wrap_socket(
                    made,
                    server_hostname="localhost",
                    do_handshake_on_connect=False,
                    session=session,
                )
                made = secure
                await self._shake_hands(secure)
        except BaseException:
            self._loop.remove_reader(made.fileno()) if made.fileno() >= 0 else None
            made.close()
            raise
        self._socket = secure
        self._loop.add_reader(secure.fileno(), self._read)
        self._loop.call_soon(self._read)  # what came with the handshake's last flight

    async def _shake_hands(self, secure: ssl.SSLSocket) -> None:
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                readable = self._loop.create_future()
                self._loop.add_reader(secure.fileno(), _wake, readable)
                try:
                    await readable
                finally:
                    self._loop.remove_reader(secure.fileno())
            else:
                return

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent; raises Gone."""
        if self._socket is None:
            raise Gone("the connection is closed")
        if self._unsent:
            self._unsent += data
            return
        self._send(data)

    def close(self) -> None:
        """End it without a word to ``on_end``."""
        secure, self._socket = self._socket, None
        self._unsent = b""
        if secure is not None:
            self._loop.remove_reader(secure.fileno())
            self._loop.remove_writer(secure.fileno())
            secure.close()

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            return
        try:
            sent = self._socket.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError as error:
            self._end()
            raise Gone(str(error)) from None
        self._unsent = data[sent:]
        if self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._send_rest)

    def _send_rest(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fileno())
            with contextlib.suppress(Gone):  # told by on_end
                self._send(self._unsent)

    def _read(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(_PIECE)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            if not data:
                self._end()
                return
            self.on_bytes(data)

    def _end(self) -> None:
        if self._socket is not None:
            self.close()
            self.on_end()


def _nothing(*_: object) -> None:
    """Nobody is there to be told yet."""


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
