"""The server's own loop: sweep what time ended, note who fell silent or is gone, forget.

Level, not edge: each round reads what is due. A round that fails is logged and tried
again; the kernel ends what it must meanwhile.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from bascule.domain.grant import SILENCE_BOUND
from bascule.domain.times import format_utc
from bascule.errors import BasculeError
from bascule.interfaces import Transaction
from bascule.interfaces.listing import RECENT
from bascule.services.act import Act, Services
from bascule.services.knocks import forget_old_knocks
from bascule.services.owners import ending_credentials
from bascule.services.sweep import (
    close_orphans,
    forget_old_requests,
    next_due,
    note_silence,
    sweep,
)

log = structlog.get_logger("bascule.server")

LONGEST_WAIT = timedelta(seconds=1)
SHORTEST_WAIT = timedelta(milliseconds=5)
SILENCE_ROUND = timedelta(seconds=5)
RECENT_ROUND = timedelta(minutes=1)
OWNERS_ROUND = timedelta(days=1)


async def watch(services: Services) -> None:
    """Run until cancelled."""
    silent: set[str] = set()
    # While no server ran nobody could report: silence counts from our own start.
    next_silence = services.clock.boottime() + SILENCE_BOUND.total_seconds()
    next_recent = next_owners = services.clock.boottime()
    while True:
        try:
            wait = await _round(services)
            if services.clock.boottime() >= next_silence:
                silent = await _silence_round(services, silent)
                next_silence = services.clock.boottime() + SILENCE_ROUND.total_seconds()
            if services.clock.boottime() >= next_recent:
                await _recent_round(services)
                next_recent = services.clock.boottime() + RECENT_ROUND.total_seconds()
            if services.clock.boottime() >= next_owners:
                await warn_of_endings(services)
                next_owners = services.clock.boottime() + OWNERS_ROUND.total_seconds()
        except BasculeError as error:
            log.error("sweep failed", why=error.message)
            wait = LONGEST_WAIT
        await asyncio.sleep(wait.total_seconds())


async def warn_of_endings(services: Services) -> None:
    """Log each owner's credential that ends soon (EDGES B10), at the start and daily."""
    now = services.clock.now()
    for ending in await services.look(lambda reader: ending_credentials(reader, now)):
        ends_at = ending.credential.expires_at
        log.warning(
            "an owner's credential ends soon",
            principal=ending.owner.display_name,
            principal_id=ending.owner.id,
            key_id=ending.credential.key_id,
            ends_at=format_utc(ends_at) if ends_at else "",
            next=f"bascule sp add-secret {ending.owner.id}",
        )


async def _round(services: Services) -> timedelta:
    now = services.clock.now()
    due = await services.look(lambda reader: next_due(reader, now))
    if due is not None and due <= now:
        await services.perform(sweep)
        return SHORTEST_WAIT
    left = LONGEST_WAIT if due is None else due - now
    return max(SHORTEST_WAIT, min(LONGEST_WAIT, left))


async def _recent_round(services: Services) -> None:
    """Requests grow old by the minute; many at once only after an upgrade or a long stop."""
    before = services.clock.now() - RECENT
    while await services.look(lambda reader: reader.has_old_requests(before)):
        await services.perform(forget_old_requests)


async def _silence_round(services: Services, silent: set[str]) -> set[str]:
    def work(tx: Transaction, act: Act) -> set[str]:
        close_orphans(tx, act)
        forget_old_knocks(tx, act)
        return note_silence(tx, act, silent)

    return await services.perform(work)
