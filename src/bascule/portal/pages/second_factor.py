"""Showing the second factor again, where its age matters, and going on where one was (EDGES J4, J10)."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.api.oauth.browser import safe_next
from bascule.errors import BasculeError
from bascule.portal import problems
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.proving import proof_content, read_proof, sign_in_visit
from bascule.services import own_sign_in
from bascule.services.factor_renewal import FACTORS, prove_factor, renew

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/account/second-factor"
JUST_SHOWN = timedelta(minutes=1)  # who has just signed in with it is not asked twice


def renewal_path(leads_to: str) -> str:
    return f"{PATH}?{urlencode({'next': leads_to})}"


@router.get(PATH)
@admits_callers
async def ask_factor(visit: CurrentVisit) -> Response:
    leads_to = safe_next(visit.request.query_params.get("next", ""))
    age = visit.subject.factor_age(visit.now)
    if age is not None and age < JUST_SHOWN and "next" in visit.request.query_params:
        return visit.go(leads_to)
    return await _form(visit, leads_to)


@router.post(PATH)
@admits_callers
async def show_factor(visit: CurrentVisit) -> Response:
    leads_to = safe_next(visit.form.text("next"))
    try:
        proof = read_proof(visit)
        await prove_factor(visit.state.sign_in, visit.subject, proof, sign_in_visit(visit))
        await visit.perform(lambda tx, act: renew(tx, act, visit.session_text))
    except BasculeError as error:
        return await _form(visit, leads_to, error)
    return visit.go(leads_to, "factor_shown" if leads_to.startswith("/portal") else "")


async def _form(visit: Visit, leads_to: str, error: BasculeError | None = None) -> Response:
    user_id = visit.subject.principal_id
    ways = await visit.read(lambda reader: own_sign_in.ways_in(reader, user_id))
    content = dict(await proof_content(visit, ways))
    content["kinds"] = [each for each in content["kinds"] if each in FACTORS]
    response = visit.show(
        "second_factor.html",
        error.http_status if error else 200,
        **content,
        action=PATH,
        leads_to=leads_to,
        shown_at=visit.subject.factor_at,
        reasons=problems.reasons_of(error) if error else (),
        advice=error.advice if error else "",
    )
    if error is not None and error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response
