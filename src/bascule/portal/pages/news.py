"""News of the visitor's own access, for the notifications that a browser shows (``static/news.js``).

What waits for their approval, what became of their requests that waited, and what of their access ends
soon, by the rule of ``Grant.warned_at``. Each piece has a key: a browser shows it once. It is the
visitor's own affair, so that it takes no right. Sentences are plain text, and say neither
a justification nor a reason: a notification may show on a locked screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from bascule.api.entries import admits_callers
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState, RequestState
from bascule.domain.pending import Pending
from bascule.domain.plain import clean
from bascule.domain.request import AccessRequest
from bascule.domain.times import format_utc
from bascule.interfaces.store import Reader
from bascule.portal import look
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.services.approvers import approver_of
from bascule.words import Words, msgid

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/news"
MOST = 50  # of each kind
TOLD_FOR = timedelta(
    days=1
)  # what became of a request; a browser that comes later tells it no more
TIME = "{time}"  # in a text: the browser puts the piece's ``time`` there, in its own zone
# What became of a request that waited: the title, and the text below it.
BECAME = {
    RequestState.SCHEDULED: (msgid("Access to {what} is approved"), msgid("It opens at {time}.")),
    RequestState.OPEN: (msgid("Access to {what} is open"), msgid("It is open until {time}.")),
    RequestState.FAILED: (msgid("Access to {what} did not open"), msgid("Its page says why.")),
    RequestState.DENIED: (msgid("Access to {what} was denied"), msgid("Its page says why.")),
    RequestState.LAPSED: (
        msgid("The request for {what} has lapsed"),
        msgid("Nothing was opened."),
    ),
}


@router.get(PATH)
@admits_callers
async def show_news(visit: CurrentVisit) -> Response:
    return JSONResponse(await visit.read(lambda reader: _news(reader, visit)), headers=look.HEADERS)


def _news(reader: Reader, visit: Visit) -> Mapping[str, Any]:
    me = visit.subject.principal_id
    open_now = [
        each
        for each in reader.live_grants_of([me])
        if each.state is GrantState.OPEN and each.ends_at > visit.now
    ]
    ends = list(_ends(visit.words, open_now))
    return {
        "me": me,
        "news": [*_asked(reader, visit), *_became(reader, visit, open_now), *ends],
        "ends": [{"name": each["name"], "at": each["time"]} for each in ends],
    }


def _piece(
    key: str, title: str, text: str, request_id: str, **more: str | None
) -> dict[str, str | None]:
    """``more``: ``time`` for the text, ``at`` from when it is to be shown, ``until``, ``name``."""
    path = f"/portal/requests/{request_id}"
    return {"key": key, "title": clean(title), "text": clean(text), "path": path, **more}


def _asked(reader: Reader, visit: Visit) -> Iterator[Mapping[str, str | None]]:
    approver = approver_of(reader, visit.subject.principal_id, visit.now)
    found = reader.requests(
        waiting_for=(approver, visit.now), states=(RequestState.WAITING,), limit=MOST
    )
    for each in found:
        yield _piece(
            f"asked {each.id}",
            visit.words("{who} asks for your approval", who=each.requestor),
            visit.words("Access to {what}", what=_asked_for(each)),
            each.id,
        )


def _became(
    reader: Reader, visit: Visit, open_now: Sequence[Grant]
) -> Iterator[Mapping[str, str | None]]:
    found = reader.requests(
        requestor_id=visit.subject.principal_id, states=tuple(BECAME), limit=MOST
    )
    waited = [each for each in found if each.has_waited]
    pendings = reader.pendings_of([each.id for each in waited])
    for each in waited:
        if visit.now - _decided_at(each, pendings.get(each.id), visit.now) > TOLD_FOR:
            continue
        title, text = BECAME[each.state]
        what, time = _asked_for(each), each.starts_at
        if each.state is RequestState.OPEN:
            time = max((g.ends_at for g in open_now if g.request_id == each.id), default=None)
            if time is None:
                continue
        yield _piece(
            f"became {each.id} {each.state}",
            visit.words(title, what=what),
            visit.words(text, time=TIME) if TIME in text else visit.words(text),
            each.id,
            time=None if time is None else format_utc(time),
        )


def _decided_at(request: AccessRequest, pending: Pending | None, now: datetime) -> datetime:
    """The last moment at which anything became of it."""
    known = [request.started_at, request.starts_at, pending.decided_at if pending else None]
    return max(each for each in known if each is not None and each <= now)


def _ends(words: Words, open_now: Sequence[Grant]) -> Iterator[Mapping[str, str | None]]:
    """One piece for all that a request has open until the same moment."""

    def same(grant: Grant) -> tuple[datetime, str]:
        return grant.ends_at, grant.request_id

    for (ends_at, request_id), grants in groupby(sorted(open_now, key=same), same):
        ending = sorted(grants, key=lambda each: (each.machine_id.name, each.number))
        name = named([f"{each.machine_id.name}:{each.number}" for each in ending])
        text = msgid("It can be extended on its page.")
        if ending[0].is_emergency:
            text = msgid("Emergency access is not extended.")
        yield _piece(
            f"ends {request_id} {format_utc(ends_at)}",
            words("Access to {what} ends at {time}", what=name, time=TIME),
            words(text),
            request_id,
            name=name,
            time=format_utc(ends_at),
            at=format_utc(min(each.warned_at for each in ending)),
            until=format_utc(ends_at),
        )


def _asked_for(request: AccessRequest) -> str:
    return named(
        [
            f"{each.machine_id.name}:{port.number}"
            for each in request.machines
            for port in each.ports
        ],
    )


def named(ports: Sequence[str]) -> str:
    """The first of them, and how many more there are: ``db-1:22 + 2``."""
    ports = list(dict.fromkeys(ports))
    if len(ports) < 2:
        return "".join(ports)
    return f"{ports[0]} + {len(ports) - 1}"
