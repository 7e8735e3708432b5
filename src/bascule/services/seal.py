"""The sealer: it chains committed events, and signs the chain now and then.

It runs beside the requests and never in their way: an event is on disk when its request
is answered, and in the chain within a second after. One transaction seals a batch, in the
order of the events; a server that died between goes on where it was. Checkpoints are
signed every CHECKPOINT_EVENTS events, at the latest CHECKPOINT_AFTER an event, and when
somebody exports. Once a day the whole chain is read back; a break is an event itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bascule.domain.chain import ChainHead, Checkpoint, Link, link_after
from bascule.domain.facts.record import RecordBroken
from bascule.domain.proof import Break
from bascule.domain.retention import ClockMark
from bascule.domain.times import parse_instant
from bascule.errors import BasculeError, InvalidInput
from bascule.interfaces.duties import DutyReads, DutyWrites
from bascule.interfaces.record import ChainReads, ChainWrites, EventWrites
from bascule.services.act import Act, Services
from bascule.services.duties import PROVING, SEALING
from bascule.services.posts import Post
from bascule.services.record import Signer, verify_record
from bascule.services.retention import watch_clock

log = structlog.get_logger("bascule.record")

BATCH = 500  # events sealed in one transaction: some ten milliseconds of the writer's time
ROUND_SECONDS = 0.4
RETRY_SECONDS = 5.0  # after a failure: the log shall say it, not be filled with it
CHECKPOINT_EVENTS = 1000
CHECKPOINT_AFTER = timedelta(minutes=10)
VERIFY_EVERY = timedelta(hours=24)
FIRST_VERIFY = timedelta(minutes=1)  # after a start, which has better things to do at first
CLOCK_SECONDS = 60.0  # between looks at the clocks
TURN_SECONDS = 30.0  # between looks whether another server has finished
VERIFY_PAUSE = 0.05  # seconds between pages, so that nobody's request waits for it


class SealingReads(ChainReads, DutyReads, Protocol):
    """The chain, and whose duty it is."""


class SealingWrites(ChainWrites, DutyWrites, Protocol):
    """The chain, and whose duty it is."""


def seal(tx: ChainWrites, limit: int = BATCH) -> int:
    """Chain up to ``limit`` events that are not in the chain yet; how many there were."""
    head = tx.chain_head()
    seals: list[tuple[int, ChainHead]] = []
    for sequence, record in tx.sealable(limit):
        if not record:  # damaged in its first second; the chain goes on
            log.error("an event cannot be read; it is sealed as empty", sequence=sequence)
        head = link_after(head, record).head
        seals.append((sequence, head))
    tx.add_seals(seals)
    return len(seals)


def sign_head(tx: ChainWrites, act: Act, signer: Signer) -> Checkpoint:
    """The checkpoint at the head of the chain: the one that is there, or a new one."""
    head = tx.chain_head()
    known = tx.checkpoint(head.position)
    if known is not None:
        return known
    unsigned = Checkpoint(head, act.now, signer.key_id)
    made = replace(unsigned, signature=signer.sign(unsigned.statement()))
    tx.add_checkpoint(made)
    return made


async def seal_all(services: Services, signer: Signer) -> Checkpoint:
    """Seal whatever is committed now, and sign it."""
    while await services.perform(lambda tx, _: seal(tx)) == BATCH:
        pass
    return await services.perform(lambda tx, act: sign_head(tx, act, signer))


def is_checkpoint_due(tx: ChainReads, now: datetime) -> bool:
    head = tx.chain_head()
    newest = next(iter(tx.checkpoints(limit=1)), None)
    since = newest.head.position if newest is not None else 0
    if head.position - since >= CHECKPOINT_EVENTS:
        return True
    if head.position == since:
        return False
    first = next(iter(tx.chain(since, 1)), None)
    return first is not None and _is_old(first, now)


def _is_old(link: Link, now: datetime) -> bool:
    """Is it to be signed by now? One that does not say when it was is, at once."""
    try:
        return now - parse_instant(str(link.record.get("at"))) >= CHECKPOINT_AFTER
    except InvalidInput:
        return True


async def keep_record(services: Services, signer: Signer) -> None:
    """Seal, sign and look at the chain and the clocks, until cancelled."""
    seen: ClockMark | None = None

    async def look() -> None:
        nonlocal seen
        seen = await watch_clock(services, seen)

    await asyncio.gather(
        _repeat(lambda: _round(services, signer), timedelta(), ROUND_SECONDS),
        _repeat(
            lambda: _verify_in_turn(services, signer), FIRST_VERIFY, VERIFY_EVERY.total_seconds()
        ),
        _repeat(look, timedelta(), CLOCK_SECONDS),
    )


async def _repeat(
    work: Callable[[], Awaitable[None]], first_after: timedelta, pause: float
) -> None:
    """Work, pause, and again; what fails is logged and tried again."""
    await asyncio.sleep(first_after.total_seconds())
    while True:
        wait = pause
        try:
            await work()
        except BasculeError as error:
            log.error("the record was not sealed or read", why=error.message)
            wait = max(pause, RETRY_SECONDS)
        except Exception:  # whatever one round trips over must not end the sealing for good
            log.exception("the record was not sealed or read")
            wait = max(pause, RETRY_SECONDS)
        await asyncio.sleep(wait)


async def _round(services: Services, signer: Signer) -> None:
    def has_work(reader: SealingReads) -> bool:
        now = services.clock.now()
        is_due = bool(reader.sealable(1)) or is_checkpoint_due(reader, now)
        return is_due and services.duties.may_enter(reader, SEALING, now)

    def work(tx: SealingWrites, act: Act) -> None:
        if services.duties.enter(tx, SEALING, act.now) is None:
            return
        seal(tx)
        if is_checkpoint_due(tx, act.now):
            sign_head(tx, act, signer)

    while await services.read(has_work):
        await services.perform(work)


async def _verify_in_turn(services: Services, signer: Signer) -> None:
    """One server at a time, so that the database is read once and not by all together."""
    async with Post(services, PROVING).held(TURN_SECONDS):
        await verify_all(services, signer)


async def verify_all(services: Services, signer: Signer) -> None:
    """Read the whole chain back; a break is logged, and on record once."""
    verdict = await verify_record(services, signer, VERIFY_PAUSE)
    if verdict.break_ is not None:  # retention may have deleted what was just being read
        verdict = await verify_record(services, signer, VERIFY_PAUSE)
    if verdict.break_ is not None:
        log.error("the record is broken", why=verdict.break_.message)
        await services.perform(_noting(verdict.break_))


def _noting(found: Break) -> Callable[[EventWrites, Act], None]:
    fact = RecordBroken(found.position, str(found.kind), found.message)

    def note(tx: EventWrites, act: Act) -> None:
        act.record(tx, fact)

    return note
