"""Microsoft.Insights: the activity log, as Azure's clients ask for it (CONTRACT 6.5).

``$filter`` is required and takes the patterns of the specification and those that ``az``
writes beside them (CLIENTS 1.4: instants bare and without a zone, which mean UTC). What a
filter cannot ask of the database is sieved afterwards, and a page ends after MOST_READ
events whatever it found, or MOST_SEARCHED that the database looked through for a caller or
a correlation, so that no filter can hold the server up; it may then be empty and have a
``nextLink``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import shows
from bascule.api.envelope import CompactJson
from bascule.api.filters import Clause, parse_filter
from bascule.api.paging import MOST_SEARCHED, WantedPage, next_link
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.activity import SELECTABLE, Log, entries_of, select
from bascule.domain.actions import ACTIVITY_READ
from bascule.domain.times import parse_instant
from bascule.errors import InvalidInput
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader
from bascule.services.activity import may_see

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

ACTIVITY_LOG = f"{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"
MOST_READ = 1000  # events behind one page
_OFFERED = (
    ("eventTimestamp", "ge"),
    ("eventTimestamp", "le"),
    ("resourceGroupName", "eq"),
    ("resourceUri", "eq"),
    ("resourceId", "eq"),
    ("resourceProvider", "eq"),
    ("correlationId", "eq"),
    ("caller", "eq"),
    ("status", "eq"),
    ("eventChannels", "eq"),
    ("category", "eq"),
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ZONE = re.compile(r"(?:[Zz]|[+-]\d{2}:\d{2})$")
_MICROSECOND = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC) - _MICROSECOND


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the database is asked, and what is sieved after it."""

    events: EventFilter = field(default_factory=EventFilter)
    provider: str = ""
    status: str = ""

    def keeps(self, entry: Mapping[str, Any]) -> bool:
        return _fits(entry["resourceProviderName"], self.provider) and _fits(
            entry["status"], self.status
        )


@router.get(ACTIVITY_LOG)
@shows(ACTIVITY_READ)
async def list_activity(
    call: CurrentCall,
    wanted: WantedPage,
    filter_text: Annotated[str, Query(alias="$filter", max_length=2000)] = "",
    select_text: Annotated[str, Query(alias="$select", max_length=2000)] = "",
) -> Response:
    """Newest first."""
    asked = _read_filter(call.subscription_id, filter_text)
    names = _read_select(select_text)
    log = Log(call.state.installation.tenant_id, call.subscription_id)
    after, within = wanted.number_after(), call.within(ACTIVITY_READ)
    if within is not None and len(within.keys) == 1 and not asked.events.resource_id:
        (only,) = within.keys
        asked = replace(asked, events=replace(asked.events, resource_id=only))
    if within is not None and not within.keys:
        return CompactJson({"value": []})  # there is nothing to be looked for
    # Where much may be left out, a page looks further.
    most = min(wanted.top * 2, MOST_READ) if within is None else MOST_READ

    def read(reader: Reader) -> tuple[list[dict[str, Any]], int]:
        """Entries, and the event after which the next page begins; 0: there is none."""
        entries: list[dict[str, Any]] = []
        found, beyond = reader.events_page(asked.events, after, most + 1, MOST_SEARCHED)
        for sequence, event in found[:most]:
            if not may_see(within, event):
                continue  # what is about no resource is for who may read all
            entries += [each for each in entries_of(event, log) if asked.keeps(each)]
            if len(entries) >= wanted.top:
                return entries, sequence if sequence != found[-1][0] else beyond
        return entries, found[most - 1][0] if len(found) > most else beyond

    entries, goes_on = await call.read(read)
    page: dict[str, Any] = {"value": [select(each, names) for each in entries]}
    if goes_on:
        page["nextLink"] = next_link(call, (goes_on,))
    return CompactJson(page)


def _read_filter(subscription_id: str, text: str) -> _Wanted:
    clauses = parse_filter(text, _OFFERED)
    if not any(each.field == "eventTimestamp" and each.operator == "ge" for each in clauses):
        raise InvalidInput(
            "$filter: is required and must begin with eventTimestamp ge '<instant>'.",
            code="InvalidFilter",
            target="$filter",
            advice="For example: eventTimestamp ge '2030-01-31T00:00:00Z' and "
            "eventTimestamp le '2030-02-01T00:00:00Z'.",
        )
    asked = _Wanted()
    for clause in clauses:
        asked = _narrow(asked, clause, subscription_id)
    return asked


def _narrow(asked: _Wanted, clause: Clause, subscription_id: str) -> _Wanted:
    name, value, events = clause.field, clause.value, asked.events
    if name == "eventTimestamp":
        at = _instant(value)
        if clause.operator == "ge":
            return replace(asked, events=replace(events, since=at))
        return replace(asked, events=replace(events, until=at + _MICROSECOND))
    if name in ("resourceUri", "resourceId"):
        return replace(asked, events=replace(events, resource_id=value.casefold().rstrip("/")))
    if name == "resourceGroupName":
        group = f"/subscriptions/{subscription_id}/resourcegroups/{value}".casefold()
        return replace(asked, events=replace(events, resource_id=group))
    if name == "correlationId":
        return replace(asked, events=replace(events, correlation_id=value))
    if name == "caller":
        return replace(asked, events=replace(events, caller=value))
    if name == "resourceProvider":
        return replace(asked, provider=value)
    if name == "status":
        return replace(asked, status=value)
    return asked  # channels and category: all that is here is administrative


def _instant(text: str) -> datetime:
    """An instant as the SDKs (quoted, UTC) and as az (bare, no zone) write it."""
    if _DAY.fullmatch(text):
        text += "T00:00:00"
    at = parse_instant(text if _ZONE.search(text[10:]) else f"{text}Z", "$filter")
    return min(at, _LAST)  # the day after the last one cannot be told


def _read_select(text: str) -> frozenset[str]:
    spelling = {name.casefold(): name for name in SELECTABLE}
    names = [each.strip() for each in text.split(",") if each.strip()]
    unknown = [each for each in names if each.casefold() not in spelling]
    if unknown:
        raise InvalidInput(
            f"$select: there is no field {unknown[0][:60]!r}. Fields are: {', '.join(SELECTABLE)}.",
            code="InvalidSelect",
            target="$select",
        )
    return frozenset(spelling[each.casefold()] for each in names)


def _fits(words: Mapping[str, str], wanted: str) -> bool:
    return not wanted or words["value"].casefold() == wanted.casefold()
