"""Approvals: requests that wait for the visitor, their own that wait or waited, and what they decided.

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
from bascule.portal.spans import words_of
from bascule.services.approvers import approver_of
from bascule.words import msgid

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/approvals"
PAGE = 50
LOOKED_AT_ONCE, MOST_LOOKED_AT = 200, 1000  # of one's own requests, to find those that waited
TABS = (
    ("waiting", msgid("Waiting for me")),
    ("mine", msgid("Mine")),
    ("decided", msgid("Decided by me")),
)
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
    tab = given if given in [name for name, _ in TABS] else "waiting"
    after = _place(query.get("after", ""))
    rows, is_more = await visit.read(lambda reader: _rows(reader, visit, tab, after))
    last = rows[-1].request if rows and is_more else None
    more = "" if last is None else f"{format_utc(last.started_at)} {last.id}"
    t = visit.words
    return visit.show(
        "approvals.html",
        tab=tab,
        rows=rows,
        more=f"{PATH}?{urlencode({'tab': tab, 'after': more})}" if more else "",
        first=f"{PATH}?{urlencode({'tab': tab})}" if after else "",
        tabs_shown=[
            (t(text), f"{PATH}?tab={name}", name == tab, _count(visit, name)) for name, text in TABS
        ],
        longest_of=longest_of,
        words_of=words_of,
    )


def _count(visit: Visit, name: str) -> str | None:
    return visit.waiting_words if name == "waiting" else None


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
