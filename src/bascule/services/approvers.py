"""Who may approve a request that waits, and whose yes counts (EDGES J5, J7).

Asked anew in the transaction of every answer and of the opening: a person must be there and enabled,
be asked by the stage, and be nobody who could act as the requestor or as another approver. Whose
membership ran out at its own end still counts; from whom it was taken does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.actions import REQUEST_APPROVE
from bascule.domain.emergency import too_old
from bascule.domain.ids import ResourceId
from bascule.domain.pending import Pending
from bascule.domain.principals import Membership
from bascule.domain.request import AccessRequest
from bascule.domain.roles import rights_from
from bascule.domain.stages import Approvers, DueStage, Vote, asked_at
from bascule.errors import Conflict, Forbidden
from bascule.interfaces.approvals import (
    ApprovalReads,
    ApprovalWrites,
    Approver,
    AskedBy,
    AskedOne,
    MakerReads,
)
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.requests import RequestReads
from bascule.services.makers import Made
from bascule.services.rights import RightsReads, find_role, rights_of

SET_LATELY = timedelta(days=1)  # a password that another knows


class ProgramReads(MakerReads, PrincipalReads, Protocol):
    """Who made a program, and its credentials."""


class ApproverReads(ApprovalReads, MakerReads, RequestReads, RightsReads, Protocol):
    """Who is asked, and what each of them holds."""


class VoidWrites(ApprovalWrites, MakerReads, RequestReads, RightsReads, Protocol):
    """The same, to void yeses."""


@dataclass(frozen=True, slots=True)
class Entitled:
    """Somebody is asked."""

    rests_until: datetime | None = None  # the end of the membership that it rests on; None: on none
    provider_id: str = ""  # the external provider that vouched for that membership


def entitled(
    reader: RightsReads, principal_id: str, due: DueStage, since: datetime, now: datetime
) -> Entitled | None:
    """Is this person asked by a stage that was asked at ``since``? None: no."""
    user = reader.user(principal_id)
    if user is None or not user.is_enabled:
        return None
    asked = asked_at(due.stage, since, now)
    if any(principal_id in each.users for each in asked):
        return Entitled()
    memberships = reader.memberships_of(principal_id, now)
    wanted = {group for each in asked for group in each.groups}
    by_group = [each for each in memberships if each.group_id in wanted]
    if any(each.expires_at is None for each in by_group):
        return Entitled()
    by_role = _by_role(reader, principal_id, due, asked, now)
    if by_role is not None and by_role.rests_until is None:
        return by_role
    return _resting_on(by_group) or by_role


def _by_role(
    reader: RightsReads,
    principal_id: str,
    due: DueStage,
    asked: Iterable[Approvers],
    now: datetime,
) -> Entitled | None:
    if not any(each.by_role for each in asked):
        return None
    keys = [ResourceId.parse(each).key for each in due.machine_ids]
    reach = rights_of(reader, principal_id, now).reach(REQUEST_APPROVE)
    if not all(map(reach.covers, keys)):
        return None
    memberships = reader.memberships_of(principal_id, now)
    lasting = [each.group_id for each in memberships if each.expires_at is None]
    assignments = reader.role_assignments_of([principal_id, *lasting])
    roles = [find_role(reader, each.role_id) for each in assignments]
    kept = rights_from(assignments, [each for each in roles if each is not None])
    if all(map(kept.reach(REQUEST_APPROVE).covers, keys)):
        return Entitled()
    return _resting_on(memberships)


def _resting_on(memberships: Sequence[Membership]) -> Entitled | None:
    """On the one of these that ends last, of those that end; None: none does."""
    ends = [(end, each.provider_id) for each in memberships if (end := each.expires_at) is not None]
    return Entitled(*max(ends)) if ends else None


def asked_rows(pending: Pending, counted: Sequence[Vote], now: datetime) -> list[AskedOne]:
    """Who is asked now, and who will be as well if nobody answers; nobody once it is decided."""
    stage = pending.asked(counted)
    if pending.decided_at is not None or stage is None:
        return []
    due, since = pending.stages[stage], pending.since(stage, now)
    rows = list(_rows(due, due.stage.approvers, since))
    if due.stage.escalate_after is not None:
        rows += _rows(due, due.stage.escalate_to, since + due.stage.escalate_after)
    return rows


def _rows(due: DueStage, approvers: Approvers, since: datetime) -> Iterable[AskedOne]:
    yield from (AskedOne(AskedBy.USER, each, since) for each in approvers.users)
    yield from (AskedOne(AskedBy.GROUP, each, since) for each in approvers.groups)
    if approvers.by_role:
        for each in due.machine_ids:
            yield AskedOne(AskedBy.ROLE, ResourceId.parse(each).key, since)


def approver_of(reader: RightsReads, principal_id: str, now: datetime) -> Approver:
    groups = frozenset(each.group_id for each in reader.memberships_of(principal_id, now))
    reach = rights_of(reader, principal_id, now).reach(REQUEST_APPROVE)
    return Approver(principal_id, groups, reach)


def counted_votes(
    reader: ApproverReads, request: AccessRequest, pending: Pending, now: datetime
) -> tuple[Vote, ...]:
    """The yeses that count now, one of a person at most."""
    entitled_ones: dict[str, Vote] = {}
    for vote in pending.named():
        if vote.stage < len(pending.stages) and _still_counts(reader, pending, vote, now):
            entitled_ones.setdefault(vote.principal_id, vote)
    votes = tuple(entitled_ones.values())
    return tuple(
        vote
        for vote in votes
        if dependence(reader, request, pending, vote.principal_id, vote.at, votes, now) is None
    )


def _still_counts(reader: RightsReads, pending: Pending, vote: Vote, now: datetime) -> bool:
    since = pending.since(vote.stage, now)
    if entitled(reader, vote.principal_id, pending.stages[vote.stage], since, now) is not None:
        return True
    return _has_run_out(reader, vote, now)


def _has_run_out(reader: RightsReads, vote: Vote, now: datetime) -> bool:
    """Did the membership on which it rests end by itself, and may the person still sign in?"""
    user = reader.user(vote.principal_id)
    is_over = vote.rests_until is not None and vote.rests_until <= now
    return is_over and user is not None and user.is_enabled


def dependence(
    reader: ApproverReads,
    request: AccessRequest,
    pending: Pending,
    principal_id: str,
    at: datetime,
    others: Iterable[Vote],
    now: datetime,
) -> str | None:
    """Why this person is no other than the requestor or another approver: a code; None: is another.

    ``at`` is when they said yes.
    """
    requestor = request.requestor_id
    makers = pending.makers | makers_of_program(reader, requestor, now)
    if principal_id == requestor:
        is_person = reader.principal_kind(requestor) is PrincipalKind.USER
        return None if pending.may_approve_own and is_person else "OwnRequest"
    if principal_id in makers:
        return "NotIndependent"
    asking = {requestor, *makers}
    if any(could_sign_in_as(reader, each, principal_id, at) for each in asking):
        return "NotIndependent"
    asked = min(at, pending.waiting_since) - SET_LATELY
    beside = {
        each.principal_id: min(at, each.at) - SET_LATELY
        for each in others
        if each.principal_id != principal_id
    }
    first = _set_since(reader, dict.fromkeys(asking, asked), with_first=True)
    others_too = _set_since(reader, beside)
    if principal_id in _could_be(reader, first | others_too, min([asked, *beside.values()])):
        return "NotIndependent"  # they could sign in as who asks, or as another approver
    return None


def could_sign_in_as(reader: MakerReads, other: str, principal_id: str, now: datetime) -> bool:
    """Could the other one sign in as this person, by a password that they set within a day?"""
    lately = now - SET_LATELY
    return other in _could_be(reader, _set_since(reader, {principal_id: lately}), lately)


def _set_since(
    reader: MakerReads, since: Mapping[str, datetime], *, with_first: bool = False
) -> frozenset[str]:
    """Who set the password of one of these after the moment beside it."""
    return frozenset(
        maker
        for known, maker, at, is_first in reader.makers_of(Made.PASSWORD, since)
        if at > since[known] and (with_first or not is_first)
    )


def _could_be(reader: MakerReads, makers: frozenset[str], since: datetime) -> frozenset[str]:
    """These, and who set the password of one of them, and of one of those in turn."""
    found, new = makers, makers
    while new:
        new = _set_since(reader, dict.fromkeys(new, since)) - found
        found |= new
    return found


def makers_of_program(reader: ProgramReads, principal_id: str, now: datetime) -> frozenset[str]:
    """Who made this service principal, or wrote a credential of it that is valid now; nobody of a person."""
    if reader.principal_kind(principal_id) is not PrincipalKind.SERVICE:
        return frozenset()
    made = reader.makers_of(Made.PRINCIPAL, [principal_id])
    valid = [each.key_id for each in reader.credentials_of(principal_id) if each.holds_at(now)]
    made = [*made, *(reader.makers_of(Made.CREDENTIAL, valid) if valid else ())]
    return frozenset(maker for _, maker, _, _ in made)


def is_told_as_asked(
    reader: ApproverReads, principal_id: str, request: AccessRequest, now: datetime
) -> bool:
    """The same of a request; nothing is read of one that never waited."""
    if not request.has_waited:
        return False
    pending = reader.pendings_of([request.id]).get(request.id)
    return may_read_as_asked(reader, principal_id, pending, now)


def may_read_as_asked(
    reader: ApproverReads, principal_id: str, pending: Pending | None, now: datetime
) -> bool:
    """May they read it although they have no other right to (EDGES J8)?"""
    if pending is None:
        return False
    if any(each.principal_id == principal_id for each in pending.votes):
        return True
    if pending.denial is not None and pending.denial.principal_id == principal_id:
        return True
    return pending.decided_at is None and is_asked(reader, principal_id, pending, now)


def is_asked(reader: RightsReads, principal_id: str, pending: Pending, now: datetime) -> bool:
    """By a stage that is asked now, or was before."""
    return any(
        since is not None and entitled(reader, principal_id, due, since, now) is not None
        for due, since in zip(pending.stages, pending.asked_since, strict=True)
    )


def why_not(
    reader: ApproverReads, request: AccessRequest, pending: Pending, subject: Subject, now: datetime
) -> Conflict | Forbidden | None:
    """Why this caller may not approve now; None: they may."""
    if subject.kind is not PrincipalKind.USER:
        return Forbidden(
            "Only people approve requests for access. This caller is a program.",
            code="OnlyPeopleApprove",
            advice="Sign in as yourself: bascule login.",
        )
    is_over = pending.decided_at is not None or pending.pending_until <= now
    if is_over or pending.opens_at is not None:
        return Conflict(
            "This request does not wait for approval any more.",
            code="NotWaiting",
            advice="Read it again: it says what became of it.",
        )
    if any(each.principal_id == subject.principal_id for each in pending.named()):
        return Conflict("You have approved this request already.", code="AlreadyApproved")
    counted = counted_votes(reader, request, pending, now)
    stage = pending.asked(counted)
    if stage is None or not entitled(
        reader, subject.principal_id, pending.stages[stage], pending.since(stage, now), now
    ):
        return Forbidden(
            "You are not asked to approve this request, or not now.",
            code="NotAsked",
            advice="The request says who is asked.",
        )
    code = dependence(reader, request, pending, subject.principal_id, now, counted, now)
    if code == "OwnRequest":
        return Forbidden("You asked for this yourself. Somebody else has to approve it.", code=code)
    if code is not None:
        return Forbidden(
            "You could act as the person or program that asks, or as somebody who has approved: you made "
            "it, wrote a credential of it that is still valid, or set the password within the last day. "
            "Somebody else has to approve it.",
            code=code,
        )
    within = pending.stages[stage].stage.factor_within
    return None if within is None else too_old(subject, within, now)


def void_unvouched(tx: VoidWrites, principal_id: str, provider_id: str, now: datetime) -> None:
    """Void their yeses that rested on a provider's word, which it does not give any more: they have
    signed in there again, and it did not name the group (EDGES J7).
    """
    found = tx.waiting_voted_by([principal_id])
    if not found:
        return
    for pending in tx.pendings_of(found).values():
        for vote in pending.named():
            if vote.principal_id != principal_id or vote.provider_id != provider_id:
                continue
            since = pending.since(vote.stage, now)
            if entitled(tx, principal_id, pending.stages[vote.stage], since, now) is None:
                tx.void_votes(pending.request_id, principal_id)
    tx.judge_anew(request_ids=found)


def void_lost(tx: VoidWrites, principal_ids: Iterable[str] | None, now: datetime) -> None:
    """Void the yeses to requests that wait of those who are not asked any more, because the right was
    taken from them; where only the end of a membership was moved, they rest on that one. None: of
    everybody. To be called after the change, in its transaction.
    """
    wanted = None if principal_ids is None else frozenset(principal_ids)
    found = tx.waiting_voted_by(wanted)
    if not found:
        return
    for pending in tx.pendings_of(found).values():
        for vote in pending.named():
            if wanted is not None and vote.principal_id not in wanted:
                continue
            since = pending.since(vote.stage, now)
            given = entitled(tx, vote.principal_id, pending.stages[vote.stage], since, now)
            if given is None:
                if not _has_run_out(tx, vote, now):
                    tx.void_votes(pending.request_id, vote.principal_id)
            elif given != Entitled(vote.rests_until, vote.provider_id):
                whose = pending.request_id, vote.principal_id
                tx.rest_votes(*whose, given.rests_until, given.provider_id)
    tx.judge_anew(request_ids=found)
