"""What several use cases do to grants: end, cut, and what closed ports follow.

Every change of what a machine should hold advances its generation in the same
transaction, and the grant remembers the generation that carries its change, so that a
report of that generation settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from bascule.domain.facts.grants import (
    GrantClosed,
    GrantEnded,
    GrantFailed,
    GrantShortened,
    SessionsCut,
)
from bascule.domain.grant import Grant, confirm_closed, cut_to, end, fail
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.times import format_utc, parse_instant
from bascule.interfaces.closed_ports import GenerationWrites
from bascule.interfaces.exposure import ExposureWrites
from bascule.interfaces.grants import GrantWrites
from bascule.interfaces.points import PointReads
from bascule.interfaces.record import EventFilter, EventReads, EventWrites
from bascule.services.act import Act
from bascule.services.meters import Span
from bascule.services.timeline import was_closed


class GrantEndWrites(
    EventWrites, ExposureWrites, GenerationWrites, GrantWrites, PointReads, Protocol
):
    """What ending a grant touches: the grant, its machine's generation, exposure, the record."""


def touch(tx: GenerationWrites, act: Act, machine_uid: str, beyond: int = 0) -> int:
    """Advance a machine's generation and have its enforcement point told."""
    act.touched.add(machine_uid)
    return tx.advance_generation(machine_uid, beyond)


def end_grants(
    tx: GrantEndWrites,
    act: Act,
    grants: Iterable[Grant],
    reason: StatusReason,
    cause: str,
    *,
    kills_sessions: bool = False,
    advanced: Mapping[str, int] = MappingProxyType({}),
) -> list[Grant]:
    """End live grants, each with its event; returns them as they now are.

    ``advanced`` are the generations of machines that this act has advanced already, by uid.

    What ends otherwise than by time takes along what drains of the same requestor there, for the
    same port and a source of both (EDGES J14).

    What was still opening where there is no enforcement point was never open: nobody will
    report it closed, and it is closed at once.
    """
    ended: list[Grant] = []
    generations = dict(advanced)
    for grant in grants:
        uid = grant.machine_uid
        if uid not in generations:
            generations[uid] = touch(tx, act, uid)
        now_ended = replace(end(grant, reason, act.now), generation=generations[uid])
        tx.update_grant(now_ended, grant.state)
        if kills_sessions:
            tx.mark_cut(grant.id, act.now)
        act.settled.add(grant.request_id)
        act.record(
            tx,
            GrantEnded(
                grant.id, grant.request_id, str(grant.machine_id), reason, cause, kills_sessions
            ),
            grant.machine_id,
        )
        if grant.state is GrantState.OPENING and tx.enforcement_point(uid) is None:
            now_ended = close(tx, act, now_ended)
        ended.append(now_ended)
    if reason is StatusReason.USER_REQUESTED and ended:
        beside = tx.draining_grants_of({each.requestor_id for each in ended}, act.now)
        over = (each for each in beside if any(map(each.shares_source, ended)))
        end_drains(tx, act, over, advanced=generations)
    return ended


def end_drains(
    tx: GrantEndWrites,
    act: Act,
    grants: Iterable[Grant],
    *,
    advanced: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Have connections end now that stay beyond their grant's end. ``advanced`` as above."""
    generations = dict(advanced)
    for grant in grants:
        uid = grant.machine_uid
        if uid not in generations:
            generations[uid] = touch(tx, act, uid)
        ended = replace(grant, drain_for=None, generation=generations[uid])
        tx.update_grant(ended, grant.state)
        act.settled.add(grant.request_id)
        machine = str(grant.machine_id)
        act.record(tx, SessionsCut(grant.id, grant.request_id, machine), grant.machine_id)


def withdraw(tx: GrantEndWrites, act: Act, grant: Grant, why: str) -> None:
    """Fail a grant that was never reported in force; ``why`` is a sentence for its requestor."""
    generation = touch(tx, act, grant.machine_uid)
    tx.update_grant(replace(fail(grant, why, act.now), generation=generation), grant.state)
    act.settled.add(grant.request_id)
    act.record(
        tx, GrantFailed(grant.id, grant.request_id, str(grant.machine_id), why), grant.machine_id
    )


def latest_end(tx: EventReads, grant: Grant) -> datetime:
    """The end that the kernel may have: an agent that is gone may not have heard of a shorter."""
    shorter = EventFilter(grant.machine_id.key, (GrantShortened.__name__,), grant.started_at)
    ends = [
        parse_instant(event.fact.previous_end)
        for _, event in tx.events(shorter)
        if isinstance(event.fact, GrantShortened) and event.fact.grant_id == grant.id
    ]
    return max([grant.ends_at, *ends])


def close(tx: GrantEndWrites, act: Act, grant: Grant, sessions_alive: int | None = 0) -> Grant:
    """Settle a grant that has ended: it is closed. None: how many live on was not counted."""
    closed = confirm_closed(grant)
    tx.update_grant(closed, grant.state)
    was_closed(tx, act, grant)
    ended_at = min(grant.ended_at or grant.ends_at, grant.ends_at)
    act.measured.append((Span.CLOSING, act.now - ended_at))
    act.settled.add(grant.request_id)
    act.record(
        tx,
        GrantClosed(grant.id, grant.request_id, str(grant.machine_id), sessions_alive),
        grant.machine_id,
    )
    return closed


def cut(tx: GrantEndWrites, act: Act, grant: Grant) -> None:
    """Have cut what a grant left behind that has ended; a cut that runs begins anew."""
    tx.mark_cut(grant.id, act.now)
    change(tx, act, replace(grant, cut_at=act.now))
    act.settled.add(grant.request_id)
    act.record(tx, SessionsCut(grant.id, grant.request_id, str(grant.machine_id)), grant.machine_id)


def change(tx: GrantEndWrites, act: Act, grant: Grant) -> None:
    """Write what changed of a grant that stays in its state."""
    generation = touch(tx, act, grant.machine_uid)
    tx.update_grant(replace(grant, generation=generation), grant.state)


def shorten(tx: GrantEndWrites, act: Act, grant: Grant, longest: timedelta) -> None:
    """Cut a live grant to its start plus a maximum that became shorter."""
    latest = grant.started_at + longest
    shorter = replace(cut_to(grant, latest, format_utc(latest)), max_duration=longest)
    change(tx, act, shorter)
    if shorter.ends_at < grant.ends_at:
        record_shortened(tx, act, grant, shorter)


def record_shortened(tx: EventWrites, act: Act, before: Grant, after: Grant) -> None:
    """Put on record that a grant ends earlier than it was to end."""
    act.settled.add(after.request_id)
    act.record(
        tx,
        GrantShortened(
            after.id,
            after.request_id,
            str(after.machine_id),
            before.ends_at_text,
            after.ends_at_text,
        ),
        after.machine_id,
    )
