"""Bascule.Audit's activity: Azure's activity log with what Azure's filter cannot ask.

By place, person, operation and outcome, by the events' own time, with each event's place in
the chain, and counted by day or hour. Shown is what the caller may read of the activity log.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from bascule.api.activity_filter import OFFERED, read_asked
from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.filters import parse_filter
from bascule.api.paging import WantedPage, next_link
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.audit import chain_json, counts_json, event_json
from bascule.domain.actions import ACTIVITY_READ, CHECKPOINT_READ
from bascule.domain.times import format_utc
from bascule.interfaces.activity import Counts
from bascule.interfaces.store import Reader
from bascule.services.activity import Page, chain_of, counts_of, page_of, resolve

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

AUDIT = f"{SUBSCRIPTION}/providers/Bascule.Audit"
FilterText = Annotated[str, Query(alias="$filter", max_length=2000)]


@router.get(f"{AUDIT}/activity")
@shows(ACTIVITY_READ)
async def list_audit_activity(
    call: CurrentCall, wanted: WantedPage, filter_text: FilterText = ""
) -> Response:
    """Newest first, by the time of the event."""
    asked = read_asked(parse_filter(filter_text, OFFERED))
    after = wanted.moment_after()

    def read(reader: Reader) -> Page:
        found = resolve(reader, call.subscription_id, asked, call.within(ACTIVITY_READ))
        return page_of(reader, found, after, wanted.top)

    page = await call.read(read)
    body: dict[str, object] = {"value": [event_json(row) for row in page.rows]}
    if page.goes_on is not None:
        at, sequence = page.goes_on
        body["nextLink"] = next_link(call, (format_utc(at), sequence))
    return CompactJson(body)


@router.get(f"{AUDIT}/activityCounts")
@shows(ACTIVITY_READ)
async def count_activity(call: CurrentCall, filter_text: FilterText = "") -> Response:
    """Counts by operation and outcome, per day (UTC), or per hour for a short span."""
    asked = read_asked(parse_filter(filter_text, OFFERED))
    is_by_hour = asked.is_by_hour(call.now)

    def read(reader: Reader) -> Counts:
        found = resolve(reader, call.subscription_id, asked, call.within(ACTIVITY_READ))
        return counts_of(reader, found, is_by_hour=is_by_hour)

    counts: Mapping[tuple[datetime, str], int] = await call.read(read)
    return CompactJson(counts_json(counts, is_by_hour=is_by_hour))


@router.get(f"{AUDIT}/verification")
@requires(CHECKPOINT_READ)
async def last_verification(call: CurrentCall) -> Response:
    """How far the record is chained and signed, and the result of the last verification."""
    chain = await call.read(lambda reader: chain_of(reader, call.state.services.verified.newest))
    return CompactJson(chain_json(chain))
