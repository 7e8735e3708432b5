"""Retention: what may be deleted of the record, and by whom (EDGES E2).

Over the API only spans that are older than the floor go, and not while a sink that existed
at their time has not taken them (SINK_GRACE beyond the floor ends that), and not after the
wall clock leapt. The server's own host may do more, by ``bascule admin``; what it deletes
below the floor says so in its event, and the agents, which keep marks, dispute it.

A sink's place counts for the sink as it is. What it had not taken when it was removed or
pointed elsewhere, and an event that an operator passed over, are held by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bascule.domain.facts.installation import ClockConfirmed, ClockLeapt
from bascule.domain.facts.record import RecordPruned
from bascule.domain.retention import SINK_GRACE, ClockMark
from bascule.domain.times import format_utc
from bascule.errors import Conflict, InvalidInput
from bascule.interfaces.exposure import ExposureWrites
from bascule.interfaces.record import ChainReads, ChainWrites, EventWrites
from bascule.interfaces.retention import RetentionReads, RetentionWrites, Untaken
from bascule.services.act import Act, Services


class PruneWrites(ChainWrites, EventWrites, ExposureWrites, RetentionWrites, Protocol):
    """The record, its history, and the clock that decides what is old."""


class ClockWrites(EventWrites, RetentionWrites, Protocol):
    """The clock that was seen, and the record."""


class HoldWrites(ChainReads, RetentionWrites, Protocol):
    """What no sink has taken yet."""


log = structlog.get_logger("bascule.record")

LARGEST_BACKLOG = 100_000  # events that wait to be sealed, which takes a second
MARK_SECONDS = 600.0  # between writings of the clock's mark


@dataclass(frozen=True, slots=True)
class Pruned:
    fact: RecordPruned
    kept: Untaken | None = None  # older than was asked for, and kept for a sink


def prune(
    tx: PruneWrites, act: Act, before: datetime, floor: timedelta, boottime: float, boot: str = ""
) -> Pruned:
    """Delete the checkpointed spans that are wholly from before that instant, on record; and
    what exposure could be told of the time before it.

    The last checkpoint of them stays and begins what is left. Raises Conflict when the floor,
    the clock or a sink forbids it, or when there is no such span.
    """
    _check_past(act, before)
    youngest = act.now - floor
    if before > youngest:
        raise Conflict(
            f"Events younger than the record's floor of {floor.days} days cannot be deleted. The "
            f"latest possible time is {format_utc(youngest)}.",
            code="BelowRecordFloor",
            advice="The floor is set on the server's host: bascule serve --record-floor.",
        )
    _check_clock(tx, act, boottime, boot)
    return _delete(tx, act, before, tx.first_untaken(youngest - SINK_GRACE))


def prune_on_host(tx: PruneWrites, act: Act, before: datetime) -> Pruned:
    """Delete what the API would keep: for the server's own host alone."""
    _check_past(act, before)
    return _delete(tx, act, before, None, is_on_host=True)


def _delete(
    tx: PruneWrites,
    act: Act,
    before: datetime,
    untaken: Untaken | None,
    *,
    is_on_host: bool = False,
) -> Pruned:
    wanted = tx.prunable(before)
    stub = wanted if untaken is None else tx.prunable(before, untaken.position)
    kept = untaken if stub != wanted else None
    if stub is None or stub.head.position <= tx.chain_begin().position:
        raise _nothing(before, kept)
    deleted = tx.prune_record(stub.head.position)
    tx.prune_exposure(before)
    tx.forget_holds(stub.head.position)
    place = stub.head
    fact = RecordPruned(format_utc(before), place.position, place.hash, deleted, is_on_host)
    act.record(tx, fact)
    return Pruned(fact, kept)


def _nothing(before: datetime, kept: Untaken | None) -> Conflict:
    if kept is not None:
        whose = f"The sink {kept.sink!r}" if kept.sink else "A sink that was removed or changed"
        return Conflict(
            f"{whose} has not received event {kept.position}, which is therefore kept until "
            f"{SINK_GRACE.days} days past the record's floor. Nothing was deleted.",
            code="RecordNotTaken",
            advice="To see the progress of each sink: bascule audit sinks list.",
        )
    return Conflict(
        f"No signed part of the record is entirely from before {format_utc(before)}. Nothing was "
        "deleted.",
        code="NothingToPrune",
        advice="Signed parts end at checkpoints. To list them: bascule audit checkpoints.",
    )


def _check_past(act: Act, before: datetime) -> None:
    if before > act.now:
        raise InvalidInput(
            f"before: {format_utc(before)} is in the future.", target="before", code="InvalidDate"
        )


def _check_clock(tx: RetentionReads, act: Act, boottime: float, boot: str) -> None:
    mark = tx.clock_mark()
    if mark is None or mark.followed(act.now, boottime, boot).has_leapt:
        raise Conflict(
            "The server's clock jumped by more than a day, or the server was off for that long. "
            "The age of events is uncertain, so nothing is deleted.",
            code="ClockNotConfirmed",
            advice="Check the clock on the server's host, then run bascule admin confirm-clock.",
        )


# -- the clock ---------------------------------------------------------------------------------


def mark_clock(
    tx: ClockWrites, act: Act, boottime: float, boot: str = "", seen: ClockMark | None = None
) -> None:
    """Write down how both clocks stand; a leap is an event, once.

    ``seen`` is what this process saw of them since it started: whoever wrote the mark may be on
    another host, and says nothing of what this one's clock has counted.
    """
    was = tx.clock_mark()
    fresh = ClockMark(act.now, boottime, boot=boot)
    now = fresh if was is None else was.followed(act.now, boottime, boot)
    if was is not None and seen is not None and _says_so(seen, was):
        now = replace(now, has_leapt=True)
    tx.put_clock_mark(now)
    if was is not None and now.has_leapt and not was.has_leapt:
        seconds = int((act.now - was.at).total_seconds())
        log.error("the clock jumped; retention waits for bascule admin confirm-clock")
        act.record(tx, ClockLeapt(format_utc(was.at), seconds))


def confirm_clock(tx: ClockWrites, act: Act, boottime: float, boot: str = "") -> bool:
    """Take the clock as right from now on; False when nothing was in doubt."""
    mark = tx.clock_mark()
    if mark is None:
        tx.put_clock_mark(ClockMark(act.now, boottime, boot=boot))
        return False
    was_in_doubt = mark.followed(act.now, boottime, boot).has_leapt
    tx.put_clock_mark(mark.confirmed(act.now, boottime, boot))
    if was_in_doubt:
        act.record(tx, ClockConfirmed(format_utc(act.now)))
    return was_in_doubt


def _says_so(seen: ClockMark, mark: ClockMark) -> bool:
    """Did this host see a leap of which the mark of another host knows nothing?"""
    return seen.has_leapt and seen.boot != mark.boot


async def watch_clock(services: Services, seen: ClockMark | None = None) -> ClockMark:
    """One look at the clocks; written down when it is news, or MARK_SECONDS after the last.

    Returns what is ``seen`` at the next look.
    """
    now, boottime, boot = services.clock.now(), services.clock.boottime(), services.boot
    fresh = ClockMark(now, boottime, boot=boot)
    own = fresh if seen is None else seen.followed(now, boottime, boot)

    def is_due(reader: RetentionReads) -> bool:
        mark = reader.clock_mark()
        if mark is None:
            return True
        if boot == mark.boot:
            is_old = not 0 <= boottime - mark.boottime < MARK_SECONDS
        else:
            is_old = abs((now - mark.at).total_seconds()) >= MARK_SECONDS
        leapt = mark.followed(now, boottime, boot).has_leapt or _says_so(own, mark)
        return is_old or leapt != mark.has_leapt

    if await services.read(is_due):
        await services.perform(
            lambda tx, act: mark_clock(tx, act, services.clock.boottime(), boot, own)
        )
    return fresh if own.has_leapt else own


# -- what sinks have not taken -------------------------------------------------------------------


def hold_untaken(tx: HoldWrites, after: int) -> None:
    """Keep what a sink that had got to ``after`` will not get any more."""
    # What is committed and not sealed yet comes next in the chain.
    last = tx.chain_head().position + len(tx.unsealed(LARGEST_BACKLOG))
    if last > after:
        tx.hold((after + 1, last))
