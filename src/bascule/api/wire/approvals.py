"""Approving on the wire (docs/approval.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bascule.api.wire.fields import Duration, EndTime, LongText, StrictBody, Text
from bascule.domain.stages import Because
from bascule.domain.tickets import Answered
from bascule.domain.times import format_duration, format_utc
from bascule.services.approval_views import (
    ApprovalView,
    Named,
    ShownApprovers,
    ShownStage,
    ShownVote,
)
from bascule.services.approving import Yes


class ApproveBody(StrictBody):
    digest: Text
    duration: Duration | None = None
    end_time_utc: EndTime | None = None
    note: LongText | None = None

    def yes(self) -> Yes:
        end = self.end_time_utc
        return Yes(self.digest, self.duration, None if end is None else end.at, self.note or "")


class ReviewBody(StrictBody):
    note: LongText


class DenyBody(StrictBody):
    digest: Text
    reason: LongText


def approval_json(view: ApprovalView) -> dict[str, Any]:
    pending, denial = view.pending, view.pending.denial
    asks_for: dict[str, Any] = {}
    if view.length is not None:
        asks_for["duration"] = format_duration(view.length)
    if view.ends_at is not None:
        asks_for["endTimeUtc"] = format_utc(view.ends_at)
    if view.up_to is not None:
        asks_for["upTo"] = format_duration(view.up_to)
    if view.beyond_tcp:
        asks_for["protocols"] = [
            {"machineId": str(machine), "port": number, "protocols": list(map(str, protocols))}
            for (machine, number), protocols in view.beyond_tcp.items()
        ]
    return {
        "digest": pending.digest,
        "waitingSince": format_utc(pending.waiting_since),
        "pendingUntil": format_utc(pending.pending_until),
        "decidedAt": None if pending.decided_at is None else format_utc(pending.decided_at),
        "selfApproval": pending.may_approve_own,
        "asksFor": asks_for,
        "stages": [stage_json(n, each) for n, each in enumerate(view.stages, start=1)],
        "tickets": list(map(_ticket_json, pending.tickets)),
        "denial": None
        if denial is None
        else {
            "principalId": denial.principal_id,
            "displayName": denial.name,
            "at": format_utc(denial.at),
            "reason": denial.reason,
        },
        "mayApprove": view.may_approve,
        "mayDeny": view.may_deny,
        "mayWithdraw": view.may_withdraw,
        "mayNot": view.why_not or None,
    }


def _ticket_json(answered: Answered) -> dict[str, Any]:
    return {
        "policyId": answered.policy_id,
        "ticket": answered.ticket,
        "answer": str(answered.answer),
        "text": answered.text,
        "at": format_utc(answered.at),
    }


def stage_json(number: int, shown: ShownStage) -> dict[str, Any]:
    reasons = {str(sorted(each.items())): each for each in map(_because, shown.due.because)}
    return {
        "number": number,
        "state": shown.state,
        "needed": shown.due.stage.needed,
        "given": shown.given,
        "because": list(reasons.values()),
        "approvers": _approvers_json(shown.approvers),
        "askedSince": None if shown.asked_since is None else format_utc(shown.asked_since),
        "escalateTo": None if shown.escalate_to is None else _approvers_json(shown.escalate_to),
        "escalatesAt": None if shown.escalates_at is None else format_utc(shown.escalates_at),
        "isEscalated": shown.is_escalated,
        "votes": list(map(_vote_json, shown.votes)),
        **_factor_json(shown.due.stage.factor_within),
    }


def _factor_json(within: timedelta | None) -> dict[str, str]:
    return {} if within is None else {"secondFactorWithin": format_duration(within)}


def _because(because: Because) -> dict[str, Any]:
    if because.rule:
        return {"policyId": because.policy_id, "rule": because.rule}
    return {
        "policyId": because.policy_id,
        "machineId": because.machine_id,
        "port": because.number,
    }


def _approvers_json(approvers: ShownApprovers) -> dict[str, Any]:
    return {
        "users": list(map(_named_json, approvers.users)),
        "groups": list(map(_named_json, approvers.groups)),
        "role": approvers.by_role,
    }


def _named_json(named: Named) -> dict[str, str]:
    return {"id": named.id, "displayName": named.name}


def _vote_json(shown: ShownVote) -> dict[str, Any]:
    vote = shown.vote
    return {
        "principalId": vote.principal_id,
        "displayName": vote.name,
        "at": format_utc(vote.at),
        "counts": shown.counts,
        "duration": None if vote.longest is None else format_duration(vote.longest),
        "endTimeUtc": None if vote.ends_at is None else format_utc(vote.ends_at),
        "isSelf": vote.is_own,
        "note": vote.note or None,
    }
