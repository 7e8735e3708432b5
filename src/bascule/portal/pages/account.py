"""My account: who one is, how one signs in, where one is signed in, how pages look.

Every change of a way to sign in asks for a fresh proof, as the API does; ending a session
asks for none. What the changes themselves show is in ``account_ways``.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.portal.guard import CurrentVisit, PortalRoute
from bascule.portal.proving import ways_to_prove
from bascule.portal.user_agent import browser_of
from bascule.services import own_sign_in, sign_ins
from bascule.services.whoami import whoami

router = APIRouter(route_class=PortalRoute)

ACCOUNT = "/portal/account"


@router.get(ACCOUNT)
@admits_callers
async def account(visit: CurrentVisit) -> Response:
    subject, now = visit.subject, visit.now
    me, ways, live = await visit.read(
        lambda reader: (
            whoami(reader, subject, now),
            own_sign_in.ways_in(reader, subject.principal_id),
            sign_ins.own_live(reader, subject, now),
        )
    )
    return visit.show(
        "account.html",
        me=me,
        ways=ways,
        can_prove=bool(ways_to_prove(ways)),
        live=live,
        this_one=visit.visitor.session.id,
        browser_of=browser_of,
    )


@router.post(f"{ACCOUNT}/sessions/end")
@admits_callers
async def end(visit: CurrentVisit) -> Response:
    """End one of the visitor's own; ending this one leads to the sign-in page."""
    wanted = visit.form.text("id")
    await visit.perform(lambda tx, act: sign_ins.end_own(tx, act, visit.subject, wanted))
    return visit.go(ACCOUNT, "session_ended")


@router.post(f"{ACCOUNT}/sessions/end-others")
@admits_callers
async def end_others(visit: CurrentVisit) -> Response:
    kept = visit.visitor.session.id
    await visit.perform(lambda tx, act: sign_ins.end_others(tx, act, visit.subject, kept))
    return visit.go(ACCOUNT, "sessions_ended")
