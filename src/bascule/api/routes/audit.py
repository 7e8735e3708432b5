"""Bascule.Audit/events: the record, newest first.

By caller or correlation a page ends after MOST_SEARCHED events whatever it found; it may
then be short, or empty, and have a ``nextLink``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, requires
from bascule.api.envelope import CompactJson
from bascule.api.filters import Clause, parse_filter
from bascule.api.paging import MOST_SEARCHED, WantedPage, next_link, page_json
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.audit import event_json
from bascule.domain.actions import EVENT_READ
from bascule.domain.times import parse_instant
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader
from bascule.services.activity import LogRow, rows_of
from bascule.services.own_history import own_events

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

_OFFERED = (
    ("resourceId", "eq"),
    ("kind", "eq"),
    ("at", "ge"),
    ("at", "lt"),
    ("principalId", "eq"),
    ("caller", "eq"),
    ("correlationId", "eq"),
)
_OFFERED_OF_OWN = tuple(each for each in _OFFERED if each[0] not in ("principalId", "caller"))


@router.get(f"{SUBSCRIPTION}/providers/Bascule.Audit/events")
@requires(EVENT_READ)
async def list_events(
    call: CurrentCall,
    wanted: WantedPage,
    filter_text: Annotated[str, Query(alias="$filter", max_length=2000)] = "",
) -> Response:
    asked = EventFilter()
    for clause in parse_filter(filter_text, _OFFERED):
        asked = _narrow(asked, clause)
    after = wanted.number_after()

    def read(reader: Reader) -> tuple[Sequence[LogRow], int]:
        found, beyond = reader.events_page(asked, after, wanted.limit, MOST_SEARCHED)
        return rows_of(reader, found), beyond

    found, beyond = await call.read(read)
    page = page_json(call, wanted, found, event_json, lambda row: (row.sequence,))
    if beyond and len(found) <= wanted.top:
        page["nextLink"] = next_link(call, (beyond,))
    return CompactJson(page)


@router.get(f"{SUBSCRIPTION}/providers/Bascule.Audit/ownEvents")
@admits_callers
async def list_own_events(
    call: CurrentCall,
    wanted: WantedPage,
    filter_text: Annotated[str, Query(alias="$filter", max_length=2000)] = "",
) -> Response:
    """What the caller did, newest first; no right is needed for it."""
    asked = EventFilter()
    for clause in parse_filter(filter_text, _OFFERED_OF_OWN):
        asked = _narrow(asked, clause)
    after, me = wanted.number_after(), call.subject.principal_id
    found, beyond = await call.read(
        lambda reader: own_events(reader, me, asked, after, wanted.limit, MOST_SEARCHED)
    )
    page = page_json(call, wanted, found, event_json, lambda row: (row.sequence,))
    if beyond and len(found) <= wanted.top:
        page["nextLink"] = next_link(call, (beyond,))
    return CompactJson(page)


def _narrow(asked: EventFilter, clause: Clause) -> EventFilter:
    if clause.field == "resourceId":
        return replace(asked, resource_id=clause.value.casefold().rstrip("/"))
    if clause.field == "kind":
        return replace(asked, kinds=(clause.value,))
    if clause.field == "principalId":
        return replace(asked, principal_id=clause.value)
    if clause.field == "caller":
        return replace(asked, caller=clause.value)
    if clause.field == "correlationId":
        return replace(asked, correlation_id=clause.value)
    instant = parse_instant(clause.value, "$filter")
    if clause.operator == "ge":
        return replace(asked, since=instant)
    return replace(asked, until=instant)
