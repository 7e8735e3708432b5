"""The listener that serves metrics without a token: what it answers, and what it hangs up on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bascule.api import metrics_listener as listening
from bascule.api.metrics_listener import LARGEST_HEAD, MOST_CONNECTIONS, Answer, metrics_listener

pytestmark = pytest.mark.sockets

BODY = b"bascule_build_info 1\n"


async def made() -> Answer:
    return BODY, "text/plain; version=0.0.4"


@contextlib.asynccontextmanager
async def serving(make: Callable[[], Awaitable[Answer]] = made) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        async with metrics_listener([bound], make):
            yield bound.getsockname()[1]


async def told(port: int, request: bytes) -> bytes:
    """All that comes until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        await let_go(writer)


async def let_go(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def ask(request: bytes, make: Callable[[], Awaitable[Answer]] = made) -> bytes:
    async def once() -> bytes:
        async with asyncio.timeout(20), serving(make) as port:
            return await told(port, request)

    return asyncio.run(once())


@pytest.mark.parametrize("path", [b"/metrics", b"/metrics?name=x"])
def test_it_serves_metrics(path: bytes) -> None:
    head, _, body = ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d" % len(BODY) in head
    assert body == BODY


def test_head_has_no_body() -> None:
    answer = ask(b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /portal HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"\x16\x03\x01 hello\r\n\r\n", b"404"),
        (b"\r\n\r\n", b"404"),
    ],
)
def test_it_serves_nothing_else(request_: bytes, status: bytes) -> None:
    assert ask(request_).startswith(b"HTTP/1.1 " + status)


def test_a_head_that_is_too_long_is_hung_up_on() -> None:
    assert ask(b"GET /metrics HTTP/1.1\r\nA: " + b"a" * 2 * LARGEST_HEAD + b"\r\n\r\n") == b""


def test_one_who_sends_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_WITHIN", 0.05)
    assert ask(b"GET /metrics HTTP/1.1\r\n") == b""


def test_what_cannot_be_made_is_said() -> None:
    async def fails() -> Answer:
        raise RuntimeError("no")

    assert ask(b"GET /metrics HTTP/1.1\r\n\r\n", fails).startswith(b"HTTP/1.1 500 ")


def test_whoever_says_nothing_goes_first_when_there_is_no_room() -> None:
    async def crowd() -> tuple[bytes, list[bool]]:
        async with asyncio.timeout(20), serving() as port:
            silent = [
                await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)
            ]
            await asyncio.sleep(0.2)
            answer = await told(port, b"GET /metrics HTTP/1.1\r\n\r\n")
            ended = [await is_ended(reader) for reader, _ in silent]
            for _, writer in silent:
                await let_go(writer)
            return answer, ended

    answer, ended = asyncio.run(crowd())
    assert answer.endswith(BODY)
    assert ended == [True] + [False] * (MOST_CONNECTIONS - 1)


def test_whoever_waits_for_an_answer_keeps_the_place() -> None:
    async def crowd() -> tuple[bytes, list[bytes]]:
        made_now = asyncio.Event()

        async def later() -> Answer:
            await made_now.wait()
            return await made()

        async with asyncio.timeout(20), serving(later) as port:
            ask_all = [
                asyncio.create_task(told(port, b"GET /metrics HTTP/1.1\r\n\r\n"))
                for _ in range(MOST_CONNECTIONS)
            ]
            await asyncio.sleep(0.2)
            over = await told(port, b"GET /metrics HTTP/1.1\r\n\r\n")
            made_now.set()
            return over, await asyncio.gather(*ask_all)

    over, answers = asyncio.run(crowd())
    assert over == b""
    assert all(each.endswith(BODY) for each in answers)


async def is_ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.1):
            await reader.read(1)
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
