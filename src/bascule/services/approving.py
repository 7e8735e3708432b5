"""Approve, deny, withdraw: what people do to a request that waits (EDGES J5 to J8).

Each answer names the digest of what it is about. A yes judges the request anew first: hours may have
passed that a rule names. What it became then is kept, also where the yes is refused for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bascule.domain.access import Subject
from bascule.domain.facts.grants import (
    AccessApproved,
    AccessNotApproved,
    AccessSelfApproved,
    AccessWithdrawn,
)
from bascule.domain.lifecycle import RequestState
from bascule.domain.pending import Denial, Pending, longest_of, opens_at, reach_of
from bascule.domain.request import LONGEST_REASON, AccessRequest
from bascule.domain.stages import Vote
from bascule.domain.times import format_duration, format_utc
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.approvers import (
    entitled,
    is_asked,
    may_read_as_asked,
    why_not,
)
from bascule.services.request_rights import sight_of
from bascule.services.rights import rights_of
from bascule.services.waiting import (
    Stands,
    WaitingWrites,
    close_waiting,
    find_waiting,
    machines_of,
    reconsider,
)

SHORTEST = timedelta(minutes=1)  # that approvers may leave of a request


@dataclass(frozen=True, slots=True)
class Yes:
    """What an approver sends."""

    digest: str
    longest: timedelta | None = None  # since the opening, at most
    ends_at: datetime | None = None  # at the latest
    note: str = ""


def approve(
    tx: WaitingWrites, act: Act, request_id: str, subject: Subject, yes: Yes
) -> Conflict | None:
    """One person's yes; with the last one it opens.

    Returns why nothing was approved, where the request was judged anew and is no longer what was shown:
    an exception would undo that. Raises NotFound, Forbidden and Conflict with the reason otherwise,
    InvalidInput for a longer end.
    """
    request, pending = _readable(tx, act, request_id, subject)
    _check_waits(act, request, pending, yes.digest)
    stands = reconsider(tx, act, request, pending)
    if not stands.waits:
        return _not_waiting()
    if yes.digest != stands.pending.digest:
        return _other_digest()
    request, pending = stands.request, stands.pending
    if refusal := why_not(tx, request, pending, subject, act.now):
        raise refusal
    stage = pending.asked(stands.counted)
    if stage is None:  # unreachable: it would have opened
        raise _not_waiting()
    _check_shorter(request, yes, act.now)
    given = entitled(
        tx, subject.principal_id, pending.stages[stage], pending.since(stage, act.now), act.now
    )
    is_own = subject.principal_id == request.requestor_id
    vote = Vote(
        principal_id=subject.principal_id,
        name=subject.name,
        at=act.now,
        stage=stage,
        digest=pending.digest,
        longest=yes.longest,
        ends_at=yes.ends_at,
        note=yes.note,
        is_own=is_own,
        rests_until=None if given is None else given.rests_until,
        provider_id="" if given is None else given.provider_id,
    )
    tx.add_vote(request.id, vote)
    _record_yes(tx, act, request, vote)
    reconsider(tx, act, request, replace(pending, votes=(*pending.votes, vote)))
    return None


def deny(
    tx: WaitingWrites, act: Act, request_id: str, subject: Subject, digest: str, reason: str
) -> Stands:
    """One person's no, which is final. Whoever is asked, or was, may say it."""
    request, pending = _readable(tx, act, request_id, subject)
    if not reason.strip():
        raise InvalidInput(
            "Give a reason. The person who asks for access is told it.",
            code="ReasonRequired",
            target="reason",
        )
    _check_length(reason, "reason")
    if request.state is not RequestState.WAITING or pending.pending_until <= act.now:
        raise _not_waiting()
    if not is_asked(tx, subject.principal_id, pending, act.now):
        raise Forbidden("You are not asked to answer this request.", code="NotAsked")
    if digest != pending.digest:
        raise _other_digest()
    act.record(
        tx,
        AccessNotApproved(
            request.id,
            str(request.policy_id),
            machines_of(request),
            request.requestor,
            reason,
        ),
        request.policy_id,
    )
    denial = Denial(subject.principal_id, subject.name, act.now, reason)
    return close_waiting(tx, act, request, pending, RequestState.DENIED, denial)


def withdraw_waiting(tx: WaitingWrites, act: Act, request: AccessRequest) -> None:
    """Take back what waits; who may is the caller's affair (``check_may_revoke``)."""
    pending = tx.pendings_of([request.id]).get(request.id)
    if pending is None:
        raise _not_waiting()
    act.record(
        tx,
        AccessWithdrawn(
            request.id, str(request.policy_id), machines_of(request), request.requestor
        ),
        request.policy_id,
    )
    close_waiting(tx, act, request, pending, RequestState.WITHDRAWN)


def _readable(
    tx: WaitingWrites, act: Act, request_id: str, subject: Subject
) -> tuple[AccessRequest, Pending]:
    """Raises NotFound where they may not know of it, or it never waited."""
    found = find_waiting(tx, request_id)
    request = tx.request(request_id) if found is None else found[0]
    rights = rights_of(tx, subject.principal_id, act.now)
    sees = request is not None and sight_of(rights, subject.principal_id).sees_request(request)
    if found is not None and (
        sees or may_read_as_asked(tx, subject.principal_id, found[1], act.now)
    ):
        return found
    was_asked = found is not None and is_asked(tx, subject.principal_id, found[1], act.now)
    if sees or was_asked:  # it never waited, or is decided
        raise _not_waiting()
    raise NotFound(
        sentence("Request {request} does not exist.", request=request_id),
        advice="To see requests of yours that live: bascule status.",
    )


def _check_waits(act: Act, request: AccessRequest, pending: Pending, digest: str) -> None:
    """Raise Conflict unless it waits, and is what was shown, by what is kept of it."""
    if request.state is not RequestState.WAITING or pending.pending_until <= act.now:
        raise _not_waiting()
    if digest != pending.digest:
        raise _other_digest()


def _check_shorter(request: AccessRequest, yes: Yes, now: datetime) -> None:
    _check_length(yes.note, "note")
    length, end = longest_of(request)
    opening = opens_at(request, now)
    ends = [
        each for each in (None if length is None else opening + length, end) if each is not None
    ]
    latest = max(ends)
    if (up_to := reach_of(request)) is not None:
        latest = max(latest, opening + up_to)
    if yes.longest is not None and yes.ends_at is not None:
        raise InvalidInput(
            "Give either duration or endTimeUtc.", code="MutuallyExclusiveFields", target="duration"
        )
    wanted = yes.ends_at if yes.longest is None else opening + yes.longest
    if wanted is None:
        return
    target = "endTimeUtc" if yes.longest is None else "duration"
    if wanted < opening + SHORTEST:
        raise InvalidInput(
            "At least a minute must be left. To say no, deny the request.",
            code="InvalidDuration",
            target=target,
        )
    if wanted > latest:
        raise InvalidInput(
            sentence(
                "An approval may shorten what is asked for, and not lengthen it. It is asked for until "
                "{latest} at the latest.",
                latest=format_utc(latest),
            ),
            code="WouldLengthen",
            target=target,
        )


def _check_length(text: str, target: str) -> None:
    if len(text) > LONGEST_REASON:
        raise InvalidInput(
            sentence("{target} has at most {most} characters.", target=target, most=LONGEST_REASON),
            code="TextTooLong",
            target=target,
        )


def _record_yes(tx: WaitingWrites, act: Act, request: AccessRequest, vote: Vote) -> None:
    shortened = "" if vote.longest is None else format_duration(vote.longest)
    shortened = shortened if vote.ends_at is None else format_utc(vote.ends_at)
    machines, policy = machines_of(request), str(request.policy_id)
    act.record(
        tx,
        AccessSelfApproved(request.id, policy, machines, vote.stage + 1, shortened, vote.note)
        if vote.is_own
        else AccessApproved(
            request.id, policy, machines, request.requestor, vote.stage + 1, shortened, vote.note
        ),
        request.policy_id,
    )


def _not_waiting() -> Conflict:
    return Conflict(
        "This request does not wait for approval any more.",
        code="NotWaiting",
        advice="Read it again: it says what became of it.",
    )


def _other_digest() -> Conflict:
    return Conflict(
        "This request, or what it needs, is no longer what was shown. Nothing was decided.",
        code="OtherDigest",
        advice="Read it again, and answer what it says now.",
    )
