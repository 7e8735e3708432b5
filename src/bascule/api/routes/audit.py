"""Bascule.Audit/events: the record, newest first."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from bascule.api.auth import CurrentCall, GuardedRoute, admits
from bascule.api.envelope import CompactJson
from bascule.api.filters import Clause, parse_filter
from bascule.api.paging import WantedPage, page_json
from bascule.api.paths import ARM, SUBSCRIPTION
from bascule.api.wire.audit import event_json
from bascule.domain.access import PrincipalKind
from bascule.domain.times import parse_instant
from bascule.interfaces import EventFilter

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson, dependencies=[ARM])

_OFFERED = (
    ("resourceId", "eq"),
    ("kind", "eq"),
    ("at", "ge"),
    ("at", "lt"),
    ("principalId", "eq"),
)


@router.get(f"{SUBSCRIPTION}/providers/Bascule.Audit/events")
@admits(PrincipalKind.SERVICE)
async def list_events(
    call: CurrentCall,
    wanted: WantedPage,
    filter_text: Annotated[str, Query(alias="$filter", max_length=2000)] = "",
) -> Response:
    asked = EventFilter()
    for clause in parse_filter(filter_text, _OFFERED):
        asked = _narrow(asked, clause)
    after = wanted.number_after()
    found = await call.look(lambda reader: reader.events(asked, after, wanted.limit))
    return CompactJson(
        page_json(call, wanted, found, lambda each: event_json(*each), lambda each: (each[0],))
    )


def _narrow(asked: EventFilter, clause: Clause) -> EventFilter:
    if clause.field == "resourceId":
        return replace(asked, resource_id=clause.value.casefold().rstrip("/"))
    if clause.field == "kind":
        return replace(asked, kinds=(clause.value,))
    if clause.field == "principalId":
        return replace(asked, principal_id=clause.value)
    instant = parse_instant(clause.value, "$filter")
    if clause.operator == "ge":
        return replace(asked, since=instant)
    return replace(asked, until=instant)
