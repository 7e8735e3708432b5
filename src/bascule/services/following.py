"""Once a second, find what another server on the database changed and no hint told of.

One read finds whether anything went on record since. If so, whoever waits here looks again: calls that
wait for a request, streams of pages, and with them whether their session or token still holds (EDGES
H3). It also finds that the record was moved while this server was paused (EDGES H7), or that a newer
program upgraded the database, beside which this one must not go on (EDGES H6). What moved at machines
is found in the same way by ``api.lines``. Hints (``hub``) are quicker; here nothing rests on them. Only
where servers share a database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bascule.errors import BasculeError
from bascule.interfaces.inventory import Installation
from bascule.interfaces.replicas import Outdated
from bascule.services.act import Services

log = structlog.get_logger("bascule.server")

FOLLOW_SECONDS = 1.0


class Following:
    """How far the record of the database has been followed."""

    def __init__(
        self,
        services: Services,
        on_moved: Callable[[], None] = lambda: None,
        on_outdated: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_moved`` is called once, when the record was moved since this server started, and
        ``on_outdated`` when it is too old for the database.
        """
        self._services = services
        self._on_moved = on_moved
        self._on_outdated = on_outdated
        self._seen = -1  # number of the last event
        self._read_at: float | None = None

    @property
    def behind(self) -> float | None:
        """Seconds since it was last read to its end; None: not yet."""
        now = self._services.clock.monotonic()
        return None if self._read_at is None else now - self._read_at

    async def run(self) -> None:
        """Until cancelled, or there is nothing to follow any more."""
        while True:
            try:
                await self.follow()
            except Outdated as error:
                self._give_up(error)
                return
            except BasculeError as error:
                log.error("changes of other servers were not read", why=error.message)
            except Exception:
                log.exception("changes of other servers were not read")
            await asyncio.sleep(FOLLOW_SECONDS)

    async def follow(self) -> None:
        began = self._services.clock.monotonic()
        last, installation = await self._services.read_few(
            lambda reader: (reader.last_event(), reader.installation())
        )
        if installation is not None:
            self._check_place(installation)
        self._read_at = began
        if last != self._seen:
            self._seen = last
            self._services.hub.look_again()

    def _give_up(self, error: Outdated) -> None:
        """Agents and pages go to other servers; whoever calls here is told why."""
        log.error("this server gives up", why=error.message, advice=error.advice)
        self._services.fitness.outdated = error
        self._services.hub.close()
        self._on_outdated()

    def _check_place(self, installation: Installation) -> None:
        """Is the record still here, and as it was? One that was moved and is back has another number."""
        number, fitness = self._services.number, self._services.fitness
        is_same = number.value in (0, installation.number) and not installation.moved_to
        if is_same or fitness.has_moved:
            return
        log.error(
            "the record was moved while this server was paused: it changes nothing any more",
            to=installation.moved_to or "another database, and back",
            number=installation.number,
            before=number.value,
        )
        fitness.has_moved = True
        self._on_moved()
