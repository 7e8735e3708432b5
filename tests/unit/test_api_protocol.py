"""What one connection may make the server keep, and for how long (EDGES A27).

The real protocol, over a transport and a loop whose clock stands still until it is moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from bascule.api.connections import Bounds, Crowd
from bascule.api.protocol import MOST_PIPELINED, PatientProtocol

BOUNDS = Bounds(in_all=10, per_address=6, waiting_per_address=3)
Receive = Callable[[], Awaitable[dict[str, Any]]]
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Transport(asyncio.Transport):
    """Remembers what was asked of it; ``backlog`` is what its peer has not taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted, self.backlog = False, 0

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def write(self, data: bytes | bytearray | memoryview) -> None: ...


@dataclass
class Timer:
    at: float
    work: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Loop:
    """Begins no task, and calls what was to be called later when its clock is moved."""

    now: float = 0.0
    timers: list[Timer] = field(default_factory=list)
    begun: list[Coroutine[Any, Any, None]] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, work: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, work))
        return self.timers[-1]

    def create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        self.begun.append(work)
        return cast("asyncio.Future[None]", Task())

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [each for each in self.timers if each.at <= self.now]
        self.timers = [each for each in self.timers if each.at > self.now]
        for each in due:
            if not each.is_cancelled:
                each.work()


class Task:
    def add_done_callback(self, _: Callable[[object], None]) -> None: ...


class Connection:
    def __init__(self) -> None:
        self.transport, self.loop, self.crowd = Transport(), Loop(), Crowd(BOUNDS)
        place = self.crowd.admit("192.0.2.1", lambda: None)
        assert place is not None
        config = uvicorn.Config(_app, http="httptools", ws="none", lifespan="off")
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.protocol = PatientProtocol(
            config, ServerState(), {}, loop, place, BOUNDS, loop.time() + BOUNDS.headers_seconds
        )
        self.protocol.connection_made(self.transport)

    @property
    def is_cut(self) -> bool:
        return self.transport.is_aborted

    def says(self, data: bytes) -> None:
        self.protocol.data_received(data)

    def has_backlog(self, size: int) -> None:
        """The transport's word that what was written is more than its peer takes."""
        self.transport.backlog = size
        self.protocol.pause_writing()

    @property
    def gives_way(self) -> bool:
        """Would it be cut for a newcomer?"""
        return self.crowd.make_room()


async def _app(scope: object, receive: object, send: object) -> None:
    """Never begun: a test says itself when there is an answer."""


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    yield made
    for each in made.loop.begun:
        each.close()


# -- requests before their turn -----------------------------------------------------------


def test_a_few_requests_may_wait_for_their_turn(connection: Connection) -> None:
    connection.says(GET * (1 + MOST_PIPELINED))
    assert not connection.is_cut
    assert len(connection.protocol.pipeline) == MOST_PIPELINED


def test_one_more_ends_the_connection_and_of_the_rest_nothing_is_kept(
    connection: Connection,
) -> None:
    """A stranger's: every byte that he sends would else be kept forty times over."""
    connection.says(GET * (1 + MOST_PIPELINED))
    connection.says(GET * 5_000)
    assert connection.is_cut
    assert len(connection.protocol.pipeline) == MOST_PIPELINED


def test_each_answer_makes_room_for_one(connection: Connection) -> None:
    connection.says(GET * (1 + MOST_PIPELINED))
    for _ in range(100):
        connection.protocol.on_response_complete()
        connection.says(GET)
    assert not connection.is_cut


def test_a_stream_hears_that_its_reader_went_whatever_was_asked_behind_it(
    connection: Connection,
) -> None:
    """Else it is written for nobody, for as long as it would have lasted."""
    heard: list[str] = []

    async def stream(_scope: object, receive: Receive, _send: object) -> None:
        while not heard or heard[-1] != "http.disconnect":
            heard.append((await receive())["type"])

    connection.protocol.app = cast("Any", stream)
    connection.says(GET * 3)
    (streaming,) = connection.loop.begun

    async def lives_through_the_loss() -> None:
        answering = asyncio.create_task(streaming)
        await asyncio.sleep(0)
        connection.protocol.connection_lost(ConnectionResetError())
        await asyncio.wait_for(answering, 30)

    asyncio.run(lives_through_the_loss())
    assert heard == ["http.request", "http.disconnect"]
    assert len(connection.loop.begun) == 1, "what waited behind it is not begun"


# -- answers that nobody reads ------------------------------------------------------------


def test_who_takes_nothing_of_an_answer_is_cut(connection: Connection) -> None:
    connection.says(GET)
    connection.has_backlog(600_000)
    connection.loop.pass_time(BOUNDS.taking_seconds - 1)
    assert not connection.is_cut
    connection.loop.pass_time(1)
    assert connection.is_cut


def test_who_reads_slowly_is_not(connection: Connection) -> None:
    connection.says(GET)
    connection.has_backlog(600_000)
    for _ in range(20):
        connection.transport.backlog -= 16_000
        connection.loop.pass_time(BOUNDS.taking_seconds)
    assert not connection.is_cut
    connection.loop.pass_time(BOUNDS.taking_seconds)  # until he stops
    assert connection.is_cut


def test_a_stream_that_is_read_and_then_quiet_is_not(connection: Connection) -> None:
    connection.says(GET)
    connection.has_backlog(600_000)
    connection.protocol.resume_writing()
    connection.loop.pass_time(100 * BOUNDS.taking_seconds)
    assert not connection.is_cut


def test_who_does_not_read_waits_and_gives_way_and_who_reads_on_does_not() -> None:
    for reads_on in (True, False):
        made = Connection()
        made.says(GET)
        made.has_backlog(600_000)
        made.says(GET)  # nor do further requests make him busy
        if reads_on:
            made.protocol.resume_writing()
        assert made.gives_way is not reads_on
        for each in made.loop.begun:
            each.close()


def test_a_connection_that_is_over_has_no_time_running(connection: Connection) -> None:
    connection.says(GET)
    connection.has_backlog(600_000)
    connection.protocol.connection_lost(None)
    assert all(each.is_cancelled for each in connection.loop.timers)
