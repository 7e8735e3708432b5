"""A point has one connection over all servers: each that was proved is claimed in the database.

A claim has a number, higher than all before it. Reports, answers and contacts of a connection are
accepted only while its number is the newest of its point. So a server that was paused or cut off cannot
speak for a point that has connected elsewhere. Claims that come together are written together. Where a
server is alone, nothing is claimed.
"""

from __future__ import annotations

import asyncio
from functools import partial

from bascule.services import lines as use
from bascule.services.act import Services

AT_ONCE = 100  # of one transaction


class Claims:
    """Claims that wait to be written."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting: list[tuple[str, asyncio.Future[use.Claimed | None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def claim(self, point_uid: str) -> use.Claimed | None:
        """None when there is no such point any more. Raises Unavailable."""
        future: asyncio.Future[use.Claimed | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((point_uid, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            uids = [uid for uid, _ in some]
            try:
                found = await self._services.perform(partial(use.claim, uids), may_wait=True)
            except Exception as error:  # noqa: BLE001  # reason: it is told to each who waits
                for _, future in some:
                    if not future.done():
                        future.set_exception(error)
                continue
            self._services.hub.tell_of_lines(uids)
            for uid, future in some:
                if not future.done():
                    future.set_result(found[uid])
