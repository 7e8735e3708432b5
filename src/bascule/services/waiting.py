"""A request that waits: judged anew, scheduled, opened, denied, lapsed, withdrawn (EDGES J7 to J9).

Nothing opens by an approval: when the last one is in, the request is judged as if it was made at that
moment by its requestor, by the policy and rights of then; one with a start waits for that too. It is
judged anew at each answer, and when something changes that it depends on. Only what is not allowed denies
it; a failure leaves it waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.decide import Allowed, Denied, NeedsApproval
from bascule.domain.due import may_approve_own
from bascule.domain.facts.grants import (
    AccessEscalated,
    AccessLapsed,
    AccessNotAllowed,
    AccessStarted,
    AccessStartMissed,
)
from bascule.domain.lifecycle import RequestState
from bascule.domain.pending import (
    Denial,
    Pending,
    asked_again,
    judged_again,
    opening_at,
    opens_at,
    scheduled,
)
from bascule.domain.request import AccessRequest, kept_reasons
from bascule.domain.runs import BOUND
from bascule.domain.stages import Vote, covers, met
from bascule.domain.times import format_utc
from bascule.errors import Conflict, Forbidden, NotFound, Problem
from bascule.interfaces.runs import RunWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.approvers import asked_rows, counted_votes
from bascule.services.begin_waiting import record_scheduled, record_waiting
from bascule.services.public_port_choices import Choices
from bascule.services.requests import InitiateWrites, Judged, judge, record_begun
from bascule.services.right_ends import asking_by
from bascule.services.rights import rights_of
from bascule.services.ticket_answers import Tickets


class WaitingWrites(InitiateWrites, RunWrites, Protocol):
    """Requests that wait, and all that an opening writes."""


MOST_AT_ONCE = 100  # judged anew, opened, or lapsed, by one sweep
LATE = Problem("StartMissed", "The server did not open it within five minutes of its start.")
UNAPPROVED = Problem("NotApprovedByStart", "It was not approved by its start.")
OVER = Problem("EndPassed", "Its end has passed.")


@dataclass(frozen=True, slots=True)
class Stands:
    """How a request stands that was judged anew."""

    request: AccessRequest
    pending: Pending
    counted: tuple[Vote, ...] = ()

    @property
    def waits(self) -> bool:
        return self.request.state is RequestState.WAITING


def find_waiting(tx: WaitingWrites, request_id: str) -> tuple[AccessRequest, Pending] | None:
    """The request and what is kept of its waiting; None: it never waited, or is not there."""
    request = tx.request(request_id)
    if request is None or not request.has_waited:
        return None
    pending = tx.pendings_of([request_id]).get(request_id)
    return None if pending is None else (request, pending)


def reconsider(
    tx: WaitingWrites, act: Act, request: AccessRequest, pending: Pending, *, may_ask: bool = False
) -> Stands:
    """Judge it anew, by its yeses so far: it opens, is scheduled, is denied, lapses, or waits on.

    Where a ticket system is to be asked first, it waits, and ``go_on_asked`` does this again; or
    TicketsNeeded is raised, if it ``may_ask``.
    """
    if pending.pending_until <= act.now:
        return lapse(tx, act, request, pending)
    counted = counted_votes(tx, request, pending, act.now)
    try:
        tickets = Tickets(request, pending.tickets, is_opening=False, may_ask=may_ask)
        judged = _judged(tx, act, request, pending, counted, tickets)
    except (Conflict, Forbidden, NotFound) as error:
        reasons = error.problems or (Problem(error.specific_code, error.message),)
        return _not_allowed(tx, act, request, pending, reasons)
    if judged.is_to_ask:
        return _ask_first(tx, act, request, pending, counted)
    decision = judged.decision
    pending = replace(pending, tickets=judged.tickets, is_to_ask=False)
    if isinstance(decision, Denied):
        return _not_allowed(tx, act, request, pending, decision.reasons)
    if isinstance(decision, NeedsApproval):
        before = pending.digest
        pending = judged_again(
            pending,
            request,
            judged.machines,
            decision.stages,
            act.now,
            may_approve_own=may_approve_own(judged.approval, decision.stages),
            beyond_tcp=decision.allowed.beyond_tcp,
        )
        counted = counted_votes(tx, request, pending, act.now)
        if pending.asked(counted) is not None:
            is_asked_anew = pending.digest != before
            if request.starts_at is not None and request.state is RequestState.SCHEDULED:
                is_asked_anew = True
                if request.starts_at <= act.now:
                    return lapse(tx, act, request, pending, UNAPPROVED)
                pending = asked_again(pending, judged.pending_for, request.starts_at, act.now)
                tx.move_request(request.id, request.state, RequestState.WAITING)
                request = replace(request, state=RequestState.WAITING)
            pending = pending.asking(counted, act.now)
            tx.put_pending(request.requestor_id, pending, asked_rows(pending, counted, act.now))
            if is_asked_anew:  # other people than before, or of something else
                record_waiting(tx, act, request, pending)
            act.settled.add(request.id)
            return Stands(request, pending, counted)
    if opens_at(request, act.now) > act.now:
        return _schedule(tx, act, request, pending, counted)
    return _open(tx, act, request, pending, counted, replace(tickets, is_opening=True))


def _ask_first(
    tx: WaitingWrites, act: Act, request: AccessRequest, pending: Pending, counted: tuple[Vote, ...]
) -> Stands:
    """It goes on when ticket systems were asked, outside of every transaction (EDGES J12)."""
    pending = replace(pending, is_to_ask=True)
    tx.put_pending(request.requestor_id, pending, asked_rows(pending, counted, act.now))
    act.is_to_ask = True
    act.settled.add(request.id)
    return Stands(request, pending, counted)


def _schedule(
    tx: WaitingWrites, act: Act, request: AccessRequest, pending: Pending, counted: tuple[Vote, ...]
) -> Stands:
    """Nothing opens before its start; then it is judged again."""
    pending = scheduled(pending, opens_at(request, act.now))
    tx.put_pending(request.requestor_id, pending, ())
    if request.state is not RequestState.SCHEDULED:
        tx.move_request(request.id, request.state, RequestState.SCHEDULED)
        request = replace(request, state=RequestState.SCHEDULED)
        record_scheduled(tx, act, request)
    act.settled.add(request.id)
    return Stands(request, pending, counted)


def _judged(
    tx: WaitingWrites,
    act: Act,
    request: AccessRequest,
    pending: Pending,
    counted: Sequence[Vote],
    tickets: Tickets,
) -> Judged:
    """As asked for, which decides on the stages; shortened, where it is not allowed otherwise."""
    found = _judge_at(tx, act, request, pending, (), tickets)
    if isinstance(found.decision, Denied) and _shortens(counted):
        return _judge_at(tx, act, request, pending, counted, tickets)
    return found


def _shortens(counted: Sequence[Vote]) -> bool:
    return any(each.longest is not None or each.ends_at is not None for each in counted)


def _judge_at(
    tx: WaitingWrites,
    act: Act,
    request: AccessRequest,
    pending: Pending,
    counted: Sequence[Vote],
    tickets: Tickets,
    choices: Choices | None = None,
) -> Judged:
    subject = _requestor(tx, request, act.now)
    for each in request.machines:
        known = tx.machine(each.machine_id)
        if known is None or known.uid != pending.uids.get(each.machine_id.key):
            raise NotFound(
                sentence(
                    "Machine {machine} is not there any more as it was when access was requested.",
                    machine=each.machine_id.name,
                ),
                code="MachineNotFound",
            )
    rights = rights_of(tx, request.requestor_id, act.now)
    return judge(
        tx,
        act,
        opening_at(request, counted, opens_at(request, act.now)),
        subject,
        rights,
        Allowed((), ()),
        choices or Choices(act.now),
        is_approved=choices is not None,
        tickets=tickets,
    )


def _requestor(tx: WaitingWrites, request: AccessRequest, now: datetime) -> Subject:
    kind = tx.principal_kind(request.requestor_id)
    if kind not in (PrincipalKind.USER, PrincipalKind.SERVICE):
        raise Forbidden(
            sentence("{requestor} is not known here any more.", requestor=request.requestor),
            code="RequestorNotFound",
        )
    subject = Subject(request.requestor_id, kind, request.requestor)
    return asking_by(tx, subject, request.credential_id, now)


def _open(
    tx: WaitingWrites,
    act: Act,
    request: AccessRequest,
    pending: Pending,
    counted: tuple[Vote, ...],
    tickets: Tickets,
) -> Stands:
    """By one more judgement, of what the approvers left of it."""
    choices = Choices(act.now)
    judged = _judge_at(tx, act, request, pending, counted, tickets, choices)
    if judged.is_to_ask:
        return _ask_first(tx, act, request, pending, counted)
    decision = judged.decision
    if isinstance(decision, Denied):
        return _not_allowed(tx, act, request, pending, decision.reasons)
    if isinstance(decision, NeedsApproval) and _shortens(counted):
        passed = met(pending.stages, counted)
        is_own = any(each.is_own for each in counted)
        is_own_enough = not is_own or may_approve_own(judged.approval, decision.stages)
        if not (is_own_enough and all(covers(passed, each) for each in decision.stages)):
            shorter = sentence(
                "The shortened request needs the approval of other people. Request access for the "
                "shorter time."
            )
            problem = Problem("ShorterNeedsOthers", shorter)
            return _not_allowed(tx, act, request, pending, (problem,))
    allowed = decision if isinstance(decision, Allowed) else decision.allowed
    if choices.made:
        choices.write(tx, act, {each.machine_uid: each.machine_id for each in allowed.grants})
    grants = tuple(tx.open_request(request, allowed.grants))
    if request.starts_at is not None:
        act.record(
            tx,
            AccessStarted(
                request.id,
                str(request.policy_id),
                machines_of(request),
                request.requestor,
                format_utc(request.starts_at),
            ),
            request.policy_id,
        )
    record_begun(tx, act, request, allowed, grants)
    return _decided(tx, act, replace(request, state=RequestState.OPENING), pending, counted)


def lapse(
    tx: WaitingWrites,
    act: Act,
    request: AccessRequest,
    pending: Pending,
    why: Problem | None = None,
) -> Stands:
    """It never opens. ``why`` says why its start is missed; None: it is late."""
    is_missed = request.state is RequestState.SCHEDULED or why is not None
    why = why or LATE
    at, machines, policy = request.starts_at, machines_of(request), str(request.policy_id)
    missed: tuple[Problem, ...] = ()
    if at is not None and is_missed:
        missed = (why,)
        act.record(
            tx,
            AccessStartMissed(
                request.id, policy, machines, request.requestor, format_utc(at), why.message
            ),
            request.policy_id,
        )
    else:
        lapsed_fact = AccessLapsed(request.id, policy, machines, request.requestor)
        act.record(tx, lapsed_fact, request.policy_id)
    tx.move_request(request.id, request.state, RequestState.LAPSED, missed)
    lapsed = replace(request, state=RequestState.LAPSED, reasons=missed)
    return _decided(tx, act, lapsed, pending)


def _not_allowed(
    tx: WaitingWrites,
    act: Act,
    request: AccessRequest,
    pending: Pending,
    reasons: Sequence[Problem],
) -> Stands:
    """Denied by the policy or the rights of now; it lapses where only its end has passed."""
    if all(each.code == "EndTimePassed" for each in reasons):
        return lapse(tx, act, request, pending, OVER if request.starts_at else None)
    kept = kept_reasons(reasons)
    tx.move_request(request.id, request.state, RequestState.DENIED, kept)
    act.record(
        tx,
        AccessNotAllowed(
            request.id,
            str(request.policy_id),
            machines_of(request),
            request.requestor,
            tuple(f"{each.code}: {each.message}" for each in kept),
        ),
        request.policy_id,
    )
    denied = replace(request, state=RequestState.DENIED, reasons=kept)
    return _decided(tx, act, denied, pending)


def close_waiting(
    tx: WaitingWrites,
    act: Act,
    request: AccessRequest,
    pending: Pending,
    to: RequestState,
    denial: Denial | None = None,
) -> Stands:
    """Denied by a person, or withdrawn; its event is the caller's affair."""
    reasons = () if denial is None else kept_reasons([Problem("DeniedByApprover", denial.reason)])
    tx.move_request(request.id, request.state, to, reasons)
    moved = replace(request, state=to, reasons=reasons)
    return _decided(tx, act, moved, replace(pending, denial=denial))


def _decided(
    tx: WaitingWrites,
    act: Act,
    request: AccessRequest,
    pending: Pending,
    counted: tuple[Vote, ...] = (),
) -> Stands:
    over = replace(pending, decided_at=act.now, is_to_ask=False, opens_at=None)
    tx.put_pending(request.requestor_id, over, ())
    tx.begin_runs(request.id, act.now + BOUND)
    act.settled.add(request.id)
    return Stands(request, over, counted)


def machines_of(request: AccessRequest) -> tuple[str, ...]:
    return tuple(str(machine.machine_id) for machine in request.machines)


def lapse_waiting(tx: WaitingWrites, act: Act) -> int:
    """End the waiting of what has waited as long as it may, a bounded number; how many."""
    over = tx.over_approvals(act.now, MOST_AT_ONCE)
    for request_id in over:
        found = find_waiting(tx, request_id)
        if found is not None:
            lapse(tx, act, *found)
    return len(over)


def judge_waiting(tx: WaitingWrites, act: Act) -> int:
    """Judge anew what depends on something that changed, a bounded number; how many."""
    due = tx.due_approvals(MOST_AT_ONCE)
    for request_id in due:
        found = find_waiting(tx, request_id)
        if found is not None:
            reconsider(tx, act, *found)
    return len(due)


def go_on_asked(tx: WaitingWrites, act: Act, request_id: str) -> None:
    """Judge one anew that waits for ticket systems to be asked. Raises TicketsNeeded."""
    found = find_waiting(tx, request_id)
    if found is not None and found[1].is_to_ask:
        reconsider(tx, act, *found, may_ask=True)


def escalate_waiting(tx: WaitingWrites, act: Act) -> int:
    """Record of what nobody answered in time that others are asked too, a bounded number; how many.

    Each is judged anew before: nobody is asked of what is not allowed any more.
    """
    due = tx.due_escalations(act.now, MOST_AT_ONCE)
    for request_id in due:
        found = find_waiting(tx, request_id)
        if found is not None:
            _escalate(tx, act, reconsider(tx, act, *found))
    return len(due)


def _escalate(tx: WaitingWrites, act: Act, stands: Stands) -> None:
    request, pending = stands.request, stands.pending
    stage = pending.asked(stands.counted)
    if not stands.waits:
        return
    if stage is None:  # all said yes, and a ticket system is asked first: nobody else is asked
        tx.put_pending(request.requestor_id, replace(pending, escalates_at=None), ())
        return
    if pending.escalates_at is None or pending.escalates_at > act.now:
        return  # it is another stage that is asked by now
    noted = pending.escalating(stage)
    tx.put_pending(request.requestor_id, noted, asked_rows(noted, stands.counted, act.now))
    act.record(
        tx,
        AccessEscalated(
            request.id,
            str(request.policy_id),
            machines_of(request),
            request.requestor,
            stage + 1,
            format_utc(pending.since(stage, act.now)),
        ),
        request.policy_id,
    )
