"""A flood of handshakes that nobody finishes, from many networks, while agents come back.

Each connection sends the first bytes of TLS and then nothing. The answer costs the server much, and
the flood almost nothing. After a while the flood closes the connection, as a client that gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

NETWORKS = 36
_HELD_SECONDS = 5.0
_TICK_SECONDS = 0.02


def first_bytes() -> bytes:
    """A ClientHello (RFC 8446 4.1.2) as OpenSSL writes it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def network(number: int) -> str:
    """An address on loopback that no agent has."""
    return f"127.200.{number % NETWORKS}.1"


class Flood:
    """So many a second until ``stop``; ``begun`` counts those whose first bytes were sent."""

    def __init__(self, port: int, per_second: float) -> None:
        self.begun = 0
        self._port = port
        self._per_second = per_second
        self._hello = first_bytes()
        self._held: set[socket.socket] = set()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    def stop(self) -> None:
        self._task.cancel()
        for each in tuple(self._held):
            self._let_go(each)

    async def _run(self) -> None:
        began, tried = self._loop.time(), 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            due = int((self._loop.time() - began) * self._per_second)
            for number in range(tried, due):
                self._begin(number)
            tried = due

    def _begin(self, number: int) -> None:
        each = socket.socket()
        each.setblocking(False)
        self._held.add(each)
        self._loop.call_later(_HELD_SECONDS, self._let_go, each)
        try:
            each.bind((network(number), 0))
            each.connect_ex(("127.0.0.1", self._port))  # on loopback it is answered at once
            each.send(self._hello)
            self.begun += 1
        except OSError:  # nobody listens, or its queue is full
            self._let_go(each)

    def _let_go(self, each: socket.socket) -> None:
        self._held.discard(each)
        each.close()
