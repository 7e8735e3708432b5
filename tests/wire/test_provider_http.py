"""Asking a provider: bounded in time and size, no redirect followed, TLS that is checked."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from bascule.clocks import SystemClock
from bascule.errors import InvalidInput, Unavailable
from bascule.identity import provider_http
from bascule.identity.provider_http import LARGEST_ANSWER, HttpsProvider
from bascule.identity.tls import CertificateKeeper

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> CertificateKeeper:
    made = CertificateKeeper(tmp_path_factory.mktemp("keeper"), ("localhost",))
    made.ensure(SystemClock().now())
    return made


def ask(
    keeper: CertificateKeeper,
    answer: Answer,
    ca: str | None = None,
    heard: list[bytes] | None = None,
) -> object:
    """What the provider's answer comes to; of one that drips, asked with a second's patience."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if heard is not None:
                heard.append(head)
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # who asked has gone
        finally:
            writer.close()

    async def run() -> object:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=keeper.context)
        port = server.sockets[0].getsockname()[1]
        trusted = keeper.ca_file.read_text() if ca is None else ca
        try:
            patience = 1.0 if answer is drip else 30.0
            return await HttpsProvider(patience).get(f"https://127.0.0.1:{port}/x", trusted)
        finally:
            server.close()

    return asyncio.run(run())


def saying(status: str, body: bytes = b"{}", more: str = "") -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then: no single wait is long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(100):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """No length is given, and no end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(LARGEST_ANSWER // 65_536 + 8):
        writer.write(b" " * 65_536)
        await writer.drain()


BOMB = gzip.compress(b"{" + b" " * 100_000_000 + b"}", 1)  # under 512 KiB


def test_a_json_object_is_an_answer(keeper: CertificateKeeper) -> None:
    assert ask(keeper, saying("200 OK", b'{"issuer": "x"}')) == {"issuer": "x"}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (saying("302 Found", more="Location: https://127.0.0.1:1/\r\n"), "answered 302"),
        (saying("404 Not Found"), "answered 404"),
        (saying("200 OK", b"[]"), "not a JSON object"),
        (saying("200 OK", b"<html>"), "not a JSON object"),
        (saying("200 OK", b"[" * 100_000), "not a JSON object"),
        (saying("200 OK", BOMB, "Content-Encoding: gzip\r\n"), "compressed"),
        (saying("200 OK", b"{}", "Content-Encoding: br\r\n"), "compressed"),
        (drip, "did not answer within 1 s"),
        (flood, "sent more than"),
    ],
)
def test_what_is_no_answer(keeper: CertificateKeeper, answer: Answer, why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        ask(keeper, answer)


def test_it_is_asked_for_plainly(keeper: CertificateKeeper) -> None:
    """A provider that packs what it may would be refused for nothing."""
    heads: list[bytes] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: identity\r\n\r\n{}"
        )
        await writer.drain()

    assert ask(keeper, answer, heard=heads) == {}
    assert b"accept-encoding: identity" in heads[0].lower()


def test_another_ca_is_not_trusted(keeper: CertificateKeeper, tmp_path: Path) -> None:
    other = CertificateKeeper(tmp_path, ("localhost",))
    other.ensure(SystemClock().now())
    for ca in (other.ca_file.read_text(), ""):
        with pytest.raises(Unavailable, match="not trusted"):
            ask(keeper, saying("200 OK"), ca)


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def test_what_cannot_be_reached_is_said_in_plain_words(keeper: CertificateKeeper) -> None:
    """Not in those of the library, nor with an error's number."""
    with pytest.raises(Unavailable, match=r"cannot be reached: Connection refused \(https"):
        asyncio.run(HttpsProvider().get("https://127.0.0.1:1/x", ""))
    with pytest.raises(Unavailable, match=r"cannot be reached: \S") as cut:
        ask(keeper, hang_up)
    assert "Errno" not in cut.value.message


def silent() -> Iterator[socket.socket]:
    """A port that takes connections and never answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(8)
        yield taken


def full() -> Iterator[socket.socket]:
    """A port that does not even take any more connections."""
    with socket.socket() as taken, ExitStack() as stack:
        taken.bind(("127.0.0.1", 0))
        taken.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(taken.getsockname())
        yield taken


@pytest.mark.parametrize("where", [contextmanager(silent), contextmanager(full)])
def test_what_does_not_answer_is_said_so(
    where: Callable[[], AbstractContextManager[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_http, "CONNECT_SECONDS", 0.5)
    with (
        where() as taken,
        pytest.raises(Unavailable, match=r"there was no answer within 0\.5 s"),
    ):
        asyncio.run(HttpsProvider().get(f"https://127.0.0.1:{taken.getsockname()[1]}/x", ""))


def test_what_speaks_no_tls_is_said_so() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            await HttpsProvider().get(f"https://127.0.0.1:{port}/x", "")
        finally:
            server.close()

    with pytest.raises(Unavailable, match="does not use TLS"):
        asyncio.run(run())


def test_http_is_not_spoken() -> None:
    with pytest.raises(InvalidInput, match="not an https URL"):
        asyncio.run(HttpsProvider().get("http://127.0.0.1/x", ""))


def test_more_than_a_few_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_http, "MOST_QUESTIONS", 0)
    with pytest.raises(Unavailable, match="Too many"):
        asyncio.run(HttpsProvider().get("https://127.0.0.1:1/x", ""))
