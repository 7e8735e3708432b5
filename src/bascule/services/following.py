"""Once a second, find what another server on the database changed and no hint told of.

One read finds whether anything went on record since. If so, whoever waits here looks again: calls that
wait for a request, streams of pages, and with them whether their session or token still holds (EDGES
H3). What moved at machines is found in the same way by ``api.lines``. Hints (``hub``) are quicker; here
nothing rests on them. Only where servers share a database.
"""

from __future__ import annotations

import asyncio

import structlog

from bascule.errors import BasculeError
from bascule.services.act import Services

log = structlog.get_logger("bascule.server")

FOLLOW_SECONDS = 1.0


class Following:
    """How far the record of the database has been followed."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._seen = -1  # number of the last event
        self._read_at: float | None = None

    @property
    def behind(self) -> float | None:
        """Seconds since it was last read to its end; None: not yet."""
        now = self._services.clock.monotonic()
        return None if self._read_at is None else now - self._read_at

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.follow()
            except BasculeError as error:
                log.error("changes of other servers were not read", why=error.message)
            except Exception:
                log.exception("changes of other servers were not read")
            await asyncio.sleep(FOLLOW_SECONDS)

    async def follow(self) -> None:
        began = self._services.clock.monotonic()
        last = await self._services.read_few(lambda reader: reader.last_event())
        self._read_at = began
        if last != self._seen:
            self._seen = last
            self._services.hub.look_again()
