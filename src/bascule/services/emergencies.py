"""Emergency access: on record at once, and listed until somebody else has reviewed it (EDGES J10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple, Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import REQUEST_APPROVE, RULES_WRITE
from bascule.domain.emergency import Review, review_problem
from bascule.domain.facts.fields import MOST_PLACES
from bascule.domain.facts.grants import EmergencyAccess, EmergencyReviewed
from bascule.domain.grant import Grant
from bascule.domain.request import LONGEST_REASON, AccessRequest
from bascule.domain.roles import NO_RIGHTS, Rights
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound
from bascule.interfaces.approvals import MakerReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.requests import RequestReads
from bascule.interfaces.reviews import ReviewReads, ReviewWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.approvers import could_sign_in_as
from bascule.services.request_rights import sight_of
from bascule.services.rights import RightsReads, rights_of

GIVES_REVIEW = (RULES_WRITE, REQUEST_APPROVE)  # either, at each machine of the request
MOST_LISTED = 1000  # of those that need a review, looked through for one caller


class UnreviewedReads(MakerReads, RequestReads, ReviewReads, RightsReads, Protocol):
    """Emergency access, its reviews, and who may review it."""


class ReviewActWrites(UnreviewedReads, EventWrites, ReviewWrites, Protocol):
    """The same, to review it."""


def record_emergency(
    tx: EventWrites, act: Act, request: AccessRequest, grants: Sequence[Grant]
) -> None:
    ports = dict.fromkeys(f"{each.number}/{each.protocol}" for each in grants)
    sources = dict.fromkeys(str(source) for each in grants for source in each.sources)
    last = max(grants, key=lambda each: each.ends_at)
    act.record(
        tx,
        EmergencyAccess(
            request.id,
            str(request.policy_id),
            _machines(request),
            tuple(ports)[:MOST_PLACES],
            tuple(sources)[:MOST_PLACES],
            request.justification or "",
            last.ends_at_text,
        ),
        request.policy_id,
    )


def may_review(rights: Rights, subject: Subject, request: AccessRequest) -> bool:
    """A person, not who used it, who may write rules, or approve, at each of its machines."""
    if not request.is_emergency or review_problem(request.requestor_id, subject) is not None:
        return False
    return _has_right(rights, request)


def _is_independent(
    reader: MakerReads, subject: Subject, request: AccessRequest, now: datetime
) -> bool:
    """Could whoever used it not sign in as this reviewer?"""
    return not could_sign_in_as(reader, request.requestor_id, subject.principal_id, now)


def _has_right(rights: Rights, request: AccessRequest) -> bool:
    keys = [each.machine_id.key for each in request.machines]
    return any(all(map(rights.reach(action).covers, keys)) for action in GIVES_REVIEW)


def unreviewed_for(
    reader: UnreviewedReads, subject: Subject, now: datetime, most: int
) -> Sequence[AccessRequest]:
    """Those that this caller may review, newest first, at most so many."""
    found = reader.requests(needs_review=True, limit=MOST_LISTED)
    if not found:
        return ()
    rights = rights_of(reader, subject.principal_id, now)
    open_to = (
        each
        for each in found
        if may_review(rights, subject, each) and _is_independent(reader, subject, each, now)
    )
    return tuple(islice(open_to, most))


class ShownReview(NamedTuple):
    """Of emergency access; of all else there is none, and nobody may."""

    review: Review | None = None
    may_review: bool = False


NO_REVIEW = ShownReview()


def view_reviews(
    reader: UnreviewedReads,
    requests: Sequence[AccessRequest],
    subject: Subject | None,
    now: datetime,
) -> Mapping[str, ShownReview]:
    """By request id. ``subject`` is who looks."""
    wanted = [each for each in requests if each.is_emergency]
    if not wanted:
        return {}
    found = reader.reviews_of([each.id for each in wanted])
    rights = NO_RIGHTS if subject is None else rights_of(reader, subject.principal_id, now)
    return {
        each.id: ShownReview(
            found.get(each.id),
            each.id not in found
            and not each.is_refused
            and subject is not None
            and may_review(rights, subject, each)
            and _is_independent(reader, subject, each, now),
        )
        for each in wanted
    }


def review(
    tx: ReviewActWrites, act: Act, request_id: str, subject: Subject, note: str
) -> AccessRequest:
    """Somebody else has looked at it, and says what they found. Once.

    Raises NotFound where the caller may not know of it; Forbidden, Conflict and InvalidInput.
    """
    request = tx.request(request_id)
    rights = rights_of(tx, subject.principal_id, act.now)
    has_right = request is not None and _has_right(rights, request)
    sees = request is not None and (
        has_right or sight_of(rights, subject.principal_id).sees_request(request)
    )
    if request is None or not sees:
        raise NotFound(
            sentence("Request {request} does not exist.", request=request_id),
            advice="To list what needs a review: bascule approvals --emergencies.",
        )
    if not request.is_emergency or request.is_refused:
        raise Conflict(
            "This request is no emergency access: it needs no review.", code="NoEmergency"
        )
    if problem := review_problem(request.requestor_id, subject):
        raise problem
    if not _is_independent(tx, subject, request, act.now):
        raise Forbidden(
            "Whoever used this emergency access set your password within the last day. Somebody else has "
            "to review it.",
            code="NotIndependent",
        )
    if not has_right:
        raise Forbidden(
            "You may not review this emergency access.",
            advice="Whoever may write rules for its machines may review it, and whoever holds the role "
            "Bascule Access Approver there.",
        )
    if not note.strip():
        raise InvalidInput("Say in a note what you found.", code="NoteRequired", target="note")
    if len(note) > LONGEST_REASON:
        raise InvalidInput(
            sentence("{target} has at most {most} characters.", target="note", most=LONGEST_REASON),
            code="TextTooLong",
            target="note",
        )
    if request_id in tx.reviews_of([request_id]):
        raise Conflict(
            "This emergency access has been reviewed already.",
            code="AlreadyReviewed",
            advice="Read it again: it says who reviewed it.",
        )
    tx.add_review(request_id, Review(subject.principal_id, subject.name, act.now, note))
    act.record(
        tx,
        EmergencyReviewed(
            request.id, str(request.policy_id), _machines(request), request.requestor, note
        ),
        request.policy_id,
    )
    act.settled.add(request.id)
    return request


def _machines(request: AccessRequest) -> tuple[str, ...]:
    return tuple(str(each.machine_id) for each in request.machines)
