"""A listener of its own for metrics: HTTP without TLS and without a token, for a network or a host
on which everybody may read them (EDGES I8).

It knows one path. Connections are few at once, each serves one call, and what is slow is hung up on,
so that nobody takes what the API needs. Where there is no room, the oldest goes that has not said yet
what it wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog

log = structlog.get_logger("bascule.server")

MOST_CONNECTIONS = 16
HEAD_WITHIN = 5.0  # seconds
ANSWER_WITHIN = 10.0  # seconds, to make it and to send it
LARGEST_HEAD = 8192  # bytes
MEDIA_TYPE = "text/plain; charset=utf-8"

Answer = tuple[bytes, str]  # body, media type


@contextlib.asynccontextmanager
async def metrics_listener(
    listeners: Sequence[socket.socket], make: Callable[[], Awaitable[Answer]]
) -> AsyncIterator[None]:
    """Answer GET and HEAD of /metrics on bound sockets with what ``make`` makes."""
    here = _Listener(make)
    servers = [
        await asyncio.start_server(here.serve, sock=each, limit=LARGEST_HEAD) for each in listeners
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()
        serving = list(here.tasks)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # a transport closes its socket in the next round of the loop


class _Listener:
    def __init__(self, make: Callable[[], Awaitable[Answer]]) -> None:
        self._make = make
        self.tasks: set[asyncio.Task[None]] = set()
        self._silent: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # oldest first

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or not self._has_room():
            writer.transport.abort()
            return
        self.tasks.add(task)
        self._silent[task] = writer
        try:
            async with asyncio.timeout(HEAD_WITHIN):
                head = await reader.readuntil(b"\r\n\r\n")
            self._silent.pop(task, None)
            async with asyncio.timeout(ANSWER_WITHIN):
                writer.write(await self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the peer's affair
        finally:
            self.tasks.discard(task)
            self._silent.pop(task, None)
            writer.transport.abort()

    def _has_room(self) -> bool:
        if len(self.tasks) < MOST_CONNECTIONS:
            return True
        if not self._silent:
            return False
        oldest = next(iter(self._silent))
        self._silent.pop(oldest).transport.abort()  # its read ends with it
        self.tasks.discard(oldest)
        return True

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path != b"/metrics":
            return _response("404 Not Found", b"There is only /metrics here.\n", MEDIA_TYPE)
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"Use GET.\n", MEDIA_TYPE, allow="GET, HEAD")
        try:
            body, media_type = await self._make()
        except Exception:
            log.exception("metrics were not made")
            return _response("500 Internal Server Error", b"See the server's log.\n", MEDIA_TYPE)
        return _response("200 OK", body, media_type, has_body=method == b"GET")


def _response(
    status: str, body: bytes, media_type: str, *, allow: str = "", has_body: bool = True
) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *([f"Allow: {allow}"] if allow else []),
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + body if has_body else head
