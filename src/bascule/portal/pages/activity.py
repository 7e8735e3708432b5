"""The activity log: found, counted, shown, downloaded; and one event with its proof."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import HTMLResponse, Response, StreamingResponse

from bascule.api.activity_filter import STATUSES, displays
from bascule.api.entries import shows
from bascule.api.wire.activity import Log, entries_of
from bascule.domain.actions import ACTIVITY_READ, CHECKPOINT_READ
from bascule.domain.facts.fact import fact_data, fact_name
from bascule.domain.facts.kinds import kind_of
from bascule.domain.plain import clean
from bascule.domain.scopes import subscription_scope
from bascule.errors import AuthenticationFailed, InvalidInput, NotFound
from bascule.interfaces.activity import ActivityFilter, Counts
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader
from bascule.portal import problems
from bascule.portal.activity_chart import chart_of
from bascule.portal.activity_query import SPANS, ActivityQuery, read_query
from bascule.portal.activity_rows import by_request, shown_row, shown_rows
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.look import HEADERS
from bascule.services import sessions
from bascule.services.activity import (
    About,
    Chain,
    LogRow,
    Page,
    WrittenFilter,
    all_pages,
    chain_of,
    counts_of,
    may_see,
    page_of,
    resolve,
    rows_of,
)
from bascule.services.rights import rights_of
from bascule.spreadsheet import Told, csv_event, csv_head, detail, without_ids

router = APIRouter(route_class=PortalRoute)

PAGE = 50
_MOMENT = timedelta(microseconds=1)
MOST_NEWS = 100  # new events that are counted; there may be more
Sequence64 = Annotated[int, Path(gt=0, lt=2**62)]
Seen = Annotated[int, Query(ge=0, lt=2**62)]


@dataclass(frozen=True, slots=True)
class _LogPage:
    page: Page
    counts: Counts
    chain: Chain
    newest: int  # the last number on record, whoever may see it


@router.get("/portal/activity")
@shows(ACTIVITY_READ)
async def activity_log(visit: CurrentVisit) -> Response:
    query = read_query(visit.request.query_params)
    try:
        asked, after = query.asked(visit.now), query.place()
        seen = await visit.read(lambda reader: _log_page(reader, visit, query, asked))
    except InvalidInput as error:
        return visit.show("activity.html", 400, **_form(visit, query), error=error, seen=None)
    shown = shown_rows(visit.words, seen.page.rows)
    chart = chart_of(seen.counts, asked, visit.now, is_by_hour=asked.is_by_hour(visit.now))
    return visit.show(
        "activity.html",
        **_form(visit, query),
        error=None,
        seen=seen,
        rows=by_request(shown) if query.is_by_request else shown,
        chart=chart,
        is_later_page=after is not None,
        next_page=query.beyond(seen.page.goes_on) if seen.page.goes_on else "",
        news_url=_with_seen(query.first("/portal/activity/news"), seen.newest),
        csv_url=query.first("/portal/activity/csv"),
        sees_nothing=not visit.rights.may_anywhere(ACTIVITY_READ),
        shows_chain=visit.may(CHECKPOINT_READ, subscription_scope(visit.subscription_id)),
    )


def _log_page(reader: Reader, visit: Visit, query: ActivityQuery, asked: WrittenFilter) -> _LogPage:
    wanted = _wanted(reader, visit, asked)
    newest = reader.events(EventFilter(), limit=1)
    return _LogPage(
        page_of(reader, wanted, query.place(), PAGE),
        counts_of(reader, wanted, is_by_hour=asked.is_by_hour(visit.now)),
        chain_of(reader, visit.state.services.verified.newest),
        newest[0][0] if newest else 0,
    )


def _wanted(reader: Reader, visit: Visit, asked: WrittenFilter) -> ActivityFilter:
    return resolve(reader, visit.subscription_id, asked, visit.within(ACTIVITY_READ))


def _form(visit: Visit, query: ActivityQuery) -> dict[str, object]:
    words = visit.words
    operations = [(each, words.pgettext("operation", each)) for each in displays()]
    return {
        "query": query,
        "spans": SPANS,
        "statuses": STATUSES,
        "operations": sorted(operations, key=lambda each: each[1].casefold()),
        "problems_of": problems.reasons_of,
    }


def _with_seen(path: str, newest: int) -> str:
    return f"{path}{'&' if '?' in path else '?'}seen={newest}"


@router.get("/portal/activity/news")
@shows(ACTIVITY_READ)
async def activity_news(visit: CurrentVisit, seen: Seen) -> Response:
    """How many events came since, as the words of the link that shows them; empty: none."""
    query = read_query(visit.request.query_params)
    asked = query.asked(visit.now)
    number = await visit.read(
        lambda reader: reader.activity_since(_wanted(reader, visit, asked), seen, MOST_NEWS + 1)
    )
    words = visit.words
    if number > MOST_NEWS:
        text = words("More than {n} new events, show", n=words.number(MOST_NEWS))
    else:
        text = (
            words.ngettext("{n} new event, show", "{n} new events, show", number) if number else ""
        )
    return HTMLResponse(text, headers=HEADERS)


@router.get("/portal/activity/csv")
@shows(ACTIVITY_READ)
async def activity_csv(visit: CurrentVisit) -> Response:
    """Exactly the rows that the page's filters keep, all pages of them."""
    asked = read_query(visit.request.query_params).asked(visit.now)
    # What comes while it is written is not part of it.
    asked = asked if asked.until is not None else replace(asked, until=visit.now + _MOMENT)
    wanted = await visit.read(lambda reader: _wanted(reader, visit, asked))
    name = f"activity-{visit.now:%Y%m%dT%H%M%SZ}.csv"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(
        _csv_lines(visit, wanted), headers=headers, media_type="text/csv; charset=utf-8"
    )


async def _csv_lines(visit: Visit, wanted: ActivityFilter) -> AsyncIterator[str]:
    yield csv_head()
    async for rows in all_pages(visit.state.services, wanted):
        if not await visit.read_few(lambda reader: _may_go_on(reader, visit, wanted)):
            raise AuthenticationFailed("Your session or your right to see this has ended.")
        yield "".join(_csv_line(row) for row in rows)


def _csv_line(row: LogRow) -> str:
    place, about, operation = row.place, row.about or About(), kind_of(row.event.fact)
    told = Told(
        operation.display,
        operation.outcome.status,
        about.machines,
        about.ports,
        about.sources,
        row.gateways,
    )
    return csv_event(
        row.event.record(), place.position if place else 0, place.hash if place else "", told
    )


def _may_go_on(reader: Reader, visit: Visit, wanted: ActivityFilter) -> bool:
    """Do the session and the rights still hold with which it began?"""
    if sessions.visitor_of(reader, visit.session_text, visit.now) is None:
        return False
    rights = rights_of(reader, visit.subject.principal_id, visit.now)
    return replace(visit, rights=rights).within(ACTIVITY_READ) == wanted.within


@router.get("/portal/activity/events/{sequence}")
@shows(ACTIVITY_READ)
async def activity_event(visit: CurrentVisit, sequence: Sequence64) -> Response:
    """One event: what it says, Azure's JSON, and its place in the chain."""
    found = await visit.read(lambda reader: (_row(reader, visit, sequence), _chain(reader, visit)))
    row, chain = found
    if row is None:
        raise NotFound("This event does not exist, or you may not see it.")
    log = Log(visit.state.installation.tenant_id, visit.subscription_id)
    data, kind = fact_data(row.event.fact), fact_name(row.event.fact)
    return visit.show(
        "activity_event.html",
        row=shown_row(visit.words, row),
        event=row.event,
        kind=kind,
        justification=clean(data.get("justification", "")),
        details=detail(
            kind,
            without_ids({k: v for k, v in data.items() if k != "justification"}),
            gateways=row.gateways,
        ),
        actor_id=row.event.actor.principal_id,
        client=clean(row.event.actor.client),
        entries=json.dumps(list(entries_of(row.event, log)), indent=2),
        proof=_proof(row, chain),
        chain=chain,
    )


def _chain(reader: Reader, visit: Visit) -> Chain:
    return chain_of(reader, visit.state.services.verified.newest)


def _row(reader: Reader, visit: Visit, sequence: int) -> LogRow | None:
    """None when there is none of that number that this person may read."""
    within = visit.within(ACTIVITY_READ)
    for number, event in reader.events(EventFilter(), sequence + 1, 1):
        if number == sequence and may_see(within, event):
            return rows_of(reader, [(number, event)])[0]
    return None


def _proof(row: LogRow, chain: Chain) -> str:
    """The word for what is known of its place: unsealed, is_verified, is_later or is_broken."""
    if row.place is None:
        return "unsealed"
    verdict = chain.verdict
    if verdict is None:
        return "unread"
    if row.place.position <= verdict.head.position:
        return "is_verified"
    return "is_later" if verdict.is_intact else "is_broken"
