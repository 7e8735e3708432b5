"""Revoke and extend: the two acts on the live grants of a request.

An extension is decided like a new request, by the rules and rights of that moment; a revocation
needs no policy. What is not here: initiating (``requests``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.decide import Decision, Denied, NeedsApproval, decide
from bascule.domain.facts.grants import GrantExtended
from bascule.domain.grant import Grant, extend_to
from bascule.domain.lifecycle import STATES, RequestState, StatusReason
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.domain.stages import DueStage, covers, met
from bascule.domain.times import format_utc
from bascule.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Part,
    Place,
    Problem,
)
from bascule.sentences import sentence
from bascule.services.act import Act, new_id
from bascule.services.approving import withdraw_waiting
from bascule.services.grants import GrantEndWrites, change, cut, end_grants
from bascule.services.hosts_said import said_by_hosts
from bascule.services.plans import PlanScopeReads, require_plan
from bascule.services.request_denials import record_denied
from bascule.services.request_rights import check_may_ask, check_may_revoke, what_may_be_cut
from bascule.services.requests import approval_of
from bascule.services.right_ends import ended_in_time, known_ends
from bascule.services.rights import rights_of
from bascule.services.ticket_answers import Tickets
from bascule.services.timeline import lengthened
from bascule.services.waiting import WaitingWrites


class RevokeWrites(WaitingWrites, Protocol):
    """A request's grants, and the right to end them."""


class ExtendWrites(RevokeWrites, PlanScopeReads, Protocol):
    """A request's grants, and what a longer one depends on."""


def revoke(
    tx: RevokeWrites,
    act: Act,
    request_id: str,
    grant_ids: Collection[str] | None,
    *,
    kills_sessions: bool,
    subject: Subject,
) -> None:
    """End a request's live grants, or those named; with kill, cut what they admitted too.

    One that waits, for approval or for its start, is withdrawn. One's own always, others' with REQUEST_REVOKE at each
    machine of them (EDGES B1). Killing reaches grants that ended already, however long ago, where
    the subject may ask or revoke.
    Raises NotFound, Forbidden, and Conflict when nothing of it is live and nothing is to be cut.
    """
    request = tx.request(request_id)
    if request is not None:
        check_may_revoke(tx, act, subject, request)
        if request.state in (RequestState.WAITING, RequestState.SCHEDULED):
            withdraw_waiting(tx, act, request)
            return
    grants = _grants_of(tx, request_id, grant_ids)
    live = [grant for grant in grants if grant.is_live]
    ended: Sequence[Grant] = [grant for grant in grants if not grant.is_live]
    if not live and not (kills_sessions and ended):
        raise Conflict(
            "This request has no live access.",
            code="GrantNotLive",
            advice="To end connections that it left behind, revoke with kill.",
        )
    if kills_sessions:
        ended = what_may_be_cut(tx, act, subject, ended, must=not live)
    cause = f"revocation by {subject.name}"
    end_grants(tx, act, live, StatusReason.USER_REQUESTED, cause, kills_sessions=kills_sessions)
    if kills_sessions:
        for grant in ended:
            cut(tx, act, grant)


def extend(
    tx: ExtendWrites,
    act: Act,
    request_id: str,
    ends_at: datetime,
    ends_at_text: str,
    subject: Subject,
    length: timedelta | None = None,
) -> Denied | None:
    """Move the end of every live grant of a request, decided like a new request; or the denial.

    Only the requestor may extend, and only where they may still ask. All grants are decided
    before any is moved. The new end is at most now + the rule's maximum, and not earlier than the present
    one of any of them. ``length``: the end was given as so long from now, which a ticket's answer is bound to.
    Raises NotFound, Forbidden, and Conflict when nothing is live, or when an end would come earlier.
    """
    request = tx.request(request_id)
    if request is not None and request.requestor_id != subject.principal_id:
        raise Forbidden(
            "Only the person who made a request can extend it.",
            advice="To make your own: bascule request MACHINE.",
        )
    if request is not None and request.is_emergency:
        raise Conflict(
            "Emergency access is not extended.",
            code="EmergencyNotExtended",
            advice="To stay longer, request access without emergency: bascule request MACHINE.",
        )
    live = [grant for grant in _grants_of(tx, request_id, None) if grant.is_live]
    if request is None or not live:
        raise Conflict("This request has no live access. Make a new request.", code="GrantNotLive")
    named = list(dict.fromkeys(grant.machine_id for grant in live))
    rights = rights_of(tx, subject.principal_id, act.now)
    check_may_ask(tx, subject, rights, request.policy_id, [(each, "") for each in named])
    require_plan(tx, named)
    policy = tx.policy(request.policy_id)
    if policy is None:
        raise NotFound(
            sentence("Policy {policy_id} no longer exists.", policy_id=request.policy_id)
        )
    machines = {each: machine for each in named if (machine := tx.machine(each)) is not None}
    guards, unable, knows, cannot_drain = said_by_hosts(tx, [grant.machine_uid for grant in live])

    def until_then(grant: Grant) -> RequestedMachine:
        port = RequestedPort(grant.number, grant.sources, ends_at, ends_at_text, length=length)
        return RequestedMachine(grant.machine_id, (port,))

    again = replace(request, machines=tuple(until_then(grant) for grant in live))
    ends = known_ends(tx, subject, act.now, named)
    passed = _passed_stages(tx, request)
    agreed: list[tuple[Grant, Grant]] = []  # as it is, as it would be granted now
    reasons: list[Problem] = []
    for grant in live:
        asked = replace(
            request,
            machines=(until_then(grant),),
            started_at=act.now,
            factor_age=subject.factor_age(act.now),
        )
        approval = approval_of(
            tx,
            request.requestor_id,
            tx.asked([grant.machine_id], act.now).machines.values(),
            act.now,
        )
        approval, _ = Tickets(again).answer(approval, asked, list(machines.values()), act)
        decision = decide(
            *(policy.policy, asked, machines, live, new_id, act.now),
            guards=guards,
            unable=unable,
            knows=knows,
            cannot_drain=cannot_drain,
            approval=approval,
        )
        decision = _approved_already(grant, ends_at, decision, passed)
        if isinstance(decision, NeedsApproval):
            reasons.append(_needs_approval(grant))
        elif isinstance(decision, Denied):
            reasons.extend(_of_extension(each) for each in decision.reasons)
        else:
            granted = min(decision.grants, key=lambda each: each.max_duration)
            agreed.append((grant, ended_in_time(granted, ends.get(grant.machine_id))))
    if reasons:
        denied = Denied(tuple(dict.fromkeys(reasons)))
        record_denied(tx, act, again, denied)
        return denied
    _check_right_lasts(agreed)
    _check_later(agreed)
    for grant, granted in agreed:
        _extend_one(tx, act, grant, granted)
    return None


def _passed_stages(tx: ExtendWrites, request: AccessRequest) -> Sequence[DueStage]:
    """The stages that approved it; none where nobody had to."""
    pending = tx.pendings_of([request.id]).get(request.id) if request.has_waited else None
    return () if pending is None else met(pending.stages, pending.named())


def _approved_already(
    grant: Grant, ends_at: datetime, decision: Decision, passed: Sequence[DueStage]
) -> Decision:
    """Allowed where this end was approved with the request, by all who would have to approve it now."""
    if (
        isinstance(decision, NeedsApproval)
        and grant.approved_until is not None
        and ends_at <= grant.approved_until
        and all(covers(passed, each) for each in decision.stages)
    ):
        return decision.allowed
    return decision


def _needs_approval(grant: Grant) -> Problem:
    return Problem(
        "ApprovalRequired",
        sentence(
            "To keep port {port} of {machine} open longer needs approval. Request access again; what is "
            "open stays until its end.",
            port=grant.number,
            machine=grant.machine_id.name,
        ),
        Place(Part.END),
    )


def _of_extension(reason: Problem) -> Problem:
    """An extension's body is an end alone: no machine or port of it can be pointed at."""
    at = reason.target
    return replace(reason, target=Place(at.part) if isinstance(at, Place) else at)


def _check_later(agreed: Sequence[tuple[Grant, Grant]]) -> None:
    earlier = [
        Problem(
            "EndTimeEarlier",
            sentence(
                "Port {port} of {machine} is already granted until {until}. An extension "
                "to {end} would end it earlier.",
                port=grant.number,
                machine=grant.machine_id.name,
                until=grant.ends_at_text,
                end=granted.ends_at_text,
            ),
            Place(Part.END),
        )
        for grant, granted in agreed
        if granted.ends_at < grant.ends_at
    ]
    if earlier:
        raise Conflict(
            earlier[0].message,
            code=earlier[0].code,
            target=earlier[0].target,
            advice="Give a later end. To end access early: bascule revoke.",
            problems=earlier,
        )


def _check_right_lasts(agreed: Sequence[tuple[Grant, Grant]]) -> None:
    """Where less would come of it than is granted, or nothing, say why: what gives the right ends first."""
    is_longer = any(granted.ends_at > grant.ends_at for grant, granted in agreed)
    for grant, granted in agreed:
        if is_longer and granted.ends_at >= grant.ends_at:
            continue
        if granted.ends_with_credential:
            raise Conflict(
                sentence(
                    "Port {port} of {machine} is granted until {until} already. The secret or "
                    "certificate {credential} by which this is asked for ends at {end}.",
                    port=grant.number,
                    machine=grant.machine_id.name,
                    until=grant.ends_at_text,
                    credential=granted.ends_with_credential,
                    end=granted.ends_at_text,
                ),
                code="EndsWithCredential",
                target=Place(Part.END),
                advice="Sign in with a credential that ends later. To make one: bascule sp add-secret.",
            )
        if granted.ends_with_group:
            raise Conflict(
                sentence(
                    "Port {port} of {machine} is granted until {until} already. The membership of group "
                    "{group}, which gives the right to it, ends at {end}.",
                    port=grant.number,
                    machine=grant.machine_id.name,
                    until=grant.ends_at_text,
                    group=granted.ends_with_group,
                    end=granted.ends_at_text,
                ),
                code="EndsWithMembership",
                target=Place(Part.END),
                advice="Ask whoever administers the group for a later end of the membership: bascule group "
                "add-member GROUP PERSON --until TIME.",
            )


def _extend_one(tx: GrantEndWrites, act: Act, grant: Grant, granted: Grant) -> None:
    longer = extend_to(grant, granted)
    change(tx, act, longer)
    lengthened(tx, longer)
    act.settled.add(grant.request_id)
    act.record(
        tx,
        GrantExtended(
            grant.id,
            grant.request_id,
            str(grant.machine_id),
            grant.ends_at_text,
            format_utc(longer.ends_at),
        ),
        grant.machine_id,
    )


def _grants_of(
    tx: RevokeWrites, request_id: str, grant_ids: Collection[str] | None
) -> Sequence[Grant]:
    grants = tx.grants_of([request_id])
    request = tx.request(request_id) if not grants else None
    if request is not None and not STATES[request.state].has_grants:
        raise Conflict(
            "This request was refused, so it opened nothing."
            if request.state is RequestState.REFUSED
            else "This request opened nothing, so there is nothing to end.",
            code="GrantNotLive",
            advice="To request access again: bascule request MACHINE.",
        )
    if not grants:
        raise NotFound(
            sentence("Request {request} does not exist.", request=request_id),
            advice="To see live requests: bascule status.",
        )
    if grant_ids is None:
        return grants
    unknown = set(grant_ids) - {grant.id for grant in grants}
    if unknown:
        raise InvalidInput.of(
            [
                Problem(
                    "GrantNotFound",
                    sentence(
                        "Request {request} has no grant {grant}.", request=request_id, grant=each
                    ),
                    "grantIds",
                )
                for each in sorted(unknown)
            ]
        )
    return [grant for grant in grants if grant.id in grant_ids]
