"""My access: one's own requests and what one did oneself, for everybody who is signed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.api.paging import MOST_SEARCHED
from bascule.domain.lifecycle import RequestState
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import InvalidInput
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader
from bascule.portal.activity_rows import Shown, shown_rows
from bascule.portal.guard import CurrentVisit, PortalRoute
from bascule.services.own_history import own_events
from bascule.services.views import RequestView, view_requests

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/account/history"
PAGE = 50


@router.get(PATH)
@admits_callers
async def own_history(visit: CurrentVisit) -> Response:
    query, now, me = visit.request.query_params, visit.now, visit.subject.principal_id
    before, after = _before(query), _after(query)

    def read(
        reader: Reader,
    ) -> tuple[Sequence[RequestView], bool, Sequence[Shown], int]:
        found = reader.requests(
            requestor_id=me, states=frozenset(RequestState), after=before, limit=PAGE + 1
        )
        rows, beyond = own_events(reader, me, EventFilter(), after, PAGE + 1, MOST_SEARCHED)
        further = rows[PAGE - 1].sequence if len(rows) > PAGE else beyond
        return (
            view_requests(reader, found[:PAGE], now),
            len(found) > PAGE,
            shown_rows(visit.words, rows[:PAGE]),
            further,
        )

    views, has_more, rows, further = await visit.read(read)
    last = views[-1].request if has_more else None
    return visit.show(
        "own_history.html",
        views=views,
        rows=rows,
        older_requests=_at(before=f"{format_utc(last.started_at)} {last.id}") if last else "",
        older_events=_at(after=str(further)) if further else "",
        is_first=before is None and not after,
        path=PATH,
    )


def _at(**said: str) -> str:
    return f"{PATH}?{urlencode(said)}"


def _before(query: Mapping[str, str]) -> tuple[datetime, str] | None:
    """The place in the list of requests; what cannot be read counts as not said."""
    at, _, request_id = query.get("before", "").partition(" ")
    try:
        return (parse_instant(at), request_id) if at else None
    except InvalidInput:
        return None


def _after(query: Mapping[str, str]) -> int:
    text = query.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
