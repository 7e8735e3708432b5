"""Requests that do not open at once: they wait for people, or for their start (EDGES J8, J9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from bascule.domain.decide import Allowed, Denied, NeedsApproval
from bascule.domain.due import may_approve_own
from bascule.domain.facts.grants import AccessScheduled, AccessWaiting
from bascule.domain.lifecycle import RequestState
from bascule.domain.pending import FURTHEST_START, MOST_WAITING, Pending, begin, scheduled, too_many
from bascule.domain.request import AccessRequest, RequestedPort
from bascule.domain.stages import DueStage
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput
from bascule.interfaces.approvals import ApprovalWrites
from bascule.interfaces.record import EventWrites
from bascule.interfaces.requests import RequestWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.approvers import ProgramReads, asked_rows, makers_of_program
from bascule.services.leaps import ClockWrites, note_clock

if TYPE_CHECKING:
    from bascule.services.requests import Judged

MOST_SAID = 3  # of what asks for a stage


class BeginWrites(ApprovalWrites, ClockWrites, EventWrites, ProgramReads, RequestWrites, Protocol):
    """Requests that wait, and who is asked."""


def check_start(
    starts_at: datetime | None, ports: Iterable[RequestedPort], now: datetime, *, is_emergency: bool
) -> None:
    """Raise InvalidInput for a start that is over, too far ahead, not before an end, or of an emergency."""
    if starts_at is None:
        return
    if is_emergency:
        raise InvalidInput(
            "Emergency access opens now. Leave out startTimeUtc, or emergency.",
            code="MutuallyExclusiveFields",
            target="bascule.startTimeUtc",
        )
    if starts_at <= now:
        raise InvalidInput(
            sentence(
                "The start {start} is over. The server's time is {now}.",
                start=format_utc(starts_at),
                now=format_utc(now),
            ),
            code="StartPassed",
            target="bascule.startTimeUtc",
            advice="Give a later start, or none to open it now.",
        )
    if starts_at > now + FURTHEST_START:
        raise InvalidInput(
            sentence("A start is at most {days} days ahead.", days=FURTHEST_START.days),
            code="StartTooFar",
            target="bascule.startTimeUtc",
        )
    if any(port.ends_at <= starts_at for port in ports):
        raise InvalidInput(
            sentence("An end is not after the start {start}.", start=format_utc(starts_at)),
            code="EndBeforeStart",
            target="bascule.startTimeUtc",
        )


class Waiting:
    """Requests of one act that are to wait."""

    def __init__(self, tx: BeginWrites) -> None:
        self._tx = tx
        self._new = 0

    def admit(self, found: Judged, act: Act) -> Judged:
        """It, or the one that waits for the same already, or why no more may wait."""
        decision, request = found.decision, found.request
        if isinstance(decision, Denied):
            return found
        if isinstance(decision, Allowed) and request.starts_at is None:
            return found
        stages = decision.stages if isinstance(decision, NeedsApproval) else ()
        allowed = decision if isinstance(decision, Allowed) else decision.allowed
        state = RequestState.WAITING if stages else RequestState.SCHEDULED
        request = replace(request, state=state, has_waited=True)
        pending = begin(
            request,
            found.machines,
            stages,
            found.pending_for,
            act.now,
            may_approve_own=may_approve_own(found.approval, stages),
            beyond_tcp=allowed.beyond_tcp,
        )
        if not stages and request.starts_at is not None:
            pending = scheduled(pending, request.starts_at)
        same = self._tx.waiting_same(request.requestor_id, pending.same)
        known = self._tx.request(same) if same is not None else None
        if known is not None:
            return replace(found, request=known, pending=None, is_put_off=True)
        waiting = self._tx.count_waiting(request.requestor_id, MOST_WAITING)
        if waiting + self._new >= MOST_WAITING:
            return replace(found, decision=Denied((too_many(),)))
        self._new += 1
        makers = makers_of_program(self._tx, request.requestor_id, act.now)
        pending = replace(pending, tickets=found.tickets, makers=makers)
        return replace(found, request=request, pending=pending, is_put_off=True)

    def write(self, request: AccessRequest, pending: Pending) -> None:
        self._tx.add_request(request)
        self._tx.put_pending(
            request.requestor_id, pending, asked_rows(pending, (), pending.waiting_since)
        )

    def record(self, act: Act, request: AccessRequest, pending: Pending) -> None:
        """With whom it waits for, or for what start."""
        if request.starts_at is not None:
            note_clock(self._tx, act)
        if request.state is RequestState.SCHEDULED:
            record_scheduled(self._tx, act, request)
        else:
            record_waiting(self._tx, act, request, pending)
        act.settled.add(request.id)


def record_waiting(tx: EventWrites, act: Act, request: AccessRequest, pending: Pending) -> None:
    """With whom it waits for."""
    act.record(
        tx,
        AccessWaiting(
            request.id,
            str(request.policy_id),
            tuple(str(machine.machine_id) for machine in request.machines),
            tuple(map(_said, pending.stages)),
            format_utc(pending.pending_until),
        ),
        request.policy_id,
    )


def record_scheduled(tx: EventWrites, act: Act, request: AccessRequest) -> None:
    assert request.starts_at is not None  # noqa: S101  # reason: nothing else is scheduled
    act.record(
        tx,
        AccessScheduled(
            request.id,
            str(request.policy_id),
            tuple(str(machine.machine_id) for machine in request.machines),
            request.requestor,
            format_utc(request.starts_at),
        ),
        request.policy_id,
    )


def _said(due: DueStage) -> str:
    """What asks for a stage, as the record has it."""
    named = dict.fromkeys(
        f"rule {each.rule} of {each.policy_id}"
        if each.rule
        else f"port {each.number} of {each.machine_id} in {each.policy_id}"
        for each in due.because
    )
    more = f" and {len(named) - MOST_SAID} more" if len(named) > MOST_SAID else ""
    return f"{due.stage.needed}: {', '.join(list(named)[:MOST_SAID])}{more}"
