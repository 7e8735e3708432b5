"""The server's own loop: end what has expired, note agents that are silent or removed, delete old rows.

Level, not edge: each round reads what is due. A part that fails is logged and tried again,
and keeps none of the others; the kernel ends what it must meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from bascule.domain.grant import SILENCE_BOUND
from bascule.domain.times import format_utc
from bascule.errors import BasculeError
from bascule.interfaces.kept_forms import KEPT_FOR
from bascule.interfaces.listing import RECENT
from bascule.services.act import Services
from bascule.services.duties import SWEEPING
from bascule.services.invites import forget_old_invites
from bascule.services.knocks import forget_old_knocks
from bascule.services.leaps import is_to_note
from bascule.services.left_behind import settle_left
from bascule.services.owners import ending_credentials
from bascule.services.starts import lapse_leapt
from bascule.services.sweep import (
    SWEEPS,
    close_orphans,
    forget_old_requests,
    next_due,
    note_silence,
    sweep,
)
from bascule.services.warnings import warn_round

log = structlog.get_logger("bascule.server")

LONGEST_WAIT = timedelta(seconds=1)
SHORTEST_WAIT = timedelta(milliseconds=5)
OTHERS_WAIT = timedelta(milliseconds=200)  # while another server does what is due
SILENCE_ROUND = timedelta(seconds=5)
CONTACTS_ROUND = timedelta(seconds=3)
OTHERS_STORE = 10.0  # seconds after the database was away, in which others store what they heard
RECENT_ROUND = timedelta(minutes=1)
FORMS_ROUND = timedelta(minutes=1)
OWNERS_ROUND = timedelta(days=1)
INVITES_ROUND = timedelta(hours=1)
ENDING_ROUND = timedelta(seconds=2)
RETRY = timedelta(seconds=5)  # of a part that failed


@dataclass(slots=True)
class _Part:
    """Something that is done every so often."""

    what: str
    work: Callable[[], Awaitable[object]]
    every: timedelta
    due: float  # by the clock since boot


async def watch(services: Services) -> None:
    """Run until cancelled."""
    noted: datetime | None = None

    async def note() -> None:
        nonlocal noted
        services.contacts.begin_counting()
        await services.store_contacts()  # who was heard since is not silent
        if services.contacts.had_gap_since(services.clock.boottime() - OTHERS_STORE):
            return
        noted = await services.on_duty(SWEEPING, lambda tx, act: note_silence(tx, act, noted), None)

    began = services.clock.boottime()
    # While no server ran nobody could report: silence counts from our own start.
    heard = began + SILENCE_BOUND.total_seconds()
    orphans = partial(services.on_duty, SWEEPING, close_orphans, 0)
    left = partial(services.on_duty, SWEEPING, settle_left, 0)
    knocks = partial(services.on_duty, SWEEPING, forget_old_knocks, 0)
    parts: tuple[_Part, ...] = (
        _Part("storing contacts", services.store_contacts, CONTACTS_ROUND, began),
        _Part("storing heartbeats", services.store_heartbeats, CONTACTS_ROUND, began),
        _Part("closing orphaned grants", orphans, SILENCE_ROUND, heard),
        _Part("settling what unbound points held", left, SILENCE_ROUND, began),
        _Part("forgetting knocks", knocks, SILENCE_ROUND, heard),
        _Part("noting silent agents", note, SILENCE_ROUND, heard),
        _Part("forgetting requests", lambda: _recent_round(services), RECENT_ROUND, began),
        _Part("forgetting forms", lambda: _forget_forms(services), FORMS_ROUND, began),
        _Part("warning before access ends", lambda: warn_round(services), ENDING_ROUND, began),
        _Part("warning of endings", lambda: warn_of_endings(services), OWNERS_ROUND, began),
    )
    if services.duties.is_shared:  # others cannot be invited
        invites = partial(services.on_duty, SWEEPING, forget_old_invites, None)
        parts = (*parts, _Part("forgetting invitations", invites, INVITES_ROUND, heard))
    stuck, resumes = 0, began
    while True:
        wait = LONGEST_WAIT
        if services.clock.boottime() >= resumes:
            wait, is_stuck = await _round(services)
            stuck = stuck + 1 if is_stuck else 0
            if stuck > 1:  # once may be somebody else's doing, who ended meanwhile what was due
                resumes = services.clock.boottime() + RETRY.total_seconds()
        for part in parts:
            if services.clock.boottime() >= part.due:
                is_done = await _is_done(part.what, part.work)
                every = part.every if is_done else min(RETRY, part.every)
                part.due = services.clock.boottime() + every.total_seconds()
        await asyncio.sleep(wait.total_seconds())


async def _is_done(what: str, work: Callable[[], Awaitable[object]]) -> bool:
    """Do it. What goes wrong is logged and goes no further: nobody would start the watch anew."""
    try:
        await work()
    except BasculeError as error:
        log.error("sweep failed", part=what, why=error.message)
    except Exception:  # a row that somebody damaged, a fault of ours
        log.exception("sweep failed", part=what)
    else:
        return True
    return False


async def warn_of_endings(services: Services) -> None:
    """Log each owner's credential that ends soon (EDGES B10), at the start and daily."""
    now = services.clock.now()
    for ending in await services.read(lambda reader: ending_credentials(reader, now)):
        ends_at = ending.credential.expires_at
        log.warning(
            "an owner's credential ends soon",
            principal=ending.owner.display_name,
            principal_id=ending.owner.id,
            key_id=ending.credential.key_id,
            ends_at=format_utc(ends_at) if ends_at else "",
            next=f"bascule sp add-secret {ending.owner.id}",
        )


async def _round(services: Services) -> tuple[timedelta, bool]:
    """Sweep what is due, at once, or each by itself when that fails; how long to wait then, and
    whether something due was left: a row that cannot be read, which the store logs, or a failure.
    """
    wait, is_stuck = LONGEST_WAIT, False

    async def whole() -> None:
        nonlocal wait, is_stuck
        now, boottime, boot = services.clock.now(), services.clock.boottime(), services.this_boot
        if await services.read(lambda reader: is_to_note(reader, boot, now, boottime)):
            await services.perform(lapse_leapt)
        due = await services.read(lambda reader: next_due(reader, now))
        if due is not None and due <= now:
            done = await services.on_duty(SWEEPING, sweep, None)
            if done:
                wait = SHORTEST_WAIT
            elif done is None:
                wait = OTHERS_WAIT
            else:
                is_stuck = True  # what is damaged is due for ever, and ends nothing
        elif due is not None:
            wait = max(SHORTEST_WAIT, min(LONGEST_WAIT, due - now))

    if not await _is_done("all", whole):
        is_stuck = True
        for part in SWEEPS:
            await _is_done(part.__name__, partial(services.on_duty, SWEEPING, part, 0))
    return wait, is_stuck


async def _recent_round(services: Services) -> None:
    """Requests grow old by the minute; many at once only after an upgrade or a long stop."""
    before = services.clock.now() - RECENT
    while await services.read(lambda reader: reader.has_old_requests(before)):
        if await services.on_duty(SWEEPING, forget_old_requests, None) is None:
            return


async def _forget_forms(services: Services) -> None:
    """Those that a lost session interrupted, and whose user did not come back in time."""
    before = services.clock.now() - KEPT_FOR
    if await services.read(lambda reader: reader.has_kept_forms(before)):
        await services.on_duty(SWEEPING, lambda tx, _: tx.drop_kept_forms(before), None)
