"""Answers to a request that waits: approve it, shortened perhaps; deny it with a reason; withdraw it.

By POST alone: a link, such as one in a message, shows the request and decides nothing. A form names
the digest of what it showed. Where that is another one by now, nothing is decided, and the page says
what has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.denials import record_denial
from bascule.api.entries import admits_callers, decides
from bascule.domain.actions import REQUEST_REVOKE
from bascule.errors import BasculeError, Conflict, Forbidden
from bascule.interfaces.store import Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.request_page import PATH, back, check_id, show_page
from bascule.portal.problems import reasons_of
from bascule.portal.spans import parse_span
from bascule.services import approving, emergencies, live_requests
from bascule.services.act import Act
from bascule.services.approving import Yes

router = APIRouter(route_class=PortalRoute)


@router.post(f"{PATH}/{{request_id}}/approve")
@admits_callers
async def approve(visit: CurrentVisit, request_id: str) -> Response:
    """Whether the visitor is asked says the use case; who is named needs no right for it."""

    def answer(tx: Transaction, act: Act) -> Conflict | None:
        form = visit.form
        yes = Yes(form.text("digest"), _shortened(visit), note=form.text("note"))
        return approving.approve(tx, act, request_id.lower(), visit.subject, yes)

    return await _answered(visit, request_id, answer, "approved")


@router.post(f"{PATH}/{{request_id}}/deny")
@admits_callers
async def deny(visit: CurrentVisit, request_id: str) -> Response:
    form = visit.form
    return await _answered(
        visit,
        request_id,
        lambda tx, act: approving.deny(
            tx,
            act,
            request_id.lower(),
            visit.subject,
            form.text("digest"),
            form.text("reason"),
        ),
        "denied",
    )


@router.post(f"{PATH}/{{request_id}}/review")
@admits_callers
async def review(visit: CurrentVisit, request_id: str) -> Response:
    """Of emergency access; who may says the use case."""
    note = visit.form.text("note")
    return await _answered(
        visit,
        request_id,
        lambda tx, act: emergencies.review(tx, act, request_id.lower(), visit.subject, note),
        "reviewed",
    )


@router.post(f"{PATH}/{{request_id}}/withdraw")
@decides(REQUEST_REVOKE)
async def withdraw(visit: CurrentVisit, request_id: str) -> Response:
    """One's own needs no right, as closing it needs none."""
    return await _answered(
        visit,
        request_id,
        lambda tx, act: live_requests.revoke(
            tx, act, request_id.lower(), None, kills_sessions=False, subject=visit.subject
        ),
        "withdrawn",
    )


def _shortened(visit: Visit) -> timedelta | None:
    text = visit.form.text("time")
    return parse_span(text, "time") if text else None


async def _answered(
    visit: Visit, request_id: str, answer: Callable[[Transaction, Act], object], notice: str
) -> Response:
    check_id(request_id)
    try:
        refusal = await visit.perform(answer)
        if isinstance(refusal, Conflict):
            raise refusal
    except BasculeError as error:
        if isinstance(error, Forbidden):
            await record_denial(visit.request, visit.subject, error)
        return await show_page(visit, request_id, reasons_of(error), status=error.http_status)
    return visit.go(back(visit, request_id), notice)
