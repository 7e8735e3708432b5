"""The stream that tells open pages to refetch.

A browser holds one for all its tabs, which pass on what it says (``static/live.js``). It says
only the number of the last change. A page that was made before that change fetches itself again,
with its own rights, and takes over its live parts. While nothing changes the stream sends a beat:
a host that loses its power ends no connection. A browser that loses the stream, also by a
restart of the server, reconnects and refetches once. The stream ends with the session; neither it
nor a refetch keeps the session alive, so a window that nobody uses ends after two hours.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.types import Send

from bascule.api.event_stream import EventStream, write
from bascule.services import sessions
from bascule.services.hub import CHANGES, wait_for

if TYPE_CHECKING:
    from bascule.portal.guard import Visit

HEARTBEAT_SECONDS = 15.0
SHORTEST_PAUSE = 0.4  # seconds between two hints; what came in between is one


class Changes(EventStream):
    """A response that lasts as long as its session."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.state.services.hub, CHANGES)
        self._visit = visit

    async def tell(self, send: Send, woken: asyncio.Event, hung_up: asyncio.Task[None]) -> None:
        await write(send, f"retry: 1000\nevent: hello\ndata: {self.hub.mark}\n\n")
        while not hung_up.done() and not self.hub.is_closing and await self._holds():
            if await wait_for(woken, HEARTBEAT_SECONDS):
                if hung_up.done() or not await self._holds():
                    break
                await write(send, f"event: change\ndata: {self.hub.mark}\n\n")
                await asyncio.sleep(SHORTEST_PAUSE)
            else:
                await write(send, "event: beat\ndata: \n\n")  # no script hears a comment

    async def _holds(self) -> bool:
        visit = self._visit
        found = await visit.read_few(
            lambda reader: sessions.visitor_of(reader, visit.session_text, visit.now)
        )
        return found is not None
