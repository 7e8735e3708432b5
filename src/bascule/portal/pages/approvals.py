"""Approvals: requests that wait for the visitor, their own that wait or waited, what they decided, and what
is to open later, as far as they may see it.

All of it is the visitor's own affair, so that it takes no right: who is asked, asked for it, or has
answered may see it. Answers are given on the request's own page (``request_answers``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.domain.ids import is_guid
from bascule.domain.lifecycle import RequestState
from bascule.domain.pending import Pending, longest_of
from bascule.domain.request import AccessRequest
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import InvalidInput
from bascule.interfaces.store import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.open_now import scheduled_seen
from bascule.portal.spans import words_of
from bascule.services.approvers import approver_of
from bascule.services.emergencies import may_review
from bascule.services.request_rights import sight_of

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/approvals"
PAGE = 50
MOST_LISTED = 200  # emergencies
LOOKED_AT_ONCE, MOST_LOOKED_AT = 200, 1000  # of one's own requests, to find those that waited
TABS = ("waiting", "mine", "scheduled", "decided", "emergencies")
Place = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class Row:
    request: AccessRequest
    pending: Pending

    @property
    def step(self) -> tuple[int, int, int, int]:
        """Of the stage that is asked: its number, of how many, yeses given and needed."""
        named = self.pending.named()
        asked = self.pending.asked(named)
        place = len(self.pending.stages) - 1 if asked is None else asked
        given = sum(each.stage == place for each in named)
        needed = self.pending.stages[place].stage.needed
        return place + 1, len(self.pending.stages), given, needed

    @property
    def is_waiting(self) -> bool:
        return self.request.state is RequestState.WAITING


@router.get(PATH)
@admits_callers
async def show_approvals(visit: CurrentVisit) -> Response:
    query = visit.request.query_params
    given = query.get("tab", "")
    tab = given if given in TABS else "waiting"
    if tab == "emergencies":
        return await _show_emergencies(visit)
    if tab == "scheduled":
        found = await visit.read(lambda reader: scheduled_seen(reader, visit))
        return visit.show("scheduled.html", requests=found, tabs_shown=_tabs(visit, tab))
    after = _place(query.get("after", ""))
    rows, is_more = await visit.read(lambda reader: _rows(reader, visit, tab, after))
    last = rows[-1].request if rows and is_more else None
    more = "" if last is None else f"{format_utc(last.started_at)} {last.id}"
    return visit.show(
        "approvals.html",
        tab=tab,
        rows=rows,
        more=f"{PATH}?{urlencode({'tab': tab, 'after': more})}" if more else "",
        first=f"{PATH}?{urlencode({'tab': tab})}" if after else "",
        tabs_shown=_tabs(visit, tab),
        longest_of=longest_of,
        words_of=words_of,
    )


def _count(visit: Visit, name: str) -> str | None:
    return visit.waiting_words if name == "waiting" else None


async def _show_emergencies(visit: Visit) -> Response:
    """Emergency access that nobody has reviewed, as far as the visitor may see it."""
    sight = sight_of(visit.rights, visit.subject.principal_id)

    def may_know(each: AccessRequest) -> bool:
        return sight.sees_request(each) or may_review(visit.rights, visit.subject, each)

    def read(reader: Reader) -> Sequence[AccessRequest]:
        return [each for each in reader.requests(needs_review=True) if may_know(each)]

    found = await visit.read(read)
    return visit.show(
        "emergencies.html",
        found=found[:MOST_LISTED],
        left_out=len(found[MOST_LISTED:]),
        mine={each.id for each in found if may_review(visit.rights, visit.subject, each)},
        tabs_shown=_tabs(visit, "emergencies"),
    )


def _tabs(visit: Visit, tab: str) -> list[tuple[str, str, bool, str | None]]:
    texts = {
        "waiting": visit.words("Waiting for me"),
        "mine": visit.words("Mine"),
        "scheduled": visit.words.pgettext("requests", "Scheduled"),
        "decided": visit.words("Decided by me"),
        "emergencies": visit.words("Emergencies"),
    }
    return [(texts[name], f"{PATH}?tab={name}", name == tab, _count(visit, name)) for name in TABS]


def _rows(
    reader: Reader, visit: Visit, tab: str, after: Place | None
) -> tuple[Sequence[Row], bool]:
    """A page of them, newest first, and whether there are more."""
    me = visit.subject.principal_id
    if tab == "waiting":
        approver = approver_of(reader, me, visit.now)
        found = reader.requests(
            waiting_for=(approver, visit.now),
            states=(RequestState.WAITING,),
            after=after,
            limit=PAGE + 1,
        )
    elif tab == "decided":
        found = reader.requests(
            decided_by=me, states=tuple(RequestState), after=after, limit=PAGE + 1
        )
    else:
        found = _waited(reader, me, after)
    pendings = reader.pendings_of([each.id for each in found[:PAGE]])
    rows = [Row(each, pendings[each.id]) for each in found[:PAGE] if each.id in pendings]
    return rows, len(found) > PAGE


def _waited(reader: Reader, me: str, after: Place | None) -> Sequence[AccessRequest]:
    """One's own that wait or waited: a page of them and one more, not without bound."""
    found: list[AccessRequest] = []
    for _ in range(0, MOST_LOOKED_AT, LOOKED_AT_ONCE):
        some = reader.requests(
            requestor_id=me, states=tuple(RequestState), after=after, limit=LOOKED_AT_ONCE
        )
        found += [each for each in some if each.has_waited]
        if len(some) < LOOKED_AT_ONCE or len(found) > PAGE:
            break
        after = some[-1].started_at, some[-1].id
    return found[: PAGE + 1]


def _place(text: str) -> Place | None:
    """None for what no page of ours gave out."""
    instant, _, request_id = text.partition(" ")
    try:
        return (parse_instant(instant), request_id) if is_guid(request_id) else None
    except InvalidInput:
        return None
