"""Bascule.Access: approving and denying requests that wait, and how many wait (docs/approval.md).

What is not here: reading and listing them (``access``), rules (``access_rules``).
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, decides
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.routes.access import REQUEST
from bascule.api.wire.approvals import ApproveBody, DenyBody, ReviewBody
from bascule.api.wire.requests import access_request_json
from bascule.domain.actions import REQUEST_APPROVE, RULES_WRITE
from bascule.domain.ids import is_guid
from bascule.errors import Conflict, NotFound
from bascule.interfaces.store import Reader, Transaction
from bascule.services import approving, emergencies
from bascule.services.act import Act
from bascule.services.approvers import approver_of
from bascule.services.views import RequestView, view_request

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

COUNTS = f"{SUBSCRIPTION}/providers/Bascule.Access/approvalCounts/default"
MOST_COUNTED = 100


@router.post(f"{REQUEST}/approve")
@decides(REQUEST_APPROVE)
async def approve(call: CurrentCall, request_id: str, body: ApproveBody) -> Response:
    _check_id(request_id)
    yes = body.yes()

    def work(tx: Transaction, act: Act) -> RequestView | Conflict | None:
        refusal = approving.approve(tx, act, request_id.lower(), call.subject, yes)
        return refusal or view_request(tx, request_id.lower(), act.now, call.subject)

    found = await call.perform(work)
    if isinstance(found, Conflict):
        raise found
    return _answer(found, request_id)


@router.post(f"{REQUEST}/deny")
@decides(REQUEST_APPROVE)
async def deny(call: CurrentCall, request_id: str, body: DenyBody) -> Response:
    _check_id(request_id)

    def work(tx: Transaction, act: Act) -> RequestView | None:
        approving.deny(tx, act, request_id.lower(), call.subject, body.digest, body.reason)
        return view_request(tx, request_id.lower(), act.now, call.subject)

    return _answer(await call.perform(work), request_id)


@router.post(f"{REQUEST}/review")
@decides(REQUEST_APPROVE, RULES_WRITE)
async def review(call: CurrentCall, request_id: str, body: ReviewBody) -> Response:
    """Somebody else says what they found of emergency access."""
    _check_id(request_id)

    def work(tx: Transaction, act: Act) -> RequestView | None:
        emergencies.review(tx, act, request_id.lower(), call.subject, body.note)
        return view_request(tx, request_id.lower(), act.now, call.subject)

    return _answer(await call.perform(work), request_id)


@router.get(COUNTS)
@admits_callers
async def count_approvals(call: CurrentCall) -> Response:
    """For a badge: each counted up to MOST_COUNTED."""
    me, now = call.subject.principal_id, call.now

    def read(reader: Reader) -> dict[str, int]:
        approver = approver_of(reader, me, now)
        return {
            "waitingForMe": reader.count_waiting_for(approver, now, MOST_COUNTED),
            "mineWaiting": reader.count_waiting(me, MOST_COUNTED),
            "needsReview": len(emergencies.unreviewed_for(reader, call.subject, now, MOST_COUNTED)),
        }

    return CompactJson({"properties": await call.read(read)})


def _check_id(request_id: str) -> None:
    if not is_guid(request_id):
        raise _no_request(request_id)


def _answer(view: RequestView | None, request_id: str) -> Response:
    if view is None:
        raise _no_request(request_id)
    return CompactJson(access_request_json(view))


def _no_request(request_id: str) -> NotFound:
    return NotFound(
        f"Request {request_id[:64]!r} does not exist.",
        advice="To see requests of yours that live: bascule status.",
    )
