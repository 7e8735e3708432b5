"""The server's own loop: sweep what time ended, note who fell silent or is gone.

Level, not edge: each round reads what is due. A round that fails is logged and tried
again; the kernel ends what it must meanwhile.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from bascule.domain.grant import SILENCE_BOUND
from bascule.errors import BasculeError
from bascule.interfaces import Transaction
from bascule.services.act import Act, Services
from bascule.services.sweep import close_orphans, next_due, note_silence, sweep

log = structlog.get_logger("bascule.server")

LONGEST_WAIT = timedelta(seconds=1)
SHORTEST_WAIT = timedelta(milliseconds=5)
SILENCE_ROUND = timedelta(seconds=5)


async def watch(services: Services) -> None:
    """Run until cancelled."""
    silent: set[str] = set()
    # While no server ran nobody could report: silence counts from our own start.
    next_silence = services.clock.boottime() + SILENCE_BOUND.total_seconds()
    while True:
        try:
            wait = await _round(services)
            if services.clock.boottime() >= next_silence:
                silent = await _silence_round(services, silent)
                next_silence = services.clock.boottime() + SILENCE_ROUND.total_seconds()
        except BasculeError as error:
            log.error("sweep failed", why=error.message)
            wait = LONGEST_WAIT
        await asyncio.sleep(wait.total_seconds())


async def _round(services: Services) -> timedelta:
    due = await services.look(next_due)
    now = services.clock.now()
    if due is not None and due <= now:
        await services.perform(sweep)
        return SHORTEST_WAIT
    left = LONGEST_WAIT if due is None else due - now
    return max(SHORTEST_WAIT, min(LONGEST_WAIT, left))


async def _silence_round(services: Services, silent: set[str]) -> set[str]:
    def work(tx: Transaction, act: Act) -> set[str]:
        close_orphans(tx, act)
        return note_silence(tx, act, silent)

    return await services.perform(work)
