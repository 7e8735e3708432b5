"""HTTP/1.1 over one connection: calls one after another, or one answer that goes on."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from bench.fleet.tls import Address, Gone, Tls

_HEAD_END = b"\r\n\r\n"


class Http:
    """HTTP/1.1 calls over one kept connection, one after another."""

    def __init__(self, to: Address, source: str, context: ssl.SSLContext) -> None:
        self._to, self._source, self._context = to, source, context
        self._tls: Tls | None = None
        self._heard = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def close(self) -> None:
        if self._tls is not None:
            self._tls.close()
            self._tls = None
        self._fail()

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        connect_within: float = 8.0,
        within: float = 10.0,
    ) -> tuple[int, bytes]:
        """Status and body of the answer; raises OSError, TimeoutError when there is none."""
        for is_last in (False, True):
            is_kept = self._tls is not None and self._tls.is_open
            try:
                if not is_kept:
                    await self._connect(connect_within)
                return await self._once(request(method, path, body, headers), within)
            except Gone:
                self.close()
                if is_last or not is_kept:  # a kept one may have been closed meanwhile
                    raise
            except BaseException:
                self.close()
                raise
        raise AssertionError

    async def _connect(self, within: float) -> None:
        self.close()
        tls = Tls()
        await tls.open(self._to, self._source, self._context, within)
        self._heard = b""
        tls.on_bytes, tls.on_end = self._take, self._fail
        self._tls = tls

    async def _once(self, written: bytes, within: float) -> tuple[int, bytes]:
        if self._tls is None:
            raise Gone("the connection is closed")
        waiting = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._tls.write(written)
        async with asyncio.timeout(within):
            found: tuple[int, bytes] = await waiting
        return found

    def _take(self, data: bytes) -> None:
        self._heard += data
        found = answer_in(self._heard)
        if found is not None and self._waiting is not None and not self._waiting.done():
            status, content, self._heard = found
            self._waiting.set_result((status, content))

    def _fail(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Gone("the connection ended"))


class GoingOn:
    """One GET whose answer goes on: what comes after its head goes to ``on_bytes``."""

    def __init__(self, on_bytes: Callable[[bytes], None]) -> None:
        self._on_bytes = on_bytes
        self._loop = asyncio.get_running_loop()
        self._tls = Tls()
        self._came_up = False
        self._head = b""
        self._status: asyncio.Future[int] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._heard_at = 0.0

    @property
    def came_up(self) -> bool:
        """Was TLS there, whatever was answered then?"""
        return self._came_up

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._tls.session

    async def open(
        self,
        to: Address,
        source: str,
        context: ssl.SSLContext,
        written: bytes,
        connect_within: float,
        within: float,
        session: ssl.SSLSession | None = None,
    ) -> int:
        """Send what is written; the answer's status. Raises OSError, TimeoutError."""
        await self._tls.open(to, source, context, connect_within, session)
        self._came_up = True
        self._tls.on_bytes, self._tls.on_end = self._take, self._end
        self._tls.write(written)
        async with asyncio.timeout(within):
            return await self._status

    async def ended(self, silence: float) -> None:
        """Return when it has ended; raises TimeoutError after so many seconds without a byte."""
        while not self._ended.done():
            await asyncio.wait([self._ended], timeout=silence)
            if not self._ended.done() and self._loop.time() - self._heard_at >= silence:
                raise TimeoutError

    def write(self, data: bytes) -> None:
        """Raises Gone."""
        self._tls.write(data)

    def close(self) -> None:
        self._tls.close()
        self._end()

    def _take(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._status.done():
            self._on_bytes(data)
            return
        self._head += data
        head, found, rest = self._head.partition(_HEAD_END)
        if found:
            self._status.set_result(status_of(head))
            if rest:
                self._on_bytes(rest)

    def _end(self) -> None:
        if not self._status.done():
            self._status.set_exception(Gone("the connection ended"))
            self._status.exception()  # whoever waits still gets it; nobody may wait any more
        if not self._ended.done():
            self._ended.set_result(None)


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """One request as it is written."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + _HEAD_END + body


def status_of(head: bytes) -> int:
    """Of an answer's head; raises Gone for what is none."""
    try:
        return int(head[9:12])
    except ValueError:
        raise Gone(f"no answer of HTTP: {head[:40]!r}") from None


def answer_in(heard: bytes) -> tuple[int, bytes, bytes] | None:
    """Status, body and what comes after it; None while it is not whole."""
    end = heard.find(_HEAD_END)
    if end < 0:
        return None
    head, rest = heard[:end].lower(), heard[end + 4 :]
    length = _field(head, b"content-length")
    if length is not None:
        size = int(length)
        return (status_of(head), rest[:size], rest[size:]) if len(rest) >= size else None
    if _field(head, b"transfer-encoding") != b"chunked":
        return status_of(head), b"", rest
    found = unchunk(rest)
    return None if found is None else (status_of(head), *found)


def _field(head: bytes, name: bytes) -> bytes | None:
    _, found, after = head.partition(b"\r\n" + name + b":")
    return after.partition(b"\r\n")[0].strip() if found else None


def unchunk(rest: bytes) -> tuple[bytes, bytes] | None:
    """A body in chunks and what comes after it; None while it is not whole."""
    pieces: list[bytes] = []
    while True:
        line, found, rest = rest.partition(b"\r\n")
        if not found:
            return None
        size = int(line.partition(b";")[0], 16)
        if len(rest) < size + 2:
            return None
        if size == 0:
            return b"".join(pieces), rest[2:]
        pieces.append(rest[:size])
        rest = rest[size + 2 :]


def read_json(content: bytes) -> Any:  # noqa: ANN401  # reason: JSON
    """What was answered; raises Gone for what is no JSON."""
    try:
        return json.loads(content)
    except ValueError:
        raise Gone(f"no JSON: {content[:80]!r}") from None
