"""For whom a request waits, and what they have said: in words, and as one object for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bascule.cli.find import short_id, summary
from bascule.cli.spans import show_dated, show_instant, show_minute, show_span
from bascule.client.access import AccessRequest, GrantedMachine, GrantedPort
from bascule.client.approval import Approval, Cause, Stage, Vote
from bascule.domain.lifecycle import RequestState
from bascule.domain.net import RuleProtocol
from bascule.domain.times import format_duration, format_utc
from bascule.errors import ApprovalDenied, ApprovalLapsed, BasculeError

TICKET_WORDS = {
    "yes": "confirmed",
    "no": "not confirmed",
    "unavailable": "the ticket system could not be asked",
}
MAY_NOT = {
    "NotAsked": "You are not asked for it now.",
    "OwnRequest": "It is your own request.",
    "OnlyPeopleApprove": "Only people approve.",
    "NotIndependent": "You are not independent of who asked or of who approved.",
    "AlreadyApproved": "You have approved it.",
    "NotWaiting": "It does not wait any more.",
    "SecondFactorTooOld": "Show your second factor again first: bascule login --again",
}


def approvers_words(stage: Stage) -> str:
    """Who may approve in it, the last two joined by "or"."""
    role = ["anybody with the right to approve there"] if stage.is_by_role else []
    named = [*stage.approvers, *role]
    if not named:
        return "nobody"
    return " or ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def length_words(approval: Approval, now: datetime) -> str:
    """How long it asks for."""
    up_to = f", up to {show_span(approval.up_to)} with its extensions" if approval.up_to else ""
    if approval.span is not None:
        return f"for {show_span(approval.span)} from its opening{up_to}"
    return f"until {show_instant(approval.ends_at, now)}" if approval.ends_at else ""


def stage_words(stage: Stage) -> str:
    """One line of a stage: what it wants, and how far it is."""
    yes = ", ".join(_vote_words(each) for each in stage.votes)
    wants = f"{stage.given} of {stage.needed} approved; asked: {approvers_words(stage)}"
    if stage.state == "met":
        return f"stage {stage.number}: approved by {yes}"
    if stage.state == "later":
        wants = f"asked later: {approvers_words(stage)}"
    return f"stage {stage.number}: {wants}" + (f"; approved by {yes}" if yes else "")


def _vote_words(vote: Vote) -> str:
    shorter = ""
    if vote.span is not None:
        shorter = f" (for {show_span(vote.span)})"
    return vote.name + shorter + ("" if vote.counts else " (does not count any more)")


def start_words(starts_at: datetime) -> str:
    """In the local zone, with its name."""
    return f"{show_dated(starts_at)} ({starts_at.astimezone().tzname()})"


def scheduled_lines(request: AccessRequest) -> list[str]:
    """For whoever asked: when it opens."""
    at = start_words(request.starts_at) if request.starts_at is not None else "its start"
    return [
        f"{summary(request)} opens at {at} (request {short_id(request)}). It is not open.",
        f"  it is judged again then; to take it back: bascule withdraw {short_id(request)}",
    ]


def waiting_lines(request: AccessRequest, now: datetime) -> list[str]:
    """For whoever asked: it opens nothing yet, who is asked, until when it waits."""
    lines = [
        f"{summary(request)} waits for approval (request {short_id(request)}). It is not open."
    ]
    if request.starts_at is not None:
        lines.append(f"  approved by then, it opens at {start_words(request.starts_at)}")
    if request.approval is not None:
        lines += [f"  {stage_words(each)}" for each in request.approval.stages]
        lines.append(
            f"  it waits until {show_instant(request.approval.pending_until, now)}; to take it "
            f"back: bascule withdraw {short_id(request)}"
        )
    return lines


def _port_words(request: AccessRequest, machine: GrantedMachine, port: GrantedPort) -> str:
    """As it is open, or as the policy would open it now."""
    told = () if request.approval is None else request.approval.protocols
    wanted = next(
        (e.protocols for e in told if (e.machine, e.port) == (machine.id, port.number)), ()
    )
    protocols = (port.protocol,) if port.protocol else wanted or ("TCP",)
    transports = dict.fromkeys(each for of in protocols for each in RuleProtocol(of).transports)
    return f"{port.number}/{'+'.join(transports).lower()}"


def fact_lines(request: AccessRequest, now: datetime) -> list[str]:
    """All of a request for whoever decides, and how far its approval is."""
    lines = [
        f"Request    {request.id} ({request.state})",
        f"For        {request.requestor}",
        *(
            f"Opens      {machine.id.name} port {_port_words(request, machine, port)} "
            f"from {', '.join(port.sources)}"
            for machine, port in request.ports()
        ),
    ]
    approval = request.approval
    if request.starts_at is not None:
        lines.append(f"Start      {start_words(request.starts_at)}")
    if approval is not None:
        lines.append(f"Length     {length_words(approval, now)}")
    lines.append(f"Reason     {request.justification or '(none given)'}")
    if request.is_emergency:
        lines += emergency_lines(request, now)
    if approval is None:
        return lines
    lines.append(
        f"Waits      since {show_instant(approval.waiting_since, now)}, until "
        f"{show_instant(approval.pending_until, now)} at most"
    )
    for each in approval.tickets:
        said = f" ({each.text})" if each.text else ""
        answer = TICKET_WORDS.get(each.answer, each.answer)
        lines.append(f"Ticket     {each.ticket}: {answer}{said}, by policy {each.policy}")
    for stage in approval.stages:
        lines.append(f"{'Approval':<10} {stage_words(stage)}")
        lines += [f"           wanted by {_cause_words(each)}" for each in stage.because]
        lines += [f"           {each.name}: {each.note}" for each in stage.votes if each.note]
        if stage.escalates_at is not None:
            lines.append(f"           others are asked at {show_instant(stage.escalates_at, now)}")
    if approval.denial is not None:
        lines.append(f"Denied     by {approval.denial.name}: {approval.denial.reason}")
    lines += [f"Denied     {reason}" for reason in request.reasons]
    if request.is_waiting and approval.may_not:
        lines.append(
            f"You        may not approve it: {MAY_NOT.get(approval.may_not, approval.may_not)}"
        )
    return lines


def emergency_lines(request: AccessRequest, now: datetime) -> list[str]:
    """Of emergency access: who used it, what for, and what somebody else found."""
    review = request.review
    lines = [
        f"Emergency  {request.requestor}, {show_instant(request.started_at, now)}, without approval"
    ]
    if review is not None:
        lines.append(f"Reviewed   by {review.name}, {show_instant(review.at, now)}: {review.note}")
    elif request.needs_review:
        lines.append("Reviewed   not yet")
    return lines


def emergency_rows(requests: Sequence[AccessRequest], now: datetime) -> list[list[str]]:
    return [
        [
            show_minute(each.started_at, now),
            each.requestor,
            summary(each),
            each.justification,
            "you may review it" if each.may_review else "somebody else reviews it",
            each.id,
        ]
        for each in requests
    ]


def _cause_words(cause: Cause) -> str:
    if cause.rule:
        return f"rule {cause.rule} of policy {cause.policy}"
    return f"{cause.machine} port {cause.port} of policy {cause.policy}"


def list_rows(requests: Sequence[AccessRequest], now: datetime) -> list[list[str]]:
    """One row a request: since when, for whom, what, how long, why, where it stands."""
    return [
        [
            show_minute(each.approval.waiting_since if each.approval else each.started_at, now),
            each.requestor,
            summary(each),
            _when_words(each, now),
            each.justification,
            standing_words(each),
            short_id(each) if each.is_waiting else each.id,
        ]
        for each in requests
    ]


def _when_words(request: AccessRequest, now: datetime) -> str:
    length = length_words(request.approval, now) if request.approval else ""
    if request.starts_at is None:
        return length
    return f"{length}, at {show_minute(request.starts_at, now)}".removeprefix(", ")


def standing_words(request: AccessRequest) -> str:
    approval = request.approval
    if approval is None or not request.is_waiting:
        return request.state
    stage = approval.asked
    if stage is None:
        return request.state
    of = f"stage {stage.number} of {len(approval.stages)}, " if len(approval.stages) > 1 else ""
    return f"{of}{stage.given} of {stage.needed} approved"


def undone(request: AccessRequest) -> BasculeError | None:
    """The error for a request that will not open after it has waited; None where it may."""
    what = summary(request)
    denial = request.approval.denial if request.approval is not None else None
    if request.state == RequestState.DENIED:
        if denial is not None:
            return ApprovalDenied(f"{denial.name} denied {what}: {denial.reason}")
        why = " ".join(request.reasons) or "It was not allowed any more."
        return ApprovalDenied(f"{what} was denied when it was judged again: {why}")
    if request.state == RequestState.LAPSED and request.reasons:
        return ApprovalLapsed(
            f"{what} was not opened at its start. {' '.join(request.reasons)}",
            advice="To open it now, request access again.",
        )
    if request.state == RequestState.LAPSED:
        return ApprovalLapsed(
            f"Nobody decided about {what} in time, so the request has ended. It opened nothing.",
            advice=f"To see who was asked: bascule approvals {request.id}",
        )
    if request.state == RequestState.WITHDRAWN:
        return ApprovalLapsed(f"The request for {what} was withdrawn. It opened nothing.")
    return None


def approval_json(approval: Approval) -> dict[str, object]:
    """As the server tells it, with absent instants as null."""
    return {
        "digest": approval.digest,
        "waitingSince": format_utc(approval.waiting_since),
        "pendingUntil": format_utc(approval.pending_until),
        "decidedAt": _utc(approval.decided_at),
        "duration": format_duration(approval.span) if approval.span is not None else None,
        "endTimeUtc": _utc(approval.ends_at),
        "stages": [_stage_json(each) for each in approval.stages],
        "denial": None
        if approval.denial is None
        else {
            "displayName": approval.denial.name,
            "at": format_utc(approval.denial.at),
            "reason": approval.denial.reason,
        },
        "mayApprove": approval.may_approve,
        "mayDeny": approval.may_deny,
        "mayWithdraw": approval.may_withdraw,
        "mayNot": approval.may_not or None,
        "tickets": [each._asdict() for each in approval.tickets],
    }


def _stage_json(stage: Stage) -> dict[str, object]:
    return {
        "number": stage.number,
        "state": stage.state,
        "needed": stage.needed,
        "given": stage.given,
        "because": [
            {
                "policy": each.policy,
                "rule": each.rule or None,
                "machine": each.machine or None,
                "port": each.port or None,
            }
            for each in stage.because
        ],
        "approvers": list(stage.approvers),
        "role": stage.is_by_role,
        "escalatesAt": _utc(stage.escalates_at),
        "votes": [
            {
                "displayName": each.name,
                "at": format_utc(each.at),
                "counts": each.counts,
                "duration": format_duration(each.span) if each.span is not None else None,
                "endTimeUtc": _utc(each.ends_at),
                "isSelf": each.is_self,
                "note": each.note or None,
            }
            for each in stage.votes
        ],
    }


def _utc(instant: datetime | None) -> str | None:
    return format_utc(instant) if instant is not None else None
