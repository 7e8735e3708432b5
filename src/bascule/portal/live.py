"""The stream that tells open pages to refetch.

A browser holds one for all its tabs, which pass on what it says (``static/live.js``). It says
only the number of the last change. A page that was made before that change fetches itself again,
with its own rights, and takes over its live parts. While nothing changes the stream sends a
heartbeat: a host that loses its power ends no connection. A browser that loses the stream, also by a
restart of the server, reconnects and refetches once. The stream ends with the session; neither it
nor a refetch keeps the session alive, so a window that nobody uses ends after two hours.

Server-sent events (WHATWG HTML 9.2), as lean as ASGI allows: no generator and no task group; one
small task waits for the browser to hang up.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bascule.services import sessions
from bascule.services.hub import CHANGES, wait_for

if TYPE_CHECKING:
    from bascule.portal.guard import Visit

HEARTBEAT_SECONDS = 15.0
SHORTEST_PAUSE = 0.4  # seconds between two hints; what came in between is one
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class Changes(Response):
    """A response that lasts as long as its session."""

    def __init__(self, visit: Visit) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = list(_HEADERS)
        self._hub = visit.state.services.hub
        self._visit = visit

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        with self._hub.listening(CHANGES) as woken:
            hung_up = asyncio.create_task(_wait_for_hang_up(receive, woken))
            try:
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
                await self._tell(send, woken, hung_up)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                hung_up.cancel()

    async def _tell(self, send: Send, woken: asyncio.Event, hung_up: asyncio.Task[None]) -> None:
        retry = random.randrange(100, 2000)  # noqa: S311  # reason: jitter: all come back after a stop
        await _write(send, f"retry: {retry}\nevent: hello\ndata: {self._hub.mark}\n\n")
        while not hung_up.done() and not self._hub.is_closing and await self._holds():
            if await wait_for(woken, HEARTBEAT_SECONDS):
                if hung_up.done() or not await self._holds():
                    break
                await _write(send, f"event: change\ndata: {self._hub.mark}\n\n")
                await asyncio.sleep(SHORTEST_PAUSE)
            else:
                await _write(send, "event: beat\ndata: \n\n")  # no script hears a comment

    async def _holds(self) -> bool:
        visit = self._visit
        found = await visit.read_few(
            lambda reader: sessions.visitor_of(reader, visit.session_text, visit.now)
        )
        return found is not None


async def _write(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _wait_for_hang_up(receive: Receive, woken: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    woken.set()
