"""Holding one duty over several transactions, such as delivering.

What is not here: the row and its fence (``duties``), which is all that work of one transaction needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import structlog

from bascule.errors import BasculeError
from bascule.interfaces.duties import DutyWrites
from bascule.services.act import Services
from bascule.services.duties import LEASE

log = structlog.get_logger("bascule.server")

RENEW_EVERY = 2.0  # seconds
_LOOK_SECONDS = 1.0
# Shorter than LEASE by more than two readings of the clock differ: a server stops by itself before
# another begins.
_GOOD_FOR = (LEASE - timedelta(seconds=1)).total_seconds()


class Post:
    """The hold of one server on one duty. A lone server always holds it."""

    def __init__(self, services: Services, name: str) -> None:
        self._services = services
        self._name = name
        self._epoch: int | None = None  # None: it is not ours
        self._renewed_at = 0.0  # by the clock since boot, suspended and paused time included

    @property
    def is_held(self) -> bool:
        """May something be done now that no transaction can undo?"""
        if not self._services.duties.is_shared:
            return True
        age = self._services.clock.boottime() - self._renewed_at
        return self._epoch is not None and age < _GOOD_FOR

    async def keep(self) -> bool:
        """Take or keep it; to be called every second.

        False: another server has it, or had it in between. What was begun is to be ended then.
        """
        services = self._services
        if not services.duties.is_shared:
            return True
        at = services.clock.boottime()
        if self._epoch is None:
            name, now = self._name, services.clock.now()
            if not await services.read(lambda r: services.duties.may_enter(r, name, now)):
                return False
        elif at - self._renewed_at < RENEW_EVERY:
            return True
        epoch = await services.perform(
            lambda tx, act: services.duties.enter(tx, self._name, act.now, renews=True)
        )
        if self._epoch is not None and epoch != self._epoch:
            log.warning("a duty passed to another server", duty=self._name)
            self._epoch = None
            return False
        self._epoch, self._renewed_at = epoch, at
        return epoch is not None

    def is_ours(self, tx: DutyWrites, now: datetime) -> bool:
        """The fence of one transaction."""
        if not self._services.duties.is_shared:
            return True
        epoch = self._services.duties.enter(tx, self._name, now)
        return epoch is not None and epoch == self._epoch

    async def give_back(self) -> None:
        if self._epoch is not None:
            self._epoch = None
            await self._services.perform(
                lambda tx, act: self._services.duties.give_back(tx, act.now, (self._name,))
            )

    @asynccontextmanager
    async def held(self, pause: float) -> AsyncIterator[None]:
        """Wait until it is ours, looking every ``pause`` seconds, and keep it meanwhile."""
        is_ours = False
        while not is_ours:
            with suppress(BasculeError):  # the database is away: it is looked at again
                is_ours = await self.keep()
            if not is_ours:
                await asyncio.sleep(pause)
        keeping = asyncio.create_task(self._keep_on())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            with suppress(BasculeError):
                await self.give_back()

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with suppress(BasculeError):  # the database is away: another may take it
                await self.keep()
