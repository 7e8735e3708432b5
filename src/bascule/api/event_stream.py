"""Server-sent events (WHATWG HTML 9.2), as lean as ASGI allows.

No generator and no task group: one small task waits for the other side to hang up. A stream is
told by one topic of the hub; what it says, and when it ends, its subclass knows.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bascule.services.hub import Hub

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class EventStream(Response, ABC):
    """A response that lasts until ``tell`` returns."""

    def __init__(self, hub: Hub, topic: str) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = list(_HEADERS)
        self.hub = hub
        self._topic = topic

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        with self.hub.listening(self._topic) as woken:
            hung_up = asyncio.create_task(_wait_for_hang_up(receive, woken))
            try:
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
                await self.tell(send, woken, hung_up)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                hung_up.cancel()

    @abstractmethod
    async def tell(self, send: Send, woken: asyncio.Event, hung_up: asyncio.Task[None]) -> None:
        """Say what there is whenever ``woken``, until ``hung_up`` is done or nothing is left."""


async def write(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _wait_for_hang_up(receive: Receive, woken: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    woken.set()
