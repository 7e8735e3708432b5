"""Open now: every live grant that the visitor may see, by person or by machine; and closing.

The visitor's own come first: as the first group of the list by person, and first at each machine.
What is closed is listed first, on a page of its own: one grant, all of a person, all at a
machine, or all. So much at a time; each request is ended as the API ends it, so that rights
are the API's, and what may not be ended is told beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.denials import record_denial
from bascule.api.entries import decides, shows
from bascule.domain.actions import POLICY_READ, REQUEST_REVOKE
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId, is_guid
from bascule.domain.lifecycle import RequestState
from bascule.domain.request import AccessRequest
from bascule.domain.times import parse_instant
from bascule.errors import BasculeError, Forbidden, InvalidInput, Problem
from bascule.interfaces.openings import OpenFilter, OpenOrder, OpenPlace
from bascule.interfaces.store import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.paging import Sheet, Turn, address_of, turn_of, turn_to
from bascule.portal.problems import reasons_of
from bascule.sentences import sentence
from bascule.services import live_requests
from bascule.services.request_rights import sight_of
from bascule.services.views import shown_state

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/open"
PAGE = 50  # grants
MOST_AT_ONCE = 100  # grants that one act closes
LOOKED_AT_ONCE, MOST_LOOKED_AT = 400, 2000  # grants, to find those
LONGEST_TEXT = 200
REFUSED_FOR, MOST_REFUSED = timedelta(days=7), 10  # requests that the page lists
MOST_WAITING = 20
MOST_SCHEDULED = 200  # that are looked at, to list the next ones


@dataclass(frozen=True, slots=True)
class GrantRow:
    grant: Grant
    state: str  # of ``grant.*``
    why: str
    is_told: bool  # may its request be read, beyond this grant?
    may_close: bool
    is_mine: bool = False  # it may be extended


@dataclass(frozen=True, slots=True)
class Group:
    """The grants of one person, or at one machine, that stand on this page."""

    id: str  # the requestor's, or the machine's uid
    name: str
    count: int  # on all pages
    rows: tuple[GrantRow, ...]


@dataclass(frozen=True, slots=True)
class Page:
    groups: tuple[Group, ...]
    total: int
    sheet: Sheet[tuple[OpenPlace, Grant]]


@router.get(PATH)
@shows(POLICY_READ)
async def show_open(visit: CurrentVisit) -> Response:
    query = visit.request.query_params
    wanted, turn = await _filter(visit, query), turn_of(query, _place)
    kept = [(key, query[key]) for key in ("by", "q", "person", "machine") if query.get(key)]
    page = await visit.read(lambda reader: _page(reader, visit, wanted, turn, dict(kept)))
    over = replace(wanted, is_believed_over=True)
    ended = await visit.read(
        lambda reader: _rows(
            reader, visit, [grant for _, grant in reader.open_grants(over, None, PAGE)]
        )
    )
    refused = await visit.read(lambda reader: _refused(reader, visit))
    waiting = await visit.read(lambda reader: _waiting(reader, visit))
    scheduled = await visit.read(lambda reader: scheduled_seen(reader, visit))
    sized = turn.first.said
    return visit.show(
        "open.html",
        page=page,
        ended=ended,
        refused=refused,
        waiting=waiting,
        scheduled=scheduled[:MOST_WAITING],
        wanted=wanted,
        by=wanted.order.value,
        size=turn.size,
        urls={
            order.value: address_of(PATH, {**dict(kept), "by": order.value, **sized})
            for order in OpenOrder
        },
        cleared=address_of(PATH, {"by": wanted.order.value, **sized}),
        is_filtered=bool(wanted.text or wanted.requestor_id or wanted.machine_uid),
        closes_all=f"{PATH}/close?{urlencode([('all', '1'), *kept])}",
    )


def _refused(reader: Reader, visit: Visit) -> Sequence[AccessRequest]:
    since = visit.now - REFUSED_FOR
    return _newest(reader, visit, RequestState.REFUSED, since, MOST_REFUSED)


def _waiting(reader: Reader, visit: Visit) -> Sequence[AccessRequest]:
    return _newest(reader, visit, RequestState.WAITING, None, MOST_WAITING)


def scheduled_seen(reader: Reader, visit: Visit) -> Sequence[AccessRequest]:
    """Those that the visitor may see, by their start."""
    found = _newest(reader, visit, RequestState.SCHEDULED, None, MOST_SCHEDULED)
    return sorted(found, key=lambda each: (each.starts_at or each.started_at, each.id))


def _newest(
    reader: Reader, visit: Visit, state: RequestState, since: datetime | None, most: int
) -> Sequence[AccessRequest]:
    """The newest that the visitor may see: their own, and among the newest of all, others'."""
    sight, only = sight_of(visit.rights, visit.subject.principal_id), (state,)
    mine = reader.requests(
        requestor_id=visit.subject.principal_id, states=only, since=since, limit=most
    )
    newest = reader.requests(states=only, since=since, limit=LOOKED_AT_ONCE)
    seen = {each.id: each for each in (*mine, *newest) if sight.sees_request(each)}
    found = sorted(seen.values(), key=lambda each: (each.started_at, each.id), reverse=True)
    return found[:most]


@router.get(f"{PATH}/close")
@decides(REQUEST_REVOKE)
async def show_closing(visit: CurrentVisit) -> Response:
    """What would be closed, before it is."""
    return await _closing(visit)


@router.post(f"{PATH}/close")
@decides(REQUEST_REVOKE)
async def close(visit: CurrentVisit) -> Response:
    """End the grants that the form lists, request by request."""
    named = list(dict.fromkeys(visit.form.texts("grant")))[: MOST_AT_ONCE + 1]
    if not named or len(named) > MOST_AT_ONCE:
        raise InvalidInput(
            sentence("Select 1 to {most} grants to close.", most=MOST_AT_ONCE),
            advice="Reload the page.",
        )
    by_request: dict[str, list[str]] = {}
    for each in named:
        request_id, _, grant_id = each.partition(":")
        by_request.setdefault(request_id.lower(), []).append(grant_id)
    refused: list[Problem] = []
    for request_id, grant_ids in by_request.items():
        refused += await _end(visit, request_id, grant_ids)
    if refused:
        return await _closing(visit, tuple(dict.fromkeys(refused)), status=403)
    by = OpenOrder.MACHINE if visit.form.text("by") == OpenOrder.MACHINE else OpenOrder.PERSON
    return visit.go(f"{PATH}?by={by}", "open_closed")


async def _end(visit: Visit, request_id: str, grant_ids: Sequence[str]) -> Sequence[Problem]:
    """End these of one request; what is over already is as wanted. Returns what was refused."""
    kills = visit.form.has("kill")
    try:
        await visit.perform(
            lambda tx, act: live_requests.revoke(
                tx, act, request_id, grant_ids, kills_sessions=kills, subject=visit.subject
            )
        )
    except Forbidden as error:
        await record_denial(visit.request, visit.subject, error)
        return reasons_of(error)
    except BasculeError as error:
        return () if error.specific_code == "GrantNotLive" else reasons_of(error)
    return ()


async def _closing(visit: Visit, refused: Sequence[Problem] = (), status: int = 200) -> Response:
    given = _given(visit)
    wanted = await _filter(visit, given)

    def read(reader: Reader) -> list[GrantRow]:
        if given["one"]:
            return _rows(reader, visit, _one(reader, visit, given["one"]))
        return _candidates(reader, visit, wanted)

    rows = await visit.read(read)
    closable = [each for each in rows if each.may_close]
    return visit.show(
        "open_close.html",
        status,
        rows=closable[:MOST_AT_ONCE],
        kept=sum(not each.may_close for each in rows),
        is_more=len(closable) > MOST_AT_ONCE,
        refused=refused,
        given=given,
        by=wanted.order.value,
        back=address_of(PATH, {"by": wanted.order.value}),
    )


def _candidates(reader: Reader, visit: Visit, wanted: OpenFilter) -> list[GrantRow]:
    """What is live of it, until more than one act's worth may be closed; not without bound."""
    rows: list[GrantRow] = []
    after: OpenPlace | None = None
    for _ in range(0, MOST_LOOKED_AT, LOOKED_AT_ONCE):
        found = reader.open_grants(wanted, after, LOOKED_AT_ONCE)
        rows += _rows(reader, visit, [grant for _, grant in found if grant.is_live])
        if len(found) < LOOKED_AT_ONCE or sum(row.may_close for row in rows) > MOST_AT_ONCE:
            break
        after = found[-1][0]
    return rows


def _given(visit: Visit) -> Mapping[str, str]:
    """What is to be closed: of the link, or of the form that it led to."""
    names = ("by", "q", "person", "machine", "one", "all")
    if visit.request.method == "POST":
        return {name: visit.form.text(name) for name in names}
    return {name: visit.request.query_params.get(name, "") for name in names}


def _one(reader: Reader, visit: Visit, named: str) -> list[Grant]:
    request_id, _, grant_id = named.partition(":")
    sight = sight_of(visit.rights, visit.subject.principal_id)
    return [
        each
        for each in reader.grants_of([request_id.lower()])
        if each.id == grant_id
        and each.is_live
        and (each.requestor_id == visit.subject.principal_id or sight.sees(each.machine_id))
    ]


async def _filter(visit: Visit, query: Mapping[str, str]) -> OpenFilter:
    person, machine = query.get("person", ""), query.get("machine", "")
    return OpenFilter(
        within=visit.within(POLICY_READ),
        own_id=visit.subject.principal_id,
        requestor_id=person.lower() if is_guid(person) else "",
        machine_uid=await _uid(visit, machine) if machine else "",
        text=query.get("q", "").strip()[:LONGEST_TEXT],
        now=visit.now,
        order=OpenOrder.MACHINE if query.get("by") == OpenOrder.MACHINE else OpenOrder.PERSON,
    )


async def _uid(visit: Visit, text: str) -> str:
    """A machine by its uid or its id; one that is not there has nothing open."""
    if is_guid(text):
        return text.lower()
    named = ResourceId.parse_machine(text, "machine")
    machine = await visit.read_few(lambda reader: reader.machine(named))
    return machine.uid if machine is not None else "none"


def _page(
    reader: Reader,
    visit: Visit,
    wanted: OpenFilter,
    turn: Turn[OpenPlace],
    kept: Mapping[str, str],
) -> Page:
    counts = reader.open_counts(wanted)
    mine = _mine(reader, visit, wanted, counts)
    others = replace(wanted, apart_from_id=visit.subject.principal_id) if mine else wanted

    def fetch(
        is_backward: bool, after: OpenPlace | None, limit: int
    ) -> Sequence[tuple[OpenPlace, Grant]]:
        return reader.open_grants(replace(others, is_descending=is_backward), after, limit)

    def address(turn: Turn[OpenPlace]) -> str:
        return address_of(PATH, {**kept, **turn.said})

    total = sum(counts.values())
    sheet = turn_to(fetch, lambda each: each[0], turn, total, PAGE, address)
    rows = _rows(reader, visit, [grant for _, grant in sheet.rows])
    if wanted.order is OpenOrder.PERSON:
        groups = _by_person([*(() if sheet.first else mine), *rows], counts)
    else:
        groups = _by_machine(rows, counts)
    return Page(groups, total, sheet)


def _mine(
    reader: Reader, visit: Visit, wanted: OpenFilter, counts: Mapping[str, int]
) -> tuple[GrantRow, ...]:
    """The visitor's own, which head the list by person where they fit on a page among others'."""
    me = visit.subject.principal_id
    is_among_others = wanted.order is OpenOrder.PERSON and not wanted.requestor_id
    if not is_among_others or not 0 < counts.get(me, 0) <= PAGE:
        return ()
    found = reader.open_grants(replace(wanted, requestor_id=me), None, PAGE)
    return tuple(_rows(reader, visit, [grant for _, grant in found]))


def _by_person(rows: Sequence[GrantRow], counts: Mapping[str, int]) -> tuple[Group, ...]:
    return tuple(
        Group(of, name, counts.get(of, 0), tuple(same))
        for (of, name), same in groupby(
            rows, lambda row: (row.grant.requestor_id, row.grant.requestor)
        )
    )


def _by_machine(rows: Sequence[GrantRow], counts: Mapping[str, int]) -> tuple[Group, ...]:
    return tuple(
        Group(of, name, counts.get(of, 0), tuple(sorted(same, key=lambda row: not row.is_mine)))
        for (of, name), same in groupby(
            rows, lambda row: (row.grant.machine_uid, row.grant.machine_id.name)
        )
    )


def _rows(reader: Reader, visit: Visit, grants: Sequence[Grant]) -> list[GrantRow]:
    """Each with its request's reason, and whether the visitor may end it (EDGES B1)."""
    sight = sight_of(visit.rights, visit.subject.principal_id)
    may_revoke = visit.rights.reach(REQUEST_REVOKE)
    points = reader.points_of(sorted({grant.machine_uid for grant in grants}))
    known = reader.requests_of(sorted({grant.request_id for grant in grants}))

    def row(grant: Grant) -> GrantRow:
        request, point = known.get(grant.request_id), points.get(grant.machine_uid)
        is_own = grant.requestor_id == visit.subject.principal_id
        is_told = request is not None and sight.sees_request(request)
        may_close = grant.is_live and (
            is_own
            or (
                request is not None
                and all(may_revoke.covers(each.machine_id.key) for each in request.machines)
            )
        )
        state = shown_state(grant, point, visit.now)
        why = (request.justification or "") if request is not None else ""
        return GrantRow(grant, state, why, is_told, may_close, is_own and grant.is_live)

    return [row(each) for each in grants]


def _place(written: Sequence[object]) -> OpenPlace | None:
    """None for what no page of ours gave out."""
    if len(written) != 4:
        return None
    name, of, ends_at, sequence = written
    if not isinstance(sequence, int) or not 0 <= sequence < 2**63:
        return None
    try:
        return OpenPlace(str(name), str(of), parse_instant(str(ends_at)), sequence)
    except InvalidInput:
        return None
