"""Bascule.Access: what can be reached by whom, now and at a moment; port-hours closed and open.

Shown is where the caller may read machines. Who was let in is told as requests are: one's own,
and where the caller may read policies.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.filters import parse_filter
from bascule.api.paging import WantedPage, page_json
from bascule.api.paths import MACHINE, SUBSCRIPTION, MachinePath
from bascule.api.wire.exposure import exposure_json, port_hours_json
from bascule.domain.actions import MACHINE_READ
from bascule.domain.exposure import SpanKind
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import InvalidInput, NotFound
from bascule.services.exposure import Moment, exposed, exposure_of, moment_of, summarize
from bascule.services.request_rights import Sight, sight_of

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

EXPOSURES = f"{SUBSCRIPTION}/providers/Bascule.Access/exposures"
EXPOSURE = f"{MACHINE}/providers/Bascule.Access/exposures/default"
PORT_HOURS = f"{SUBSCRIPTION}/providers/Bascule.Access/portHours/default"
_OFFERED = (("state", "eq"),)
_STATES = {"open": SpanKind.OPEN, "nothingclosed": SpanKind.BARE}


async def asked_moment(
    call: CurrentCall,
    at: Annotated[str, Query(max_length=64, description="A past moment.")] = "",
    since: Annotated[
        str, Query(alias="from", max_length=64, description="Start of the port-hours.")
    ] = "",
    until: Annotated[str, Query(max_length=64, description="End of the port-hours.")] = "",
) -> Moment:
    return moment_of(
        call.now, _instant(at, "at"), _instant(since, "from"), _instant(until, "until")
    )


def _instant(text: str, name: str) -> datetime | None:
    return parse_instant(text, name) if text else None


AskedMoment = Annotated[Moment, Depends(asked_moment)]


@router.get(EXPOSURES)
@shows(MACHINE_READ)
async def list_exposures(
    call: CurrentCall,
    wanted: WantedPage,
    moment: AskedMoment,
    filter_text: Annotated[str, Query(alias="$filter", max_length=200)] = "",
) -> Response:
    only, within, after = _only(filter_text), call.within(MACHINE_READ), wanted.text_after()
    sight = _sight(call)
    found = await call.read(
        lambda reader: exposed(reader, moment, sight, within, only, after, wanted.limit)
    )
    return CompactJson(
        page_json(
            call,
            wanted,
            found,
            lambda each: exposure_json(each, moment),
            lambda each: (each.id.key,),
        )
    )


@router.get(EXPOSURE)
@requires(MACHINE_READ)
async def get_exposure(call: CurrentCall, machine: MachinePath, moment: AskedMoment) -> Response:
    sight = _sight(call)
    found = await call.read(lambda reader: exposure_of(reader, moment, sight, machine))
    if found is None:
        raise NotFound(
            f"There is no data on a machine {machine} at {format_utc(moment.at)}.",
            advice="To list machines: bascule exposure.",
        )
    return CompactJson(exposure_json(found, moment))


@router.get(PORT_HOURS)
@shows(MACHINE_READ)
async def get_port_hours(call: CurrentCall, moment: AskedMoment) -> Response:
    within, subscription = call.within(MACHINE_READ), call.subscription_id
    summary = await call.read(lambda reader: summarize(reader, moment, within, subscription))
    return CompactJson(port_hours_json(subscription, summary))


def _sight(call: Call) -> Sight:
    return sight_of(call.rights, call.subject.principal_id)


def _only(filter_text: str) -> SpanKind | None:
    clauses = parse_filter(filter_text, _OFFERED)
    if not clauses:
        return None
    found = _STATES.get(clauses[-1].value.casefold())
    if found is None:
        raise InvalidInput(
            "$filter: state eq 'open', or state eq 'nothingClosed'.",
            code="InvalidFilter",
            target="$filter",
        )
    return found
